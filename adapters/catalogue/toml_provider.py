"""Reads a provider's answers by the rules of its TOML file."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from adapters.catalogue.expressions import Expression, ExpressionFailed
from adapters.catalogue.templates import fill_url
from application.ports import Health, ProviderAdapter, Verdict, spoken
from domain.errors import GatewayNonsense, InvalidInput, ProviderUnavailable
from domain.provider import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.ports import ProviderAnswer
    from domain.provider import Provider

RETRY_AFTER = 5
"""Seconds to wait where the provider does not say."""

EXPRESSIONS = ("healthy", "dead", "account_id", "account_name", "error_message")
_NEEDED_ON_SUCCESS = ("healthy", "dead", "account_id", "account_name")


@frozen
class TomlProvider(ProviderAdapter):
    """A provider whose description says all there is to know.

    Raises:
        ValueError: from the constructor, where an expression does not compile.

    """

    provider: Provider
    _expressions: Mapping[str, Expression] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Compile what the description holds."""
        texts = {name: getattr(self._identity, name) for name in EXPRESSIONS}
        compiled = {name: Expression.compile(text) for name, text in texts.items() if text is not None}
        object.__setattr__(self, "_expressions", compiled)

    @property
    def _identity(self) -> Identity:
        return self.provider.identity or Identity(path="/")

    def base_url(self, parameters: Mapping[str, str]) -> str | None:
        """Fill the address's placeholders with the connection's parameters.

        Raises:
            InvalidInput: the connection was made when the file did not ask for such a parameter yet.

        """
        template = self._identity.base_url
        try:
            return template and fill_url(template, parameters)
        except KeyError as missing:
            raise InvalidInput((missing.args[0], f"is required by {self.provider.name}")) from missing

    def read(
        self, answer: ProviderAnswer, *, connection_config: Mapping[str, Any], token: Mapping[str, Any]
    ) -> Verdict:
        """Judge an answer; 401 always means dead, 403 means good credentials unless `dead` says otherwise.

        Raises:
            ProviderUnavailable: 429, 5xx, or a 2xx that is neither healthy nor dead (Slack's `ratelimited`).
            GatewayNonsense: any other 4xx, a 2xx without the JSON that the file's expressions need, or of
                another shape than they expect.

        """
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._later(answer, f"status {answer.status}")
        facts = {
            "status": answer.status,
            "response": answer.body,
            "connection_config": dict(connection_config),
            "token": dict(token),
        }
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return self._dead(facts)
        try:
            return self._judge(answer, facts)
        except ExpressionFailed as failed:
            raise self._nonsense("an answer of an unexpected shape") from failed

    def _judge(self, answer: ProviderAnswer, facts: Mapping[str, Any]) -> Verdict:
        success = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        if success and answer.body is None and self._needs_body():
            raise self._nonsense("something that is not JSON")
        if success and self._holds("healthy", facts, default=True):
            return Verdict(
                health=Health.HEALTHY,
                account_id=self._value("account_id", facts),
                account_name=self._value("account_name", facts),
            )
        if self._holds("dead", facts, default=False):
            return self._dead(facts)
        if answer.status == HTTPStatus.FORBIDDEN:
            return Verdict(health=Health.FORBIDDEN)
        if success:
            raise self._later(answer, self._reason(facts) or "an answer that is not yet an answer")
        raise self._nonsense(f"status {answer.status}")

    def _needs_body(self) -> bool:
        used = (self._expressions.get(name) for name in _NEEDED_ON_SUCCESS)
        return any(expression is not None and "response" in expression.reads for expression in used)

    def _dead(self, facts: Mapping[str, Any]) -> Verdict:
        reason = self._reason(facts) or f"The provider refused the credentials ({facts['status']})"
        return Verdict(health=Health.DEAD, reason=reason)

    def _reason(self, facts: Mapping[str, Any]) -> str | None:
        """Give the provider's own words; an answer without them is no less clear for it."""
        try:
            return spoken(self._value("error_message", facts))
        except ExpressionFailed:
            return None

    def _holds(self, name: str, facts: Mapping[str, Any], *, default: bool) -> bool:
        expression = self._expressions.get(name)
        return default if expression is None else expression.holds(facts)

    def _value(self, name: str, facts: Mapping[str, Any]) -> Any:
        expression = self._expressions.get(name)
        return None if expression is None else expression.of(facts)

    def _later(self, answer: ProviderAnswer, what: str) -> ProviderUnavailable:
        retry_after = RETRY_AFTER if answer.retry_after is None else answer.retry_after
        message = f"{self.provider.name} is unavailable now ({what}). Try again."
        return ProviderUnavailable(message, retry_after=retry_after)

    def _nonsense(self, what: str) -> GatewayNonsense:
        return GatewayNonsense(f"{self.provider.name} answered {what} to the identity call.")
