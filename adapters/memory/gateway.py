"""A Nango in memory: does what the real one was seen to do, and fails as a test tells it to."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
from attrs import field, frozen

from adapters.memory.script import Scripted
from application.ports import AuthGateway, Flow, GrantDetails, ProviderAnswer, Session
from domain.authorization import Grant
from domain.errors import (
    CredentialsRefused,
    CredentialsUnusable,
    GatewayNonsense,
    GatewayUnavailable,
    GrantNotFound,
    IntegrationMissing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from domain.errors import DomainError
    from domain.provider import Identity

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CALLBACK_URL = "http://localhost:3000/oauth/callback"
INTEGRATIONS = (
    "stripe-app",
    "stripe-api-key",
    "salesforce",
    "hubspot",
    "quickbooks",
    "pandadoc",
    "pandadoc-api-key",
    "netsuite",
    "netsuite-tba",
    "slack",
    "google-mail",
)
TOKEN_LIFETIME = timedelta(hours=1)
REFRESH_MARGIN = timedelta(minutes=15)
BACKING_OFF = "A recent refresh attempt failed. Backing off before retrying."
PAGE_SIZE = 1000


@frozen(kw_only=True)
class StoredGrant:
    """What this Nango keeps of a connection; a test may look at it and put a changed one back.

    `kind` is what an import called the credentials. `refusal` is what a refresh will come to, None for
    success; `backing_off` is Nango's half minute after a failed one.
    """

    integration: str
    nango_id: str
    tags: Mapping[str, str]
    connection_config: Mapping[str, Any]
    kind: str | None = None
    token: Mapping[str, Any] = field(factory=dict, repr=False)
    expires_at: datetime | None = None
    has_refresh_token: bool = True
    refusal: CredentialsUnusable | None = None
    backing_off: bool = False

    def shown(self) -> Grant:
        """Give it as Nango lists it."""
        return Grant(
            nango_id=self.nango_id, integration=self.integration, tags=self.tags, auth_error=self.backing_off
        )


@frozen(kw_only=True)
class _Opened:
    """A session's terms, and after its start, a flow's."""

    integration: str
    tags: Mapping[str, str]
    connection_config: Mapping[str, str]
    authorization_params: Mapping[str, str]
    reconnect: str | None


class MemoryGateway(Scripted, AuthGateway):
    """The port in memory. Deterministic: ids count up, time stands still unless `clock` moves it.

    Operations, as `calls` counts them: open_session, start_flow, relay_callback, find_grants, any_grant,
    has_grant, fetch, refresh (a forced fetch), call_provider, import_credentials, delete, grants,
    integrations, missing_permissions.

    Attributes:
        stored: the connections, by (integration, Nango id).
        answers: what the provider says, by Nango id: an answer, or an error to raise.
        answer: what the provider says to all others.
        asked: the calls that reached a provider: Nango id, call, base URL.
        bad_credentials: values that an import is refused for.
        lacking: the permissions that our key does not have.

    """

    def __init__(
        self,
        *,
        callback_url: str = CALLBACK_URL,
        integrations: Iterable[str] = INTEGRATIONS,
        clock: Callable[[], datetime] = lambda: NOON,
    ) -> None:
        self.callback_url = callback_url
        super().__init__()
        self.stored: dict[tuple[str, str], StoredGrant] = {}
        self.answers: dict[str, ProviderAnswer | DomainError] = {}
        self.answer = ProviderAnswer(status=200, body={"id": "acct_1", "name": "Juniper & Fern"})
        self.asked: list[tuple[str, Identity, str | None]] = []
        self.bad_credentials: set[str] = set()
        self.lacking: list[str] = []
        self._integrations = list(integrations)
        self._clock = clock
        self._sessions: dict[str, _Opened] = {}
        self._flows: dict[str, _Opened] = {}
        self._numbers: Counter[str] = Counter()

    # ── for tests ─────────────────────────────────────────────────────────────────────────────────

    def grant(self, nango_id: str) -> StoredGrant:
        """Give what is stored under a Nango id.

        Raises:
            GrantNotFound: nothing is.

        """
        for stored in self.stored.values():
            if stored.nango_id == nango_id:
                return stored
        raise GrantNotFound

    def change(self, nango_id: str, **changes: Any) -> None:
        """Change what is stored: `change(id, expires_at=NOON, has_refresh_token=False)`."""
        self._put(attrs.evolve(self.grant(nango_id), **changes))

    def refuse_refresh(self, nango_id: str, message: str, *, exhausted: bool = False) -> None:
        """Let refreshes of this connection fail from now on; exhausted: the plain fetch too, at once."""
        self.change(
            nango_id, refusal=CredentialsUnusable(message, exhausted=exhausted), backing_off=exhausted
        )

    def accept_refresh(self, nango_id: str) -> None:
        """Let refreshes succeed again; Nango's back-off, if any, goes on."""
        self.change(nango_id, refusal=None)

    def end_backoff(self, nango_id: str) -> None:
        """Let the half minute pass for which Nango backs off after a failed refresh."""
        self.change(nango_id, backing_off=False)

    def forget(self, nango_id: str) -> None:
        """Delete a connection behind our back, as by hand in Nango's dashboard."""
        stored = self.grant(nango_id)
        del self.stored[stored.integration, nango_id]

    # ── the port ──────────────────────────────────────────────────────────────────────────────────

    async def open_session(
        self,
        *,
        integration: str,
        tags: Mapping[str, str],
        connection_config: Mapping[str, str],
        authorization_params: Mapping[str, str],
        reconnect: str | None,
    ) -> Session:
        """Open a session; a reconnect of what is not there is refused, as is an unknown integration."""
        async with self._call("open_session"):
            if reconnect is not None and (integration, reconnect) not in self.stored:
                raise GrantNotFound
            self._know(integration)
            token = self._next("session")
            self._sessions[token] = _Opened(
                integration=integration,
                tags={key.lower(): value for key, value in tags.items()},
                connection_config=dict(connection_config),
                authorization_params=dict(authorization_params),
                reconnect=reconnect,
            )
            return Session(
                token=token,
                connect_link=f"https://connect.example/?session_token={token}",
                expires_at=self._clock() + timedelta(minutes=30),
            )

    async def start_flow(self, integration: str, session: Session) -> Flow:
        """Begin a flow; a session may begin many."""
        async with self._call("start_flow"):
            opened = self._sessions.get(session.token)
            if opened is None:
                raise GatewayUnavailable("Nango does not accept the session it gave. Try again.")
            if opened.integration != integration:
                raise GatewayNonsense
            state = self._next("nango-state")
            self._flows[state] = opened
            query = {"client_id": "client", "redirect_uri": self.callback_url, "state": state}
            query |= opened.authorization_params
            return Flow(
                authorization_url=f"https://provider.example/authorize?{urlencode(query)}",
                redirect_uri=self.callback_url,
                state=state,
                cookie=f"oauth2-{state}=1",
            )

    async def relay_callback(self, query: Sequence[tuple[str, str]], cookie: str) -> None:
        """Finish a flow where the query has a code, the cookie is its own, and the state is used first."""
        async with self._call("relay_callback"):
            given = dict(query)
            state = given.get("state", "")
            opened = self._flows.pop(state, None)
            if opened is None or "error" in given or "code" not in given or cookie != f"oauth2-{state}=1":
                return
            returned = {key: value for key, value in given.items() if key == "realmId"}
            self._put(
                StoredGrant(
                    integration=opened.integration,
                    nango_id=opened.reconnect or self._next("grant"),
                    tags=opened.tags,
                    connection_config={**opened.connection_config, **returned},
                    token=self._new_token(),
                    expires_at=self._clock() + TOKEN_LIFETIME,
                )
            )

    async def find_grants(self, tags: Mapping[str, str]) -> Sequence[Grant]:
        """Find by tags, newest first as Nango lists."""
        async with self._call("find_grants"):
            wanted = {key.lower(): value for key, value in tags.items()}
            return [each for each in self._listed() if wanted.items() <= each.tags.items()]

    async def any_grant(self, tags: Mapping[str, str]) -> bool:
        """Look whether there is one with these tags."""
        async with self._call("any_grant"):
            wanted = {key.lower(): value for key, value in tags.items()}
            return any(wanted.items() <= each.tags.items() for each in self._listed())

    async def has_grant(self, integration: str, nango_id: str) -> bool:
        """Look whether a connection is there."""
        async with self._call("has_grant"):
            self._know(integration)
            return (integration, nango_id) in self.stored

    async def fetch(self, integration: str, nango_id: str, *, refresh: bool = False) -> GrantDetails:
        """Give a connection, its token renewed where that is due or forced."""
        async with self._call("refresh" if refresh else "fetch"):
            stored = self._usable(integration, nango_id, forced=refresh)
            return GrantDetails(
                connection_config=stored.connection_config, token=stored.token, expires_at=stored.expires_at
            )

    async def call_provider(
        self, integration: str, nango_id: str, identity: Identity, *, base_url: str | None
    ) -> ProviderAnswer:
        """Give the answer that the test has put down for this connection."""
        async with self._call("call_provider"):
            self._usable(integration, nango_id, forced=False)
            self.asked.append((nango_id, identity, base_url))
            answer = self.answers.get(nango_id, self.answer)
            if isinstance(answer, Exception):
                raise answer
            return answer

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
        """Store credentials, without keeping them; the same id overrides."""
        async with self._call("import_credentials"):
            self._know(integration)
            if self.bad_credentials & set(credentials.values()):
                raise CredentialsRefused("they were found to be invalid.")
            self._put(
                StoredGrant(
                    integration=integration,
                    nango_id=nango_id,
                    tags={key.lower(): value for key, value in tags.items()},
                    connection_config=dict(connection_config),
                    kind=kind,
                    has_refresh_token=False,
                )
            )

    async def delete(self, integration: str, nango_id: str) -> None:
        """Delete; once or often."""
        async with self._call("delete"):
            self.stored.pop((integration, nango_id), None)

    async def grants(self) -> AsyncIterator[Sequence[Grant]]:
        """Walk through all connections."""
        async with self._call("grants"):
            listed = self._listed()
        for start in range(0, len(listed), PAGE_SIZE):
            yield listed[start : start + PAGE_SIZE]

    async def integrations(self) -> Sequence[str]:
        """Name the integrations."""
        async with self._call("integrations"):
            return list(self._integrations)

    async def missing_permissions(self) -> Sequence[str]:
        """Name what the test has put down as missing."""
        async with self._call("missing_permissions"):
            return list(self.lacking)

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    def _usable(self, integration: str, nango_id: str, *, forced: bool) -> StoredGrant:
        self._know(integration)
        stored = self.stored.get((integration, nango_id))
        if stored is None:
            raise GrantNotFound
        if stored.backing_off and not forced:
            exhausted = stored.refusal is not None and stored.refusal.exhausted
            raise stored.refusal if exhausted and stored.refusal else CredentialsUnusable(BACKING_OFF)
        due = stored.expires_at is not None and stored.expires_at < self._clock() + REFRESH_MARGIN
        if not stored.has_refresh_token or not (forced or due):
            return stored
        if stored.refusal is not None:
            self._put(attrs.evolve(stored, backing_off=True))
            raise stored.refusal
        return self._put(
            attrs.evolve(
                stored,
                backing_off=False,
                token=self._new_token(),
                expires_at=self._clock() + TOKEN_LIFETIME,
            )
        )

    def _know(self, integration: str) -> None:
        if integration not in self._integrations:
            raise IntegrationMissing(integration)

    def _listed(self) -> list[Grant]:
        return [stored.shown() for stored in reversed(self.stored.values())]

    def _put(self, stored: StoredGrant) -> StoredGrant:
        self.stored[stored.integration, stored.nango_id] = stored
        return stored

    def _new_token(self) -> Mapping[str, Any]:
        return {"access_token": self._next("access"), "token_type": "Bearer"}

    def _next(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{kind}-{self._numbers[kind]}"
