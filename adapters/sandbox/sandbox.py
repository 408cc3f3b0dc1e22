"""The sandbox itself: what it remembers, and the switches on it.

`Sandbox` is what the request handlers share and what tests hold in their hands; every method is also to be
had over HTTP (see `adapters.sandbox.control`).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from attrs import evolve

from adapters.sandbox.calls import Call, CallLog
from adapters.sandbox.errors import connection_not_found
from adapters.sandbox.faults import Fault, Faults
from adapters.sandbox.integrations import INTEGRATIONS
from adapters.sandbox.model import Connection, Flow, Grant, Integration, Session, connection_key
from adapters.sandbox.storage import Documents, Table
from adapters.sandbox.tokens import AuthorizationServer
from adapters.sandbox.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from pathlib import Path

    from adapters.sandbox.accounts import Account
    from adapters.sandbox.settings import Settings

Result = TypeVar("Result")


class Sandbox:
    """State and switches of one sandbox."""

    def __init__(
        self, settings: Settings, *, data_dir: Path | None = None, integrations: Iterable[Integration] = ()
    ) -> None:
        self.settings = settings
        self.started_at = time.time()
        self.integrations = {each.unique_key: each for each in (*INTEGRATIONS, *integrations)}
        self.documents = Documents(data_dir)
        self.sessions = Table(self.documents, "session", Session)
        self.flows = Table(self.documents, "flow", Flow)
        self.connections = Table(self.documents, "connection", Connection)
        self.authorization_server = AuthorizationServer(Table(self.documents, "grant", Grant))
        self.faults = Faults()
        self.calls = CallLog()
        self.webhooks = Webhooks(self)
        self._background: set[asyncio.Task[Any]] = set()
        self.closing = asyncio.Event()
        self.refreshes: dict[str, asyncio.Task[Connection]] = {}
        self._sweep()
        self._redirect_uris = {each.redirect_uri for each in self.flows.rows()}
        self._last_id = max((each.id for each in self.connections.rows()), default=0)

    # -- what the handlers need ---------------------------------------------------------------------------

    def connection(self, integration: str, connection_id: str) -> Connection | None:
        """Give a connection that is there (a deleted one is not)."""
        found = self.connections.get(connection_key(integration, connection_id))
        return None if found is None or found.deleted else found

    def integration_of(self, connection: Connection) -> Integration:
        """Give a connection's integration, also where it is not declared (any more)."""
        name = connection.integration
        return self.integrations.get(name) or Integration(name, connection.credentials["type"])

    def account_behind(self, connection: Connection) -> Account | None:
        """Give the account that a connection's credentials open; None when they open nothing (any more)."""
        key = bearer(connection.credentials)
        return self.authorization_server.account_behind(connection.integration, key)

    def live_connections(self) -> list[Connection]:
        """Give all connections that are there, newest first."""
        return sorted(
            (each for each in self.connections.rows() if not each.deleted),
            key=lambda connection: connection.id,
            reverse=True,
        )

    def store(self, connection: Connection) -> Connection:
        """Keep a connection."""
        return self.connections.put(connection.key, connection)

    def next_id(self) -> int:
        """Give the next of Nango's numbers."""
        self._last_id += 1
        return self._last_id

    def begin(self, flow: Flow) -> None:
        """Keep a flow until it comes back."""
        self._redirect_uris.add(flow.redirect_uri)
        self.flows.put(flow.state, flow)

    def is_redirect_uri(self, url: str) -> bool:
        """Whether a provider may send the browser there: a callback URL that a flow has named."""
        return url == self.settings.callback_url or url in self._redirect_uris

    def record(self, operation: str, status: int, **where: str | None) -> None:
        """Write a call into the log."""
        self.calls.record(Call(operation, status, time.time(), **where))

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start work that is finished though its caller may go away, as Nango finishes what it began."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Give up what is under way, and let go of the file."""
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.webhooks.close()
        self.documents.close()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            # Nobody may be left to hear of a failure.
            task.exception()

    async def wait(self, seconds: float) -> None:
        """Let time pass, but no longer than the application runs."""
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), seconds)

    # -- switches -----------------------------------------------------------------------------------------

    def fail(self, target: str, kind: str | None = None, **where: Any) -> Fault:
        """Make something go wrong; see `adapters.sandbox.faults.Fault` for what and where.

        Raises:
            ValueError: There is no such fault.

        """
        return self.faults.add(target, kind, **where)

    def heal(self) -> None:
        """Take all faults away (what has been revoked or expired stays so)."""
        self.faults.clear()

    def find(self, connection_id: str) -> Connection:
        """Give the connection with Nango's id, deleted or not, or the newest live one with the id as a tag.

        Raises:
            NangoError: 404.

        """
        named = [each for each in self.connections.rows() if each.connection_id == connection_id]
        tagged = [each for each in self.live_connections() if connection_id == each.tags.get("connection")]
        for each in named + tagged:
            return each
        raise connection_not_found()

    def revoke(self, connection_id: str) -> None:
        """Revoke the credentials at the provider: calls are refused and so is the next refresh."""
        connection = self.find(connection_id)
        self.authorization_server.revoke(connection.integration, bearer(connection.credentials))

    def restore(self, connection_id: str) -> None:
        """Undo a revocation."""
        connection = self.find(connection_id)
        key = bearer(connection.credentials)
        self.authorization_server.revoke(connection.integration, key, revoked=False)

    def expire(self, connection_id: str) -> None:
        """End the access token's life now; the next unforced look refreshes it where it can."""
        connection = self.find(connection_id)
        self.authorization_server.expire(connection.integration, bearer(connection.credentials))
        self._with_credentials(connection, expires_at=time.time() - 1)

    def drop_refresh_token(self, connection_id: str) -> None:
        """Leave the connection without a refresh token, as some providers' apps do."""
        connection = self.find(connection_id)
        raw = {
            key: value
            for key, value in connection.credentials.get("raw", {}).items()
            if key != "refresh_token"
        }
        self._with_credentials(connection, refresh_token=None, raw=raw)

    def exhaust(self, connection_id: str) -> None:
        """Bring the connection to where Nango has given up refreshing it."""
        self.store(evolve(self.find(connection_id), refresh_exhausted=True))

    def end_backoff(self, connection_id: str) -> None:
        """Let the time pass that Nango waits after a failed refresh."""
        connection = self.find(connection_id)
        if connection.refresh_failed_at is not None:
            self.store(evolve(connection, refresh_failed_at=0.0))

    def forget(self, connection_id: str) -> None:
        """Delete the connection as if by hand in Nango's dashboard."""
        self.store(evolve(self.find(connection_id), deleted=True))

    def _with_credentials(self, connection: Connection, **changed: Any) -> None:
        credentials = connection.credentials | changed
        self.store(evolve(connection, credentials=credentials))

    def _sweep(self) -> None:
        """Forget sessions and flows that ended a day ago."""
        yesterday = time.time() - 86_400
        for session in self.sessions.rows():
            if session.expires_at < yesterday:
                self.sessions.pop(session.token)
        for flow in self.flows.rows():
            if flow.expires_at < yesterday:
                self.flows.pop(flow.state)


def bearer(credentials: dict[str, Any]) -> str:
    """Give the part of the credentials by which the provider knows whose they are."""
    for name in ("access_token", "apiKey", "username", "token_id", "token"):
        if credentials.get(name):
            return str(credentials[name])
    return ""


SANDBOX = web.AppKey("sandbox", Sandbox)
"""Where the application keeps its sandbox: `app[SANDBOX]`."""
