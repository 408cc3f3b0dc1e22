"""Nango."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    from domain.authorization import Grant
    from domain.provider import Identity


@frozen(kw_only=True)
class Session:
    """A connect session at Nango: `token` lets a browser start a flow for half an hour; the link holds it.

    Nango's own page is opened by the link, if there is one; a flow of ours needs none.
    """

    token: str = field(repr=False)
    connect_link: str | None = field(repr=False)
    expires_at: datetime


@frozen(kw_only=True)
class Flow:
    """A flow that Nango began: where to send the browser, and what to give back with the callback.

    `redirect_uri` is where the provider will send the browser: ours where Nango is set up for the relay.
    """

    authorization_url: str = field(repr=False)
    redirect_uri: str | None
    state: str = field(repr=False)
    cookie: str = field(repr=False)


@frozen(kw_only=True)
class GrantDetails:
    """What Nango tells of a connection beside its tags. `token` is the provider's raw answer: never kept."""

    connection_config: Mapping[str, Any]
    token: Mapping[str, Any] = field(repr=False)
    expires_at: datetime | None = None


@frozen(kw_only=True)
class ProviderAnswer:
    """What the provider said to a call through Nango's proxy; `body` is parsed JSON, or None."""

    status: int
    body: Any
    retry_after: int | None = None


class AuthGateway(Protocol):
    """Nango: does the OAuth dance and keeps the credentials.

    Every method may raise `GatewayNonsense`, and `GatewayUnavailable`: Nango cannot be reached, or limits our
    calls. Two subclasses of the latter say more: `GatewayTimeout`, the call may have taken effect, and
    `GatewayRefused`, Nango refuses our key.
    """

    @abstractmethod
    async def open_session(
        self,
        *,
        integration: str,
        tags: Mapping[str, str],
        connection_config: Mapping[str, str],
        authorization_params: Mapping[str, str],
        reconnect: str | None,
    ) -> Session:
        """Open a connect session; `reconnect` is the Nango id to authorize again.

        Raises:
            IntegrationMissing: Nango has no such integration.
            GrantNotFound: the connection to reconnect is gone at Nango.

        """

    @abstractmethod
    async def start_flow(self, integration: str, session: Session) -> Flow:
        """Start the OAuth flow as a browser would, without following the redirect."""

    @abstractmethod
    async def relay_callback(self, query: Sequence[tuple[str, str]], cookie: str) -> None:
        """Hand the provider's callback to Nango. Its page proves nothing: nothing is returned.

        Raises:
            GatewayTimeout: no answer came. Nango may have taken the callback, or may still take it.
            GatewayNonsense: something else answered in Nango's place. Nango may have taken the callback.
            GatewayUnavailable: Nango has not taken the callback. It may be handed over again.

        """

    @abstractmethod
    async def find_grants(self, tags: Mapping[str, str]) -> Sequence[Grant]:
        """Find what Nango has under all of these tags."""

    @abstractmethod
    async def any_grant(self, tags: Mapping[str, str]) -> bool:
        """Whether Nango has anything under all of these tags: one small answer, however much it has."""

    @abstractmethod
    async def has_grant(self, integration: str, nango_id: str) -> bool:
        """Whether Nango still has the connection.

        It is there if Nango lists it. It is gone only if Nango answers 404 for it, too.
        """

    @abstractmethod
    async def fetch(self, integration: str, nango_id: str, *, refresh: bool = False) -> GrantDetails:
        """Fetch a connection; `refresh` forces new credentials. Nango refreshes by itself near expiry.

        Raises:
            GrantNotFound: gone at Nango.
            CredentialsUnusable: the provider refused to renew them, or Nango backs off or has given up.

        """

    @abstractmethod
    async def call_provider(
        self, integration: str, nango_id: str, identity: Identity, *, base_url: str | None
    ) -> ProviderAnswer:
        """Make the identity call through the proxy.

        Raises:
            GrantNotFound: gone at Nango.
            CredentialsUnusable: Nango has no usable credentials to call with.
            ProviderUnavailable: Nango could not reach the provider.
            ProviderCallRefused: Nango's configuration keeps it from calling this provider.

        """

    @abstractmethod
    async def import_credentials(
        self,
        *,
        integration: str,
        nango_id: str,
        kind: str,
        credentials: Mapping[str, str],
        connection_config: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Store credentials under an id of ours; the same id again overrides.

        `kind` says what they are, in Nango's word: `ApiKey.type`.

        Raises:
            IntegrationMissing: Nango has no such integration.
            CredentialsRefused: Nango tried them and the provider refused.

        """

    @abstractmethod
    async def delete(self, integration: str, nango_id: str) -> None:
        """Delete a connection at Nango; one that is gone already is fine."""

    @abstractmethod
    def grants(self) -> AsyncIterator[Sequence[Grant]]:
        """Walk through everything Nango has, a page at a time."""

    @abstractmethod
    async def integrations(self) -> Sequence[str]:
        """Name the integrations of this Nango environment."""

    @abstractmethod
    async def missing_permissions(self) -> Sequence[str]:
        """Name what our key lacks of what the other methods need, in Nango's words; nothing is changed."""


@frozen(kw_only=True)
class Notice:
    """What a webhook of Nango speaks of: a reason to look, and nothing more.

    `trouble`: it tells of a failure, so it is news only if the connection is active. `well`: it tells that
    credentials work, so it is news only if the connection is not active.
    """

    integration: str
    nango_id: str
    attempt_id: str | None
    trouble: bool = False
    well: bool = False


class NoticeReader(Protocol):
    """Tells Nango's webhooks from forged ones, and reads them."""

    @abstractmethod
    def read(self, body: bytes, signature: str | None) -> Notice | None:
        """Read a webhook; None where it is of a kind that is no reason to look.

        Raises:
            WebhookRefused: the signature over exactly these bytes was made with none of our keys.

        """
