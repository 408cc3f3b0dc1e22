"""Nango's proxy: asking a provider with a connection's credentials, and telling the two voices apart.

Status and body of the provider pass through, and so do Nango's own failures; only the body's code tells
them apart. A code that is not Nango's is the provider's word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from adapters.nango.answers import decoded_or_none
from adapters.nango.failures import failure as meaning_of
from adapters.nango.failures import key_refused, problem_of, unavailable, unusable
from application.ports import ProviderAnswer
from domain.errors import GatewayNonsense, GrantNotFound, IntegrationMissing, ProviderCallRefused

if TYPE_CHECKING:
    from adapters.nango.answers import Problem
    from adapters.nango.client import Answer
    from domain.errors import DomainError
    from domain.provider import Identity

MAX_BODY = 256 * 1024
_KEY_CODES = frozenset(
    {
        "missing_auth_header",
        "malformed_auth_header",
        "invalid_secret_key_format",
        "unknown_account",
    }
)
_KEY_REFUSED = "Authentication failed. The "
"""How every such sentence of Nango's begins, whatever code a newer server gives it."""
_SCOPE_MISSING = "Insufficient scope"
_NO_CREDENTIALS = "Failed to get connection credentials: "


def proxy_path(path: str) -> str:
    """Give the path under which the proxy takes a provider's path.

    `${connectionConfig.x}` stays for Nango to fill in. Its braces travel as they are, since Nango looks for
    them in the path as it was sent.
    """
    return "/proxy/" + quote(path.lstrip("/"), safe="/?&=$%:@!'()*+,;~{}")


def proxy_headers(
    integration: str, nango_id: str, identity: Identity, *, base_url: str | None
) -> dict[str, str]:
    """Give the headers that say whose credentials to use, and what the provider shall see."""
    headers = {"Connection-Id": nango_id, "Provider-Config-Key": integration}
    if base_url is not None:
        headers["Base-Url-Override"] = base_url
    return headers | {f"Nango-Proxy-{name}": value for name, value in identity.headers.items()}


def read_proxied(answer: Answer, integration: str) -> ProviderAnswer:
    """Give the provider's answer.

    Raises:
        GatewayUnavailable: Nango refuses our key, is down or limits us.
        GrantNotFound: Nango has no such connection.
        IntegrationMissing: Nango has no such integration.
        ProviderCallRefused: Nango's configuration keeps it from calling this provider.
        CredentialsUnusable: Nango has no credentials that it would call with.
        GatewayNonsense: more than anybody needs to say who they are.

    """
    own = _own_failure(answer, problem_of(answer), integration)
    if own is not None:
        raise own
    if answer.cut:
        raise GatewayNonsense("The provider's answer is too long.")
    return ProviderAnswer(
        status=answer.status, body=_json_or_none(answer.body), retry_after=answer.retry_after
    )


def _own_failure(answer: Answer, problem: Problem, integration: str) -> DomainError | None:
    failure: DomainError | None = None
    match answer.status, problem.code:
        case (401, code) if code in _KEY_CODES or problem.message.startswith(_KEY_REFUSED):
            failure = key_refused(answer, problem)
        # A provider may be of the same code.
        case (403, "forbidden") if problem.message.startswith(_SCOPE_MISSING):
            failure = key_refused(answer, problem)
        case (400, "base_url_override_disabled" | "base_url_override_not_allowed"):
            failure = ProviderCallRefused()
        case (429, "too_many_request"):
            failure = unavailable(answer)
        case (402, "plan_limit"):
            failure = meaning_of(answer)
        case (404, "unknown_provider_config"):
            failure = IntegrationMissing(integration)
        case (424, "connection_refresh_backoff"):
            failure = unusable(problem.message)
        case (400, "server_error") if problem.message == "Failed to get connection":
            failure = GrantNotFound()
        # 424 where Nango has given up, 500 where it could not read the answer of the token endpoint.
        case (_, "server_error") if problem.message.startswith(_NO_CREDENTIALS):
            failure = unusable(problem.message.removeprefix(_NO_CREDENTIALS).strip("'"))
    return failure


def _json_or_none(body: bytes) -> Any:
    return decoded_or_none(body, Any) if body else None
