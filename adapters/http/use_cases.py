"""What the HTTP adapter calls: one callable per thing the service can do, as application/ defines it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from application.authenticate import Caller
    from application.authorizations import AuthorizationResult, AuthorizationStarted
    from application.create_connection import ConnectionCreated
    from application.ports import ConnectionFilter, Page, Session
    from application.verify_connection import Verification
    from domain.connection import Connection
    from domain.events import Event
    from domain.provider import Provider
    from domain.redirect import RedirectUrl


class Authenticate(Protocol):
    """Who calls."""

    @abstractmethod
    async def __call__(self, *, key: str | None) -> Caller:
        """Raise Unauthenticated for anything but a live key."""


class GetAuthUrl(Protocol):
    """The reference's "Get auth URL"."""

    @abstractmethod
    async def __call__(
        self,
        *,
        company_id: str,
        provider: str,
        redirect_url: RedirectUrl | None,
        name: str | None,
        parameters: Mapping[str, str],
        actor: str,
    ) -> AuthorizationStarted:
        """Give where to send the user."""


class CreateConnection(Protocol):
    """The reference's "Create connection"."""

    @abstractmethod
    async def __call__(
        self,
        *,
        company_id: str,
        provider: str,
        name: str,
        metadata: Mapping[str, Any],
        redirect_url: RedirectUrl | None,
        parameters: Mapping[str, str],
        idempotency_key: str | None,
        actor: str,
    ) -> ConnectionCreated:
        """Give the new connection."""


class CreateApiKeyConnection(Protocol):
    """The reference's "Create connection", with credentials."""

    @abstractmethod
    async def __call__(
        self,
        *,
        company_id: str,
        provider: str,
        name: str,
        metadata: Mapping[str, Any],
        parameters: Mapping[str, str],
        credentials: Mapping[str, str],
        idempotency_key: str | None,
        actor: str,
    ) -> ConnectionCreated:
        """Give the active connection."""


class ReplaceCredentials(Protocol):
    """New credentials for an API-key connection."""

    @abstractmethod
    async def __call__(
        self,
        *,
        company_id: str,
        connection_id: str,
        parameters: Mapping[str, str] | None,
        credentials: Mapping[str, str],
        actor: str,
    ) -> Connection:
        """Give the active connection."""


class ReauthorizeConnection(Protocol):
    """A new authorization of one connection."""

    @abstractmethod
    async def __call__(
        self,
        *,
        company_id: str,
        connection_id: str,
        redirect_url: RedirectUrl | None,
        parameters: Mapping[str, str] | None,
        actor: str,
    ) -> AuthorizationStarted:
        """Give where to send the user."""


class OpenConnectSession(Protocol):
    """A session for Nango's frontend SDK."""

    @abstractmethod
    async def __call__(
        self, *, company_id: str, connection_id: str, redirect_url: RedirectUrl | None, actor: str
    ) -> Session:
        """Give the session."""


class CompleteAuthorization(Protocol):
    """The provider sent the browser back to our relay."""

    @abstractmethod
    async def __call__(self, *, state: str, query: Sequence[tuple[str, str]]) -> AuthorizationResult:
        """Give how it ended."""


class ReportAuthorization(Protocol):
    """A front end says that Nango's SDK is done."""

    @abstractmethod
    async def __call__(
        self, *, provider: str, connection_id: str, error: str | None, redirect_url: str | None
    ) -> AuthorizationResult:
        """Give how it ended, as Nango knows it."""


class FindConnection(Protocol):
    """A read of one connection."""

    @abstractmethod
    async def __call__(self, *, company_id: str, connection_id: str) -> Connection:
        """Give the connection."""


class ListConnections(Protocol):
    """A page of a company's connections."""

    @abstractmethod
    async def __call__(
        self, *, company_id: str, wanted: ConnectionFilter, limit: int, cursor: str | None
    ) -> Page[Connection]:
        """Give them newest first."""


class UpdateConnection(Protocol):
    """A new name, new metadata."""

    @abstractmethod
    async def __call__(
        self,
        *,
        company_id: str,
        connection_id: str,
        name: str | None,
        metadata: Mapping[str, Any] | None,
        actor: str,
    ) -> Connection:
        """Give the connection as it is now; None leaves a field alone."""


class DeleteConnection(Protocol):
    """The end of a connection."""

    @abstractmethod
    async def __call__(self, *, company_id: str, connection_id: str, actor: str) -> None:
        """Return once it is gone for the company."""


class ChangeConnection(Protocol):
    """Something done to one connection that needs no more words: disconnect, refresh."""

    @abstractmethod
    async def __call__(self, *, company_id: str, connection_id: str, actor: str) -> Connection:
        """Give the connection as it is now."""


class VerifyConnection(Protocol):
    """The reference's "Verify connection"."""

    @abstractmethod
    async def __call__(self, *, company_id: str, connection_id: str, actor: str) -> Verification:
        """Give what the provider said."""


class ListEvents(Protocol):
    """A page of history."""

    @abstractmethod
    async def __call__(
        self, *, company_id: str, connection_id: str | None, limit: int, cursor: str | None
    ) -> Page[Event]:
        """Give it oldest first: a connection's, or the whole company's where `connection_id` is None."""


class ReceiveWebhook(Protocol):
    """Something happened at Nango."""

    @abstractmethod
    async def __call__(self, *, body: bytes, signature: str | None) -> None:
        """Take the raw body and its signature."""


class ListProviders(Protocol):
    """The catalogue."""

    @abstractmethod
    def __call__(self) -> Sequence[Provider]:
        """Give every provider, by key."""


class CheckReadiness(Protocol):
    """Whether we can serve."""

    @abstractmethod
    async def __call__(self) -> None:
        """Raise StoreUnavailable where we cannot."""


@frozen(kw_only=True)
class UseCases:
    """Everything the routes need."""

    authenticate: Authenticate
    get_auth_url: GetAuthUrl
    create_connection: CreateConnection
    create_api_key_connection: CreateApiKeyConnection
    replace_credentials: ReplaceCredentials
    reauthorize_connection: ReauthorizeConnection
    open_connect_session: OpenConnectSession
    complete_authorization: CompleteAuthorization
    report_authorization: ReportAuthorization
    get_connection: FindConnection
    list_connections: ListConnections
    update_connection: UpdateConnection
    delete_connection: DeleteConnection
    disconnect_connection: ChangeConnection
    refresh_connection: ChangeConnection
    verify_connection: VerifyConnection
    list_events: ListEvents
    receive_webhook: ReceiveWebhook
    list_providers: ListProviders
    check_readiness: CheckReadiness
