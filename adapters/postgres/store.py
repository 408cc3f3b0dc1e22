"""The store in PostgreSQL: units of work, and reads that need none."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Never, TypeVar, cast

from attrs import Factory, define, field, frozen

from adapters.postgres import feed, flights, watch
from adapters.postgres.attempts import PostgresAttempts
from adapters.postgres.connections import PostgresConnections
from adapters.postgres.idempotency import PostgresIdempotencyRecords
from adapters.postgres.jobs import PostgresJobs
from adapters.postgres.listing import list_connections
from adapters.postgres.loader import Loader
from adapters.postgres.migrate import shipped
from adapters.postgres.pool import session
from adapters.postgres.rows import (
    ATTEMPT_COLUMNS,
    CONNECTION_COLUMNS,
    DETAILS_COLUMNS,
    JOB_COLUMNS,
    VISIBLE,
    attempt_of,
    connection_of,
    details_of,
    job_of,
)
from application.ports import Store, Transaction
from domain.errors import ConnectionNotFound, StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from asyncpg import Record

    from adapters.postgres.pool import Pool, Session
    from application.ports import (
        ConnectionDetails,
        ConnectionFilter,
        ConnectionSummary,
        Flight,
        FlightKind,
        Job,
        Page,
    )
    from domain.authorization import Attempt
    from domain.connection import Connection
    from domain.events import Event

_Key = tuple[str, str]
Shown = TypeVar("Shown")

_WANTED = f"""
FROM unnest($1::text[], $2::text[]) AS wanted (company_id, id)
JOIN connections USING (company_id, id) WHERE {VISIBLE}
"""
_FIND = f"SELECT {CONNECTION_COLUMNS} {_WANTED}"
_SHOW = f"SELECT {DETAILS_COLUMNS}, company_id {_WANTED}"

# Here, too, the clock is read once, so that rows that are due later are not read at each look (see `watch`).
_TAKE_ATTEMPTS = f"""
WITH due AS MATERIALIZED (
    SELECT company_id, connection_id, id FROM attempts WHERE check_at <= (SELECT clock())
    ORDER BY check_at LIMIT $1 FOR UPDATE SKIP LOCKED)
UPDATE attempts SET check_at = clock() + $2::interval FROM due
WHERE (attempts.company_id, attempts.connection_id, attempts.id) = (due.company_id, due.connection_id, due.id)
RETURNING {", ".join("attempts." + column for column in ATTEMPT_COLUMNS.split(", "))}
"""  # noqa: S608 - constants

_TAKE_JOBS = f"""
WITH taken AS MATERIALIZED (
    SELECT company_id, connection_id, id FROM jobs WHERE due_at <= (SELECT clock())
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
UPDATE jobs SET due_at = clock() + $2::interval FROM taken
WHERE (jobs.company_id, jobs.connection_id, jobs.id) = (taken.company_id, taken.connection_id, taken.id)
RETURNING {", ".join("jobs." + column for column in JOB_COLUMNS.split(", "))}
"""  # noqa: S608 - constants

# A row that somebody is using again at this moment is locked, and skipped. Without SKIP LOCKED we would wait
# for it, and delete it with its new content: afterwards, PostgreSQL (seen with 16.5) only compares the ctid.
_SWEEP = """
WITH swept AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE {age} <= (SELECT clock()) - interval '24 hours' AND {condition}
        AND {age} >= coalesce($2::timestamptz, '-infinity')
    ORDER BY {age} LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING {age} AS age)
