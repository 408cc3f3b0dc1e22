"""What can be refused, and why: each leaf carries a code that never changes and reads as a sentence.

The HTTP adapter maps every leaf in its one error table; nothing else translates errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class DomainError(Exception):
    """The base of everything the core refuses; `str()` is the sentence a caller may read."""

    code: ClassVar[str] = "domain_error"

    why: str | None = None
    """What an operator may read beyond the sentence: for the log, and for no caller."""


class InvalidInput(DomainError):
    """A caller's value breaks a rule; `details` names each field and what would be right."""

    code = "invalid_input"

    def __init__(self, *details: tuple[str, str]) -> None:
        """Take (field, message) pairs, e.g. `("limit", "must be a whole number from 1 to 100")`."""
        self.details: Sequence[tuple[str, str]] = details
        super().__init__("; ".join(f"{field}: {message}" for field, message in details))


class InvalidParameters(InvalidInput):
    """The provider parameters that a caller gave, such as NetSuite's accountId, are not right.

    `details` names each as `parameters.<name>`, as in a request's body; `bare` gives the names alone.
    """

    code = "invalid_parameters"

    def __init__(
        self, *ill_formed: tuple[str, str], unknown: Sequence[str] = (), known: Sequence[str] = ()
    ) -> None:
        """Take (parameter, message) pairs, given names that the provider does not know, and those it does."""
        self.ill_formed: Sequence[tuple[str, str]] = ill_formed
        self.unknown, self.known = tuple(unknown), tuple(known)
        super().__init__(*((f"parameters.{name}", message) for name, message in self.bare()))

    def bare(self, *beside: str) -> Sequence[tuple[str, str]]:
        """Give the details with the names alone, as in a query.

        `beside` are the other names that are allowed there, to be listed with the provider's own.
        """
        strange = not_known([*beside, *self.known])
        return [*((name, strange) for name in self.unknown), *self.ill_formed]


def not_known(known: Iterable[str]) -> str:
    """Say of a name that it is none of these."""
    names = ", ".join(known)
    return f"is not known here; known are {names}" if names else "is not known here; none are"


class ConnectionNotFound(DomainError):
    """No such connection, or it belongs to another company: the two cannot be told apart."""

    code = "connection_not_found"

    def __init__(self) -> None:
        super().__init__("Connection not found")


class AuthorizationNotFound(DomainError):
    """The state of a callback is none of ours, or is older than 24 hours."""

    code = "authorization_not_found"

    def __init__(self) -> None:
        super().__init__(
            "This authorization link is not known or is too old. Start again from your application."
        )


class ActiveConnectionExists(DomainError):
    """auth-url addresses a provider for which the company has an active connection (the reference's 400)."""

    code = "active_connection_exists"

    def __init__(self, provider: str) -> None:
        super().__init__(
            f"Active connection already exists for {provider}. Disconnect first to re-authorize."
        )


class IllegalTransition(DomainError):
    """The transition table has no row for this status and trigger."""

    code = "illegal_transition"

    def __init__(self, status: str, trigger: str) -> None:
        super().__init__(f"A connection that is {status} cannot be {trigger.replace('_', ' ')}")


class ConcurrentChange(DomainError):
    """Somebody else changed the connection between our read and our write; nothing was written."""

    code = "concurrent_change"

    def __init__(self) -> None:
        super().__init__("The connection was changed by another request at the same time. Try again.")


class RefreshNotPossible(DomainError):
    """There is nothing to refresh: not authorized yet, disconnected, or an API key."""

    code = "refresh_not_possible"


class RefreshRefused(DomainError):
    """The provider refused to renew the credentials; the connection's status says so now."""

    code = "refresh_refused"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Failed to refresh credentials: {reason}")


class AuthorizationFailed(DomainError):
    """The user or the provider refused; `error` is OAuth's error code, safe to show."""

    code = "authorization_failed"

    def __init__(self, error: str, meaning: str = "") -> None:
        self.error = error
        super().__init__(". ".join(filter(None, (f"Authorization failed: {error}", meaning))))


class AuthorizationSuperseded(AuthorizationFailed):
    """The link that a person followed to its end does not count any more; `meaning` is for that person."""

    code = "authorization_superseded"
    meaning: ClassVar[str] = (
        "This link is not in use any more: another one was used first, or the connection was disconnected "
        "or deleted. Look at the connection in your application."
    )

    def __init__(self) -> None:
        super().__init__("superseded", self.meaning)


class CredentialsRefused(DomainError):
    """The provider does not accept the credentials a caller gave; nothing was kept."""

    code = "credentials_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The provider refused these credentials: {reason}")


