from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import attrs
import pytest

from adapters.postgres.migrate import Migration, MigrationRefused, current, migrate, shipped
from adapters.postgres.pool import open_pool
from adapters.postgres.store import PostgresStore
from domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NEXT = Migration(len(shipped()) + 1, "next", "CREATE TABLE next_things (id integer)")
BROKEN = attrs.evolve(NEXT, sql="CREATE TABLE next_things (id integer); SELECT no_such_function()")


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_fresh_database_comes_to_the_latest_revision(empty_database_url: str) -> None:
    applied = await migrate(empty_database_url)

    assert tuple(applied) == shipped()
    async with _connected(empty_database_url) as connection:
        assert await current(connection) == len(shipped())


async def test_a_fresh_database_is_at_no_revision(empty_database_url: str) -> None:
    async with _connected(empty_database_url) as connection:
        assert await current(connection) == 0


async def test_a_second_run_does_nothing(own_database_url: str) -> None:
    assert list(await migrate(own_database_url)) == []


async def test_only_what_is_new_is_applied(own_database_url: str) -> None:
    assert list(await migrate(own_database_url, [*shipped(), NEXT])) == [NEXT]


async def test_a_changed_file_is_refused(own_database_url: str) -> None:
    first, *rest = shipped()
    changed = attrs.evolve(first, sql=first.sql + "-- a harmless remark\n")

    with pytest.raises(MigrationRefused, match=r"Migration 1 \(core\) was changed"):
        await migrate(own_database_url, [changed, *rest])


async def test_a_database_that_is_newer_is_refused(own_database_url: str) -> None:
    await migrate(own_database_url, [*shipped(), NEXT])

    with pytest.raises(MigrationRefused, match="newer than this release"):
        await migrate(own_database_url)


async def test_a_file_that_fails_leaves_nothing_of_itself(own_database_url: str) -> None:
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await migrate(own_database_url, [*shipped(), BROKEN])

    async with _connected(own_database_url) as connection:
        assert await current(connection) == len(shipped())
        assert await connection.fetchval("SELECT to_regclass('next_things')") is None


async def test_of_five_runners_at_once_each_file_is_applied_by_one(empty_database_url: str) -> None:
    wanted = [*shipped(), NEXT]

    runs = await asyncio.gather(*(migrate(empty_database_url, wanted) for _ in range(5)))

    assert sorted(migration.revision for run in runs for migration in run) == [
        migration.revision for migration in wanted
    ]


async def test_callers_pass_while_a_migration_waits_for_its_lock(own_database_url: str) -> None:
    change = attrs.evolve(NEXT, sql="ALTER TABLE attempts ADD COLUMN more text")
    async with _connected(own_database_url) as dump, _connected(own_database_url) as caller:
        await caller.execute("SET lock_timeout = '1s'")
        async with dump.transaction():
            await dump.execute("LOCK TABLE attempts IN ACCESS SHARE MODE")
            run = asyncio.create_task(migrate(own_database_url, [*shipped(), change]))
            async with asyncio.timeout(30):
                while not await caller.fetchval("SELECT true FROM pg_locks WHERE NOT granted LIMIT 1"):
                    pass
            await caller.execute("SELECT FROM attempts")

        assert list(await run) == [change]


async def test_a_lock_that_never_comes_free_is_told(
    own_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres.migrate.LOCK_TIMEOUT", "10ms")
    monkeypatch.setattr("adapters.postgres.migrate.PAUSE", 0)
    change = attrs.evolve(NEXT, sql="ALTER TABLE attempts ADD COLUMN more text")
    async with _connected(own_database_url) as dump, dump.transaction():
        await dump.execute("LOCK TABLE attempts IN ACCESS SHARE MODE")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await migrate(own_database_url, [*shipped(), change])


async def test_a_role_with_the_timeouts_of_the_service_may_migrate(own_database_url: str) -> None:
    slow = attrs.evolve(NEXT, sql="SELECT pg_sleep(0.2)")
    async with _connected(own_database_url) as connection:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        for setting in ("statement_timeout", "lock_timeout"):
            await connection.execute(f"ALTER DATABASE {name} SET {setting} = '100ms'")

    runs = await asyncio.gather(*(migrate(own_database_url, [*shipped(), slow]) for _ in range(2)))

    assert [migration for run in runs for migration in run] == [slow]


async def test_a_database_that_waits_for_migrations_is_not_ready(empty_database_url: str) -> None:
    pool = await open_pool(empty_database_url)
    try:
        with pytest.raises(StoreUnavailable):
            await PostgresStore(pool).ping()
    finally:
        await pool.close()


async def test_a_database_behind_this_release_is_not_ready(own_database_url: str) -> None:
    pool = await open_pool(own_database_url)
    try:
        await pool.execute("DELETE FROM schema_migrations WHERE revision = $1", len(shipped()))
        with pytest.raises(StoreUnavailable):
            await PostgresStore(pool).ping()
    finally:
        await pool.close()


async def test_a_release_is_ready_beside_the_one_that_follows_it(own_database_url: str) -> None:
    await migrate(own_database_url, [*shipped(), NEXT])
    pool = await open_pool(own_database_url)
    try:
        await PostgresStore(pool).ping()
    finally:
        await pool.close()