SELECT count(*) AS count, max(age) AS reached FROM swept
"""
# Closed attempts are the proof that a removal needs, and an outage of Nango may hold one up for longer than
# 24 hours. OFFSET 0 keeps PostgreSQL from reading all jobs: it looks them up by their key instead.
_PROVES_NOTHING = """NOT EXISTS (
        SELECT FROM jobs WHERE kind = 'remove'
            AND (jobs.company_id, jobs.connection_id) = (attempts.company_id, attempts.connection_id)
        OFFSET 0)"""
_SWEPT = (
    ("idempotency_records", "created_at", "true"),
    ("flights", "lease_until", "true"),
    ("attempts", "closed_at", _PROVES_NOTHING),
)
SWEPT_AT_ONCE = 1000
"""Rows deleted by one statement. After a long time without a worker there may be so many that a statement for
all of them would run into its timeout, each time anew."""


@frozen
class PostgresTransaction(Transaction):
    """One unit of work on one connection to the database."""

    now: datetime
    connections: PostgresConnections
    attempts: PostgresAttempts
    jobs: PostgresJobs
    idempotency: PostgresIdempotencyRecords


@define(eq=False)
class PostgresStore(Store):
    """The store over a pool that the entrypoint opens and closes."""

    _pool: Pool
    _found: Loader[_Key, Connection] = field(
        init=False, default=Factory(lambda self: Loader(self._find), takes_self=True)
    )
    _shown: Loader[_Key, ConnectionDetails] = field(
        init=False, default=Factory(lambda self: Loader(self._show), takes_self=True)
    )
    _deployment: str | None = field(default=None, init=False)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresTransaction]:
        """See the port."""
        async with session(self._pool) as work:
            try:
                # The row locks promise less at other isolation levels: see docs/adr/0007-who-gives-way.md.
                await work.run("BEGIN ISOLATION LEVEL READ COMMITTED")
                yield PostgresTransaction(
                    await _now(work),
                    PostgresConnections(work),
                    PostgresAttempts(work),
                    PostgresJobs(work),
                    PostgresIdempotencyRecords(work),
                )
                await _commit(work)
            except asyncio.CancelledError:
                # A cancelled statement has dropped its connection; a ROLLBACK would look like an outage.
                work.cut()
                raise
            except BaseException:
                await _roll_back(work)
                raise

    async def now(self) -> datetime:
        """See the port."""
        async with session(self._pool) as work:
            return await _now(work)

    async def find(self, company_id: str, connection_id: str) -> Connection:
        """See the port; reads that arrive together share one statement."""
        return await _load(self._found, company_id, connection_id)

    async def show(self, company_id: str, connection_id: str) -> ConnectionDetails:
        """See the port; reads that arrive together share one statement."""
        return await _load(self._shown, company_id, connection_id)

    async def company_of(self, connection_id: str) -> str | None:
        """See the port."""
        async with session(self._pool) as work:
            row = await work.row(
                f"SELECT company_id FROM connections WHERE id = $1 AND {VISIBLE}",  # noqa: S608 - constants
                connection_id,
            )
        return row["company_id"] if row else None

    async def list(
        self, company_id: str, wanted: ConnectionFilter, *, limit: int, cursor: str | None
    ) -> Page[ConnectionSummary]:
        """See the port."""
        async with session(self._pool) as work:
            return await list_connections(work, company_id, wanted, limit=limit, cursor=cursor)

    async def events(
        self, company_id: str, connection_id: str | None, *, limit: int, cursor: str | None
    ) -> Page[Event]:
        """See the port."""
        async with session(self._pool) as work:
            if connection_id is None:
                return await feed.company_events(work, company_id, limit=limit, cursor=cursor)
            return await feed.connection_events(work, company_id, connection_id, limit=limit, cursor=cursor)

    async def take_due_attempts(self, *, limit: int, lease: timedelta) -> Sequence[Attempt]:
        """See the port."""
        async with session(self._pool) as work:
            return [attempt_of(row) for row in await work.rows(_TAKE_ATTEMPTS, limit, lease)]

    async def take_due_jobs(self, *, limit: int, lease: timedelta) -> Sequence[Job]:
        """See the port."""
        async with session(self._pool) as work:
            return [job_of(row) for row in await work.rows(_TAKE_JOBS, limit, lease)]

    async def of_grants(self, grants: Sequence[tuple[str, str]]) -> Sequence[Connection]:
        """See the port."""
        async with session(self._pool) as work:
            return await watch.of_grants(work, grants)

    async def authorized(self, *, after: str | None, limit: int) -> Sequence[Connection]:
        """See the port."""
        async with session(self._pool) as work:
            return await watch.authorized(work, after, limit)

    async def stale(
        self, older_than: timedelta, *, turn: str, companies: int, limit: int, per_company: int
    ) -> Sequence[Connection]:
        """See the port."""
        async with session(self._pool) as work:
            return await watch.stale(work, older_than, turn, companies, limit, per_company)

    async def take_turn(self, name: str, *, every: timedelta) -> bool:
        """See the port."""
        async with session(self._pool) as work:
            return await watch.take_turn(work, name, every)

    async def board(
        self, company_id: str, connection_id: str, kind: FlightKind, *, flight_id: str, lease: timedelta
    ) -> tuple[Flight, bool]:
        """See the port."""
        async with session(self._pool) as work:
            return await flights.board(work, company_id, connection_id, kind, flight_id, lease)

    async def keep_up(self, flight_id: str, *, lease: timedelta) -> None:
        """See the port."""
        async with session(self._pool) as work:
            await flights.keep_up(work, flight_id, lease)

    async def land(self, flight_id: str, outcome: str) -> None:
        """See the port."""
        async with session(self._pool) as work:
            await flights.land(work, flight_id, outcome)

    async def flight(self, flight_id: str) -> Flight | None:
        """See the port."""
        async with session(self._pool) as work:
            return await flights.look(work, flight_id)

    async def forget_old(self) -> None:
        """See the port."""
        async with session(self._pool) as work:
            for table, age, condition in _SWEPT:
                statement = _SWEEP.format(table=table, age=age, condition=condition)
                swept, reached = SWEPT_AT_ONCE, None
                while swept == SWEPT_AT_ONCE:
                    # On from there: what has to stay is not walked over again each time.
                    row = await work.row(statement, SWEPT_AT_ONCE, reached)
                    swept, reached = (row["count"], row["reached"]) if row else _impossible()

    async def deployment(self) -> str:
        """See the port; it never changes, so it is asked for once."""
        if self._deployment is None:
            async with session(self._pool) as work:
                row = await work.row("SELECT id FROM deployment")
                self._deployment = row["id"] if row else _impossible()
        return self._deployment

    async def ping(self) -> None:
        """See the port; a newer schema is fine, since a release must run beside the one before it.

        Raises:
            StoreUnavailable: no answer; StoreRefused: migrations are pending.

        """
        revision = 0
        async with session(self._pool) as work:
            row = await work.row("SELECT to_regclass('schema_migrations') IS NOT NULL AS migrated")
            if row is not None and row["migrated"]:
                row = await work.row("SELECT max(revision) AS revision FROM schema_migrations")
                revision = (row and row["revision"]) or 0
        if revision < len(shipped()):
            behind = f"it is at revision {revision} of {len(shipped())}"
            raise StoreRefused(why=f"{behind}. Do `connections migrate` with this release.")

    async def _find(self, keys: Sequence[_Key]) -> Mapping[_Key, Connection]:
        rows = await self._rows(_FIND, keys)
        return {(row["company_id"], row["id"]): connection_of(row) for row in rows}

    async def _show(self, keys: Sequence[_Key]) -> Mapping[_Key, ConnectionDetails]:
        rows = await self._rows(_SHOW, keys)
        return {(row["company_id"], row["id"]): details_of(row) for row in rows}

    async def _rows(self, sql: str, keys: Sequence[_Key]) -> Sequence[Record]:
        async with session(self._pool) as work:
            return await work.rows(sql, [key[0] for key in keys], [key[1] for key in keys])


async def _load(loader: Loader[_Key, Shown], company_id: str, connection_id: str) -> Shown:
    # An id that PostgreSQL does not accept would fail the statement for everybody who shares it.
    key = (company_id, connection_id)
    value = await loader.load(key) if all(map(_storable, key)) else None
    if value is None:
        raise ConnectionNotFound
    return value


async def _now(work: Session) -> datetime:
    row = await work.row("SELECT clock() AS now")
    return cast("datetime", row["now"]) if row else _impossible()


async def _commit(work: Session) -> None:
    # PostgreSQL answers COMMIT with ROLLBACK, and no error, where a statement had failed before.
    if await work.run("COMMIT") != "COMMIT":
        raise StoreUnavailable


async def _roll_back(work: Session) -> None:
    # Where this fails, the connection is dropped, and PostgreSQL undoes what it has left open.
    try:
        await work.run("ROLLBACK")
    except Exception:  # noqa: BLE001 - why the block failed matters more than how this did
        work.cut()
    except BaseException:
        work.cut()
        raise


def _storable(text: str) -> bool:
    return text.isascii() and "\0" not in text


def _impossible() -> Never:
    raise AssertionError("a statement that always gives a row gave none")
