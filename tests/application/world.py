"""A company, its users, the providers and Nango: everything around the service, and what they do to it."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from adapters.memory.api_keys import MemoryApiKeys
from adapters.memory.gateway import MemoryGateway
from application.authorization_state import hash_state
from application.ports import ConnectionFilter, ProviderAnswer
from domain.connection import DISCONNECTED, ERROR, EXPIRED, Connection
from domain.errors import RefreshRefused
from domain.redirect import RedirectUrl
from tests.application.locked_store import LockedStore
from tests.application.service import SETTINGS, Service

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from adapters.memory.script import Gate
    from adapters.memory.store import MemoryStore
    from application.authorization_results import AuthorizationResult, AuthorizationStarted
    from application.create_connection import ConnectionCreated
    from application.ports import ProviderCatalogue, Session
    from application.verify_connection import Verification
    from domain.authorization import Attempt
    from domain.events import Event

Result = TypeVar("Result")

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMPANY = "acme"
ACTOR = "api_key:ck_1"
APP = "https://app.example.com/settings"


class World:
    """One process of the service over a store and a Nango that others may share. The clock is the loop's."""

    def __init__(
        self,
        *,
        nango_callback: str = SETTINGS.callback_url,
        store: MemoryStore | None = None,
        gateway: MemoryGateway | None = None,
        providers: ProviderCatalogue | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.store = store or LockedStore(self.now)
        self.gateway = gateway or MemoryGateway(callback_url=nango_callback, clock=self.now)
        self.api_keys = MemoryApiKeys(self.now)
        self.providers = providers
        self.service = Service(
            store=self.store,
            gateway=self.gateway,
            api_keys=self.api_keys,
            monotonic=self._loop.time,
            providers=providers,
        )
        self.use_cases = self.service.use_cases

    def another_process(
        self, gateway: MemoryGateway | None = None, *, providers: ProviderCatalogue | None = None
    ) -> World:
        """A second process over the same store and, unless told otherwise, the same Nango and providers."""
        return World(store=self.store, gateway=gateway or self.gateway, providers=providers or self.providers)

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> datetime:
        return NOON + timedelta(milliseconds=round(self._loop.time() * 1000))

    async def later(self, **time: float) -> None:
        """Let time pass with no worker at work."""
        await asyncio.sleep(timedelta(**time).total_seconds())

    async def work(self) -> int:
        """One round of the worker."""
        return await self.service.do_due_work()

    async def work_for(self, **time: float) -> None:
        """Let time pass with a worker that looks every second, or every five where it is long."""
        end = self._loop.time() + timedelta(**time).total_seconds()
        pause = 5 if timedelta(**time) >= timedelta(minutes=10) else 1
        while self._loop.time() < end:
            await self.work()
            await asyncio.sleep(pause)
        await self.work()

    # ── what a company's programs do ──────────────────────────────────────────────────────────────

    async def auth_url(
        self,
        provider: str = "stripe",
        *,
        redirect: str | None = None,
        name: str | None = None,
        company: str = COMPANY,
        **parameters: str,
    ) -> AuthorizationStarted:
        return await self.use_cases.get_auth_url(
            company_id=company,
            provider=provider,
            redirect_url=redirect_url(redirect),
            name=name,
            parameters=parameters,
            actor=ACTOR,
        )

    async def create(
        self,
        provider: str = "stripe",
        *,
        name: str = "Production",
        key: str | None = None,
        redirect: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        company: str = COMPANY,
        **parameters: str,
    ) -> ConnectionCreated:
        return await self.use_cases.create_connection(
            company_id=company,
            provider=provider,
            name=name,
            metadata=metadata or {},
            redirect_url=redirect_url(redirect),
            parameters=parameters,
            idempotency_key=key,
            actor=ACTOR,
        )

    async def reauthorize(self, connection_id: str, **parameters: str) -> AuthorizationStarted:
        return await self.use_cases.reauthorize_connection(
            company_id=COMPANY,
            connection_id=connection_id,
            redirect_url=None,
            parameters=parameters,
            actor=ACTOR,
        )

    async def open_session(self, connection_id: str, *, redirect: str | None = None) -> Session:
        return await self.use_cases.open_connect_session(
            company_id=COMPANY,
            connection_id=connection_id,
            redirect_url=redirect_url(redirect),
            actor=ACTOR,
        )

    async def verify(self, connection_id: str) -> Verification:
        return await self.use_cases.verify_connection(
            company_id=COMPANY, connection_id=connection_id, actor=ACTOR
        )

    async def refresh(self, connection_id: str) -> Connection:
        return await self.use_cases.refresh_connection(
            company_id=COMPANY, connection_id=connection_id, actor=ACTOR
        )

    async def delete(self, connection_id: str) -> None:
        await self.use_cases.delete_connection(company_id=COMPANY, connection_id=connection_id, actor=ACTOR)

    async def disconnect(self, connection_id: str) -> Connection:
        return await self.use_cases.disconnect_connection(
            company_id=COMPANY, connection_id=connection_id, actor=ACTOR
        )

    # ── what browsers do ──────────────────────────────────────────────────────────────────────────

    async def come_back(self, url: str | None, **query: str) -> AuthorizationResult:
        """The provider sends the browser back to us; with a code, unless the query says otherwise."""
        query = query or {"code": "c"}
        state = state_of(url)
        return await self.use_cases.complete_authorization(
            state=state, query=[*query.items(), ("state", state)]
        )

    async def deny(self, url: str | None) -> AuthorizationResult:
        return await self.come_back(url, error="access_denied")

    async def report(
        self,
        connection_id: str,
        *,
        provider: str = "stripe",
        error: str | None = None,
        redirect: str | None = None,
    ) -> AuthorizationResult:
        """Call the reference's callback route, as anybody may."""
        return await self.service.report_authorization(
            provider=provider, connection_id=connection_id, error=error, redirect_url=redirect
        )

    async def nango_finishes(self, url: str | None) -> None:
        """Nango completes a callback by itself that it was given before, whoever still listens."""
        async with self.store.begin() as tx:
            attempt = await tx.attempts.by_state(hash_state(state_of(url)))
        assert attempt is not None
        query = [("code", "c"), ("state", attempt.nango_state or "")]
        await self.gateway.relay_callback(query, attempt.nango_cookie or "")

    async def finish_at_nango(self, url: str) -> None:
        """The provider sends the browser to Nango itself, which completes the flow without us."""
        state = state_of(url)
        await self.gateway.relay_callback([("code", "c"), ("state", state)], f"oauth2-{state}=1")

    async def finish_session(self, session: Session, integration: str = "stripe-app") -> None:
        """A front end runs Nango's SDK with the session, to the end."""
        flow = await self.gateway.start_flow(integration, session)
        await self.finish_at_nango(flow.authorization_url)

    # ── timing ────────────────────────────────────────────────────────────────────────────────────

    async def catch(
        self, operation: str, call: Coroutine[Any, Any, Result], *, after: bool = True
    ) -> tuple[asyncio.Task[Result], Gate]:
        """Start a call and keep it, Nango's answer to this operation in its hand; others go on freely.

        `after=False`: before Nango has done anything.
        """
        gate = self.gateway.hold(operation, after=after)
        task = asyncio.ensure_future(call)
        await gate.reached.wait()
        del self.gateway._gates[operation, after]
        return task, gate

    # ── connections in every condition ────────────────────────────────────────────────────────────

    async def authorize(self, provider: str = "stripe", **parameters: str) -> Connection:
        """A connection that a user has authorized."""
        started = await self.auth_url(provider, **parameters)
        query = {"code": "c", "realmId": "4620816365"} if provider == "quickbooks" else {"code": "c"}
        await self.come_back(started.url, **query)
        return await self.connection(started.connection_id)

    def answer(self, connection: Connection, status: int, body: Any = None) -> None:
        """Let the provider answer this to calls with the connection's credentials."""
        self.gateway.answers[nango_id(connection)] = ProviderAnswer(status=status, body=body)

    def refuse(self, connection: Connection, message: str = "Invalid API key provided") -> None:
        """Let the provider refuse the connection's credentials."""
        self.answer(connection, 401, {"error": {"message": message}})

    def accept(self, connection: Connection) -> None:
        """Let the provider like the connection's credentials again."""
        del self.gateway.answers[nango_id(connection)]

    async def in_error(self, provider: str = "stripe", **parameters: str) -> Connection:
        """A connection whose credentials the provider was seen to refuse."""
        connection = await self.authorize(provider, **parameters)
        self.refuse(connection)
        await self.verify(connection.id)
        self.accept(connection)
        return await self._now_in(ERROR, connection.id)

    async def expired(self, provider: str = "stripe", **parameters: str) -> Connection:
        """A connection whose token has ended, with nothing to renew it by."""
        connection = await self.authorize(provider, **parameters)
        self.gateway.change(nango_id(connection), expires_at=self.now(), has_refresh_token=False)
        with contextlib.suppress(RefreshRefused):
            await self.refresh(connection.id)
        return await self._now_in(EXPIRED, connection.id)

    async def disconnected(self, provider: str = "stripe", **parameters: str) -> Connection:
        """A connection that the company has disconnected."""
        connection = await self.authorize(provider, **parameters)
        await self.disconnect(connection.id)
        return await self._now_in(DISCONNECTED, connection.id)

    async def _now_in(self, status: str, connection_id: str) -> Connection:
        connection = await self.connection(connection_id)
        assert connection.status == status
        return connection

    # ── what can be seen ──────────────────────────────────────────────────────────────────────────

    async def connection(self, connection_id: str, company: str = COMPANY) -> Connection:
        return await self.store.find(company, connection_id)

    async def connections(self, company: str = COMPANY) -> Sequence[Connection]:
        page = await self.use_cases.list_connections(
            company_id=company, wanted=ConnectionFilter(), limit=100, cursor=None
        )
        return [await self.connection(item.id, company) for item in page.items]

    async def events(self, connection_id: str) -> Sequence[Event]:
        page = await self.use_cases.list_events(
            company_id=COMPANY, connection_id=connection_id, limit=100, cursor=None
        )
        return page.items

    async def history(self, connection_id: str) -> list[str]:
        return [event.type.value for event in await self.events(connection_id)]

    async def attempts(self, connection_id: str) -> Sequence[Attempt]:
        async with self.store.begin() as tx:
            return await tx.attempts.of(COMPANY, connection_id)

    def grants(self) -> set[str]:
        """The Nango ids of everything that Nango has."""
        return {nango_id for _, nango_id in self.gateway.stored}


def redirect_url(text: str | None) -> RedirectUrl | None:
    return RedirectUrl.parse(text) if text else None


def state_of(url: str | None) -> str:
    """The state that a provider's page hands back."""
    assert url is not None
    (state,) = parse_qs(urlsplit(url).query)["state"]
    return state


def nango_id(connection: Connection) -> str:
    assert connection.nango_id is not None
    return connection.nango_id