class TooManyAttempts(DomainError):
    """Too many authorizations are open at once; `retry_after` is in seconds."""

    code = "too_many_attempts"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__("Too many authorizations are open. Finish one, or try again later.")


class TooManyRequests(DomainError):
    """One caller asks for more than its share; `retry_after` is in seconds."""

    code = "too_many_requests"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"Too many requests. Try again in {retry_after} s.")


class IdempotencyKeyReused(DomainError):
    """The same Idempotency-Key came with another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for a different request. Use a new key.")


class Unauthenticated(DomainError):
    """No API key, a malformed one, an unknown one or a revoked one: all the same to the caller."""

    code = "unauthenticated"

    def __init__(self) -> None:
        super().__init__("Missing or invalid API key. Send a valid key in the x-api-key header.")


class WebhookRefused(DomainError):
    """A webhook that was not signed with any of our keys, or no key is configured."""

    code = "webhook_refused"

    def __init__(self) -> None:
        super().__init__("The webhook's signature is missing or not valid.")


class Forbidden(DomainError):
    """The API key is good, but may only read."""

    code = "forbidden"

    def __init__(self) -> None:
        super().__init__("This API key may only read. Use a key with the scope write.")


class Unavailable(DomainError):
    """Something we depend on does not answer now; nothing changed. `retry_after` is in seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class StoreUnavailable(Unavailable):
    """The database does not answer, or not in time."""

    code = "store_unavailable"

    def __init__(self, *, retry_after: int = 1, why: str | None = None) -> None:
        self.why = why
        super().__init__("The service is temporarily unavailable. Try again.", retry_after=retry_after)


class StoreRefused(StoreUnavailable):
    """The database answers, but not us: an operator has to migrate it, let our role in, or give it room."""

    code = "store_refused"


class GatewayUnavailable(Unavailable):
    """Nango is unreachable, slow or rate limiting: no connection is to blame."""

    code = "gateway_unavailable"

    def __init__(
        self,
        message: str = "Nango does not answer. Try again.",
        *,
        retry_after: int = 5,
        why: str | None = None,
    ) -> None:
        self.why = why
        super().__init__(message, retry_after=retry_after)


class GatewayTimeout(GatewayUnavailable):
    """Nango took longer than the deadline: the call may still have taken effect there."""

    code = "gateway_timeout"


class GatewayRefused(GatewayUnavailable):
    """Nango does not accept our secret key: an operator's to mend, and no caller's fault."""

    code = "gateway_refused"


class ProviderUnavailable(Unavailable):
    """The provider answers 429 or 5xx, or cannot be reached: says nothing of the credentials."""

    code = "provider_unavailable"


class GatewayNonsense(DomainError):
    """Nango, or the provider behind it, answered something that cannot be understood; nothing changed."""

    code = "gateway_nonsense"

    def __init__(self, message: str = "Nango gave an answer that could not be understood.") -> None:
        super().__init__(message)


class ProviderCallRefused(DomainError):
    """Nango is configured not to call this provider: a deployment's mistake, and no word on the account."""

    code = "provider_call_refused"

    def __init__(self) -> None:
        super().__init__(
            "Nango does not allow calls to this provider. "
            "Change its outbound URL policy or its base URL overrides, or drop the provider's identity call."
        )


class ProviderCallImpossible(ProviderCallRefused):
    """A deployment's description of the provider is gone, or asks for what this connection was not given."""

    code = "provider_call_impossible"

    def __init__(self, provider: str, reason: str) -> None:
        DomainError.__init__(self, f"{provider} cannot be asked about this connection: {reason}.")


class IntegrationMissing(DomainError):
    """Nango has no integration of the name the provider's description gives: a deployment's mistake.

    `unfinished`: it has one, but cannot send users to the provider with it.
    """

    code = "integration_missing"

    def __init__(self, integration: str, *, unfinished: bool = False) -> None:
        self.integration = integration
        what, todo = f"Nango has no integration {integration!r}", "Create it"
        if unfinished:
            what = f"Nango's integration {integration!r} lacks its client id and secret, or is not for OAuth"
            todo = "Complete it"
        super().__init__(f"{what}. {todo} in Nango, or name another in the provider's file.")


class GrantNotFound(DomainError):
    """Nango does not have the connection we spoke of. Use cases turn it into what it means there."""

    code = "grant_not_found"

    def __init__(self) -> None:
        super().__init__("The connection does not exist at Nango.")


class CredentialsUnusable(DomainError):
    """Nango could not produce credentials (a failed refresh, or its back-off): not the provider's word."""

    code = "credentials_unusable"

    def __init__(self, message: str, *, exhausted: bool = False) -> None:
        """`exhausted`: Nango has given up for good ("The refresh limit has been reached")."""
        self.exhausted = exhausted
        super().__init__(message)
