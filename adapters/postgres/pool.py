"""The pool of connections, and the one way to use one of them."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import asyncpg
from attrs import define, field, frozen

from adapters.postgres.errors import DRIVER_ERRORS, gave_way, is_outage, translate
from adapters.postgres.hosts import connect
from domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    _Pool = asyncpg.Pool[asyncpg.Record]
else:
    _Pool = asyncpg.Pool

ACQUIRE_TIMEOUT = 1.0
"""Seconds to wait for a connection of the pool, and then again for one to be made."""
COMMAND_TIMEOUT = 3.0
"""Seconds after which the client gives up a statement."""
TRIES = 3
"""How often a statement outside a transaction is run if PostgreSQL undoes it: docs/adr/0007."""
PAUSE = 0.05
"""Seconds before the next try, at most."""
SERVER_TIMEOUTS = {
    "statement_timeout": "2500ms",
    "lock_timeout": "2000ms",
    "idle_in_transaction_session_timeout": "5000ms",
}
"""The server gives up before the client does, so that it can say why."""


@define(eq=False)
class Turns:
    """Who gets a connection of a pool next: first come, first served.

    asyncpg gives a connection that comes free to whoever asks for it next, even if others are waiting. Under
    load the same ones would then wait until their time is over.
    """

    _free: int
    _waiting: deque[asyncio.Future[None]] = field(factory=deque, init=False)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(not waiter.done() for waiter in self._waiting)

    async def take(self) -> None:
        """Wait for a turn.

        Raises:
            TimeoutError: there was none within a second.

        """
        if self._free and not self._waiting:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(ACQUIRE_TIMEOUT, _give_up, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.exception() is None:
                self.give_back()
            raise
        finally:
            timer.cancel()

    def give_back(self) -> None:
        """End a turn: the next one who waits, and has not given up, gets it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class Pool(_Pool):
    """A pool of asyncpg's that is shared fairly."""

    def __init__(self, url: str, *, max_size: int, **how: Any) -> None:
        super().__init__(
            url,
            min_size=0,
            max_size=max_size,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            reset=_keep,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            **how,
        )
        self.turns = Turns(max_size)


async def open_pool(url: str, *, max_size: int = 10, through_pgbouncer: bool = False) -> Pool:
    """Open the pool; it connects as it is needed, so the database may still be down.

    Args:
        url: a postgresql:// URL as libpq knows them: several hosts, target_session_attrs, sslmode, …
        max_size: the most connections at once; who waits longer than a second for one gets a 503.
        through_pgbouncer: in its transaction mode no statement may be prepared and no setting be sent at
            the start; give the role the settings instead (ALTER ROLE … SET statement_timeout …).

    Raises:
        ValueError: the URL cannot be understood.

    """
    return await Pool(
        url,
        max_size=max_size,
        connect=connect,
        timeout=ACQUIRE_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        statement_cache_size=0 if through_pgbouncer else 200,
        server_settings=None if through_pgbouncer else {"application_name": "connections", **SERVER_TIMEOUTS},
    )


async def _keep(connection: object) -> None:
    """Reset nothing: no session state is ever set, and asyncpg still rolls back an open transaction."""


@frozen
class Session:
    """One connection of the pool, held for one unit of work; it raises the core's errors."""

    _connection: Any
    _pool: Pool

    async def rows(self, sql: str, *args: object) -> Sequence[asyncpg.Record]:
        """Run a statement and give all its rows."""
        return cast("Sequence[asyncpg.Record]", await self._ask(self._connection.fetch, sql, args))

    async def row(self, sql: str, *args: object) -> asyncpg.Record | None:
        """Run a statement and give its first row."""
        return cast("asyncpg.Record | None", await self._ask(self._connection.fetchrow, sql, args))

    async def run(self, sql: str, *args: object) -> str:
        """Run a statement for its effect; give PostgreSQL's command tag, such as `UPDATE 1`."""
        return cast("str", await self._ask(self._connection.execute, sql, args))

    async def _ask(self, how: Callable[..., Awaitable[Any]], sql: str, args: Sequence[object]) -> Any:
        """Run a statement; again where it gave way to another, unless a whole transaction went with it."""
        tries = TRIES
        while True:
            tries -= 1
            try:
                alone = not self._connection.is_in_transaction()
                return await how(sql, *args)
            except asyncio.CancelledError:
                self.cut()
                raise
            except DRIVER_ERRORS as error:
                if not (gave_way(error) and alone and tries):
                    raise await self._meaning(error) from None
            await asyncio.sleep(random.uniform(0, PAUSE))  # noqa: S311 - jitter, no secret

    def cut(self) -> None:
        """Drop the connection, whatever it is doing; the pool makes another.

        The driver's way of giving up is to ask the server to cancel. A COMMIT that waits for a synchronous
        standby would then take effect on the primary alone, be seen, and be lost with it; one that is only
        left alone goes on waiting, and shows nothing until it is safe.
        """
        with suppress(asyncpg.InterfaceError):
            self._connection.terminate()

    async def _meaning(self, error: BaseException) -> Exception:
        if is_outage(error) or isinstance(error, TimeoutError):
            self.cut()
        return await _explain(self._pool, error)


@asynccontextmanager
async def session(pool: Pool) -> AsyncIterator[Session]:
    """Borrow a connection of the pool.

    Raises:
        StoreUnavailable: there was none within a second, or it could not be made within another.

    """
    try:
        await pool.turns.take()
    except TimeoutError:
        raise StoreUnavailable(why="all connections of the pool are in use") from None
    try:
        try:
            connection = await pool.acquire()
        except DRIVER_ERRORS as error:
            raise await _explain(pool, error) from None
        try:
            yield Session(connection, pool)
        finally:
            # The work is done or has failed by now: a connection that breaks on its way back changes neither.
            with suppress(*DRIVER_ERRORS):
                await pool.release(connection, timeout=ACQUIRE_TIMEOUT)
    finally:
        pool.turns.give_back()


async def _explain(pool: Pool, error: BaseException) -> Exception:
    if is_outage(error):
        await pool.expire_connections()
    return translate(error)
