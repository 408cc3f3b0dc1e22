"""The one error table, and what it makes of anything that was raised."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import field, frozen

from domain import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BAD_REQUEST = (400, "BAD_REQUEST")
UNAUTHORIZED = (401, "UNAUTHORIZED")
FORBIDDEN = (403, "FORBIDDEN")
NOT_FOUND = (404, "NOT_FOUND")
METHOD_NOT_ALLOWED = (405, "METHOD_NOT_ALLOWED")
CONFLICT = (409, "CONFLICT")
PAYLOAD_TOO_LARGE = (413, "PAYLOAD_TOO_LARGE")
UNSUPPORTED_MEDIA_TYPE = (415, "UNSUPPORTED_MEDIA_TYPE")
UNPROCESSABLE_ENTITY = (422, "UNPROCESSABLE_ENTITY")
TOO_MANY_REQUESTS = (429, "TOO_MANY_REQUESTS")
INTERNAL_ERROR = (500, "INTERNAL_ERROR")
BAD_GATEWAY = (502, "BAD_GATEWAY")
SERVICE_UNAVAILABLE = (503, "SERVICE_UNAVAILABLE")

TABLE: Mapping[type[errors.DomainError], tuple[int, str]] = {
    errors.InvalidInput: BAD_REQUEST,
    errors.InvalidParameters: BAD_REQUEST,
    errors.ConnectionNotFound: NOT_FOUND,
    errors.AuthorizationNotFound: NOT_FOUND,
    errors.ActiveConnectionExists: BAD_REQUEST,
    errors.IllegalTransition: CONFLICT,
    errors.ConcurrentChange: CONFLICT,
    errors.RefreshNotPossible: BAD_REQUEST,
    errors.RefreshRefused: INTERNAL_ERROR,
    errors.AuthorizationFailed: BAD_REQUEST,
    errors.AuthorizationSuperseded: BAD_REQUEST,
    errors.CredentialsRefused: BAD_REQUEST,
    errors.TooManyAttempts: TOO_MANY_REQUESTS,
    errors.TooManyRequests: TOO_MANY_REQUESTS,
    errors.IdempotencyKeyReused: UNPROCESSABLE_ENTITY,
    errors.Unauthenticated: UNAUTHORIZED,
    errors.WebhookRefused: UNAUTHORIZED,
    errors.Forbidden: FORBIDDEN,
    errors.Unavailable: SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: SERVICE_UNAVAILABLE,
    errors.StoreRefused: SERVICE_UNAVAILABLE,
    errors.GatewayUnavailable: SERVICE_UNAVAILABLE,
    errors.GatewayTimeout: SERVICE_UNAVAILABLE,
    errors.GatewayRefused: SERVICE_UNAVAILABLE,
    errors.ProviderUnavailable: SERVICE_UNAVAILABLE,
    errors.GatewayNonsense: BAD_GATEWAY,
    errors.IntegrationMissing: BAD_GATEWAY,
    errors.ProviderCallRefused: BAD_GATEWAY,
    errors.ProviderCallImpossible: BAD_GATEWAY,
    errors.GrantNotFound: BAD_GATEWAY,
    errors.CredentialsUnusable: BAD_GATEWAY,
}
"""Every error of the domain, with its status and the code that callers see."""

CHALLENGES: Mapping[type[errors.DomainError], str] = {
    errors.Unauthenticated: 'ApiKey header="x-api-key"',
    errors.WebhookRefused: 'HmacSha256 header="X-Nango-Hmac-Sha256"',
}
"""What each 401 asks for in WWW-Authenticate, which it must have (RFC 9110 §15.5.2). The schemes are ours."""

CODES = [
    code
    for _, code in (
        BAD_REQUEST,
        UNAUTHORIZED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        CONFLICT,
        PAYLOAD_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        UNPROCESSABLE_ENTITY,
        TOO_MANY_REQUESTS,
        INTERNAL_ERROR,
        BAD_GATEWAY,
        SERVICE_UNAVAILABLE,
    )
]
"""Every code that a caller may see."""

_OF_AIOHTTP: Mapping[int, tuple[str, str]] = {
    404: ("NOT_FOUND", "There is nothing at this address"),
    405: ("METHOD_NOT_ALLOWED", "This address does not answer to this method"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The body must be application/json in UTF-8, not compressed"),
}

_RETRY_AFTER_NONSENSE = 5


@frozen(kw_only=True)
class Refusal:
    """What a caller is told instead of an answer. `reason`, the domain's code, and `why` are for the log."""

    status: int
    code: str
    message: str
    details: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(factory=dict)
    reason: str | None = None
    why: str | None = None


class BodyTooLarge(web.HTTPRequestEntityTooLarge):
    """A body of more than `limit` bytes: aiohttp's own does not keep how many there may be."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(limit)


UNEXPECTED = Refusal(
    status=500,
    code="INTERNAL_ERROR",
    message="Something went wrong on our side. Quote the request id.",
    reason="unexpected",
)


UNREADABLE = Refusal(status=400, code="BAD_REQUEST", message="The request is not valid HTTP")


def refusal(error: Exception) -> Refusal:
    """Say what to tell the caller; `UNEXPECTED` is for what nobody foresaw."""
    if isinstance(error, errors.DomainError) and type(error) in TABLE:
        return _of_domain(error)
    if isinstance(error, BodyTooLarge):
        status, code = PAYLOAD_TOO_LARGE
        message = f"The body is too large: at most {error.limit} bytes are taken"
        return Refusal(status=status, code=code, message=message)
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(error)
    if isinstance(error, TimeoutError):
        return _of_domain(errors.StoreUnavailable())
    if isinstance(error, web.RequestPayloadError):
        return Refusal(status=400, code="BAD_REQUEST", message="The body could not be read")
    return UNEXPECTED


def _of_domain(error: errors.DomainError) -> Refusal:
    status, code = TABLE[type(error)]
    invalid = error.details if isinstance(error, errors.InvalidInput) else ()
    message = "; ".join(f"{name} {rule}" for name, rule in invalid)
    retry_after = getattr(
        error, "retry_after", _RETRY_AFTER_NONSENSE if status == HTTPStatus.BAD_GATEWAY else None
    )
    headers = {} if retry_after is None else {"Retry-After": str(max(1, int(retry_after)))}
    if type(error) in CHALLENGES:
        headers["WWW-Authenticate"] = CHALLENGES[type(error)]
    return Refusal(
        status=status,
        code=code,
        message=f"Invalid request: {message}" if invalid else str(error),
        details=invalid,
        headers=headers,
        reason=error.code,
        why=error.why,
    )


def _of_aiohttp(error: web.HTTPException) -> Refusal:
    code, message = _OF_AIOHTTP.get(error.status, ("BAD_REQUEST", "The request could not be understood"))
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UNEXPECTED
    allow = error.headers.get("Allow")
    if allow is None:
        return Refusal(status=error.status, code=code, message=message)
    message = f"{message}; it answers to {allow.replace(',', ', ')}"
    return Refusal(status=error.status, code=code, message=message, headers={"Allow": allow})
