"""What Nango's answers other than success mean to us.

Nango says who is to blame by status and code; the sentences are matched only where the code is shared.
Source: Nango 0.71.4, observed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from adapters.nango.answers import Problem, ProblemAnswer, decode, decoded_or_none
from application.ports import without_likely
from domain.errors import (
    CredentialsRefused,
    CredentialsUnusable,
    DomainError,
    GatewayNonsense,
    GatewayRefused,
    GatewayUnavailable,
    GrantNotFound,
    IntegrationMissing,
)

if TYPE_CHECKING:
    from adapters.nango.client import Answer

T = TypeVar("T")

KEY_REFUSED_RETRY = 30
"""Seconds; somebody has to mend the key or Nango's database first."""

_NO_INTEGRATION = "Integration does not exist"
_NO_GRANT = "ConnectionID or IntegrationId does not exists"
_EXHAUSTED = "refresh limit has been reached"
_SENTENCE = re.compile(r"[A-Z][A-Za-z0-9 ,.'-]{0,199}")
CODE = re.compile(r"[a-z_]{1,64}")
"""What Nango's codes look like."""


def success(answer: Answer, kind: type[T], integration: str = "", *, status: int = 200) -> T:
    """Read the answer one hoped for.

    Raises:
        DomainError: what it means instead; see `failure`.
        GatewayNonsense: not what Nango answers here.

    """
    if answer.status != status:
        raise failure(answer, integration=integration)
    if answer.cut:
        raise GatewayNonsense("Nango's answer is too long.")
    return decode(answer.body, kind)


def problem_of(answer: Answer) -> Problem:
    """Give what Nango says went wrong; an empty problem where it does not say it in its own form."""
    found = None if answer.cut else decoded_or_none(answer.body, ProblemAnswer)
    return found.error if found else Problem()


def unavailable(answer: Answer) -> GatewayUnavailable | None:
    """Read a 429 and any 5xx, except the 500 by which Nango says that a refresh came to nothing."""
    if answer.status == 429:  # noqa: PLR2004 - HTTP
        return GatewayUnavailable(
            "Nango limits our calls. Try again later.", retry_after=max(1, answer.retry_after or 1)
        )
    if answer.status >= 500 and problem_of(answer).code != "invalid_credentials":  # noqa: PLR2004 - HTTP
        return GatewayUnavailable(
            f"Nango answers {answer.status}. Try again.", retry_after=max(1, answer.retry_after or 5)
        )
    return None


def key_refused(answer: Answer, problem: Problem) -> GatewayUnavailable:
    """Read a 401 or 403: never the caller's fault.

    With its database down Nango answers 401 `malformed_auth_header`; every other code speaks of our key.
    """
    if problem.code == "malformed_auth_header":
        return GatewayUnavailable("Nango is out of order: it cannot check keys.")
    code = f" ({problem.code})" if CODE.fullmatch(problem.code) else ""
    if answer.status == 403:  # noqa: PLR2004 - HTTP
        message = f"Nango does not allow this to our secret key{code}."
    else:
        message = f"Nango refuses our secret key{code}."
    return GatewayRefused(message, retry_after=KEY_REFUSED_RETRY)


def failure(answer: Answer, *, integration: str = "") -> DomainError:
    """Translate an answer of Nango's own API that is not the success one hoped for."""
    problem = problem_of(answer)
    # A refused API key may carry the status that the provider gave it.
    if answer.status in (401, 403) and problem.code != "connection_test_failed":
        return key_refused(answer, problem)
    return unavailable(answer) or _meaning(answer.status, problem, integration)


def _meaning(status: int, problem: Problem, integration: str) -> DomainError:
    meaning: DomainError
    match status, problem.code:
        case (400 | 424 | 500, "invalid_credentials"):
            meaning = unusable(problem.message)
        case (400, "resource_capped") | (402, "plan_limit"):
            meaning = GatewayUnavailable(
                "Nango's plan is used up; raise it there.", retry_after=KEY_REFUSED_RETRY
            )
        case (400, "unknown_provider_config"):
            meaning = IntegrationMissing(integration)
        case (_, "connection_test_failed"):
            meaning = CredentialsRefused(sentence(problem.message, "they were found to be invalid."))
        case (400, "invalid_body") if problem.finds("too_big", "credentials"):
            meaning = CredentialsRefused("Nango keeps none that are so long.")
        case (400, "invalid_body") | (404, "not_found") if problem.says(_NO_INTEGRATION):
            meaning = IntegrationMissing(integration)
        case (400, "invalid_body") if problem.says(_NO_GRANT):
            meaning = GrantNotFound()
        case (404, "not_found") | (400, "unknown_connection"):
            meaning = GrantNotFound()
        case (_, code) if CODE.fullmatch(code):
            meaning = GatewayNonsense(f"Nango refused our request ({status} {code}).")
        case _:
            meaning = GatewayNonsense()
    return meaning


def unusable(message: str) -> CredentialsUnusable:
    """Say that Nango could not produce credentials, in its own sentence where that is fit to be shown."""
    return CredentialsUnusable(
        sentence(message, "Nango could not renew the credentials."), exhausted=_EXHAUSTED in message
    )


def sentence(message: str, otherwise: str) -> str:
    """Pass on a plain sentence of Nango's; some of its messages hold whole connections as JSON.

    What it says of a refused token may be the provider's own words, and the token in them.
    """
    plain = _SENTENCE.fullmatch(message) and "payload" not in message
    return without_likely(message) if plain else otherwise
