"""Bring a database to the schema that this code needs: numbered SQL files, each in its own transaction.

Forward only (docs/adr/0002-sql-migrations.md). Any number of runners may start at once: each file is applied
under a transaction-level advisory lock, which also holds through pgbouncer in transaction mode.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import asyncpg
from attrs import frozen

from adapters.postgres.hosts import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOCK = 0x636F6E6E6563
"""The advisory lock's key: any number that nobody else uses."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    revision integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


_ADOPT = """
UPDATE events SET txid = '0' WHERE txid <> '0' AND EXISTS (
    SELECT FROM events WHERE txid >= pg_snapshot_xmax(pg_current_snapshot()))
"""

_PATIENT = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"
"""The service's role may have timeouts, made for callers that wait: see docs/operations.md, pgbouncer."""

LOCK_TIMEOUT = "500ms"
"""How long callers may have to wait behind a migration: less than they wait for a connection of the pool."""
TRIES = 20
PAUSE = 1.0
"""Seconds between tries, so that callers who had to wait behind one are served before the next."""


class MigrationRefused(Exception):
    """The database's history is not ours: it is newer than this code, or an applied file was changed."""


@frozen
class Migration:
    """One file: `0001_core.sql` is revision 1, named core. The checksum is SHA-256 over its bytes."""

    revision: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What the ledger remembers of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def shipped() -> tuple[Migration, ...]:
    """Give the migrations of this code, oldest first.

    Raises:
        ValueError: the numbers have a gap or a file has a strange name.

    """
    found = []
    for file in resources.files("adapters.postgres.migrations").iterdir():
        if match := re.fullmatch(r"([0-9]{4})_([a-z0-9_]+)\.sql", file.name):
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
        elif file.name.endswith(".sql"):
            raise ValueError(f"{file.name} is not named like 0001_core.sql")
    found.sort(key=lambda migration: migration.revision)
    if [migration.revision for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("the migrations are not numbered 1, 2, 3 …")
    return tuple(found)


async def migrate(url: str, migrations: Sequence[Migration] | None = None) -> Sequence[Migration]:
    """Apply what is pending, and give what was applied now.

    Raises:
        MigrationRefused: see there; nothing was changed by the file in question.
        OSError, asyncpg.PostgresError: the database does not answer, or refuses a statement.

    """
    wanted = shipped() if migrations is None else migrations
    connection = await connect(url, timeout=5, statement_cache_size=0)
    applied: list[Migration] = []
    try:
        while (done := await _apply_next(connection, wanted)) is not None:
            applied.append(done)
        await _adopt_restored_events(connection)
    finally:
        await connection.close()
    return applied


async def current(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    """Give the database's revision; 0 where it was never migrated."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return 0
    revision: int = await connection.fetchval("SELECT coalesce(max(revision), 0) FROM schema_migrations")
    return revision


async def _apply_next(
    connection: asyncpg.Connection[asyncpg.Record], wanted: Sequence[Migration]
) -> Migration | None:
    """Apply the next file. Where a lock is not free, let the callers behind us pass, and try again."""
    tries = TRIES
    while True:
        tries -= 1
        try:
            async with connection.transaction():
                return await _apply(connection, wanted)
        except asyncpg.LockNotAvailableError:
            if not tries:
                raise
        await asyncio.sleep(PAUSE)


async def _apply(
    connection: asyncpg.Connection[asyncpg.Record], wanted: Sequence[Migration]
) -> Migration | None:
    await connection.execute(_PATIENT)
    await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    await connection.execute("SET LOCAL client_min_messages = warning")
    await connection.execute(_LEDGER)
    rows = await connection.fetch("SELECT revision, name, checksum FROM schema_migrations ORDER BY revision")
    _check(rows, wanted)
    if len(rows) == len(wanted):
        return None
    migration = wanted[len(rows)]
    # A change that waits for a lock makes every later statement on the table wait behind it.
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    await connection.execute(migration.sql)
    await connection.execute(
        "INSERT INTO schema_migrations (revision, name, checksum) VALUES ($1, $2, $3)",
        migration.revision,
        migration.name,
        migration.checksum,
    )
    return migration


def _check(rows: Sequence[asyncpg.Record], wanted: Sequence[Migration]) -> None:
    if len(rows) > len(wanted):
        raise MigrationRefused(
            f"The database is at revision {len(rows)}, newer than this release, which knows {len(wanted)}."
        )
    for row, migration in zip(rows, wanted, strict=False):
        if (row["revision"], row["checksum"]) != (migration.revision, migration.checksum):
            raise MigrationRefused(
                f"Migration {migration.revision} ({migration.name}) was changed after it had been applied."
            )


async def _adopt_restored_events(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Put events of a restored dump before those to come.

    The feed orders by transaction id, and a dump restored into another cluster brings ids which that
    cluster has not reached: without this, new events would sort before old ones and never be read.
    """
    async with connection.transaction():
        await connection.execute(_PATIENT)
        await connection.execute(_ADOPT)
