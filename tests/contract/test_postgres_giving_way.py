"""Who gives way in PostgreSQL (40001, 40P01): a statement is run again, a transaction is not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from adapters.postgres.pool import open_pool, session
from adapters.postgres.store import PostgresStore
from domain.authorization import KEPT, Outcome
from domain.errors import StoreUnavailable
from tests.contract.postgres_rows import make_older
from tests.contract.store.base import ACME, born, stepped, tried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.postgres.pool import Pool, Session
    from domain.connection import Connection

IN_THE_WAY = """
IF nextval('tries') < {until} THEN RAISE EXCEPTION 'out of the way' USING ERRCODE = '{sqlstate}'; END IF;
"""
GIVES_WAY = f"DO $$ BEGIN {IN_THE_WAY} END $$"


@asynccontextmanager
async def _counting(url: str) -> AsyncIterator[Session]:
    """A session in which `tries` counts, also what is undone."""
    pool = await open_pool(url, max_size=1)
    try:
        async with session(pool) as work:
            await work.run("CREATE TEMPORARY SEQUENCE tries")
            yield work
    finally:
        await pool.close()


async def _tries(work: Session) -> int:
    row = await work.row("SELECT last_value FROM tries")
    assert row is not None
    return int(row["last_value"])


@pytest.mark.parametrize("method", ["rows", "row", "run"])
@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_a_statement_that_gave_way_twice_is_run_again(
    database_url: str, sqlstate: str, method: str
) -> None:
    async with _counting(database_url) as work:
        await getattr(work, method)(GIVES_WAY.format(until=3, sqlstate=sqlstate))


async def test_a_statement_that_gives_way_three_times_is_not_run_again(database_url: str) -> None:
    async with _counting(database_url) as work:
        with pytest.raises(StoreUnavailable):
            await work.run(GIVES_WAY.format(until=99, sqlstate="40P01"))
        assert await _tries(work) == 3


async def test_a_statement_of_a_transaction_is_not_run_again(database_url: str) -> None:
    async with _counting(database_url) as work:
        await work.run("BEGIN")
        with pytest.raises(StoreUnavailable):
            await work.run(GIVES_WAY.format(until=99, sqlstate="40P01"))
        await work.run("ROLLBACK")
        assert await _tries(work) == 1


async def test_a_statement_that_fails_for_another_reason_is_not_run_again(database_url: str) -> None:
    async with _counting(database_url) as work:
        with pytest.raises(StoreUnavailable):
            await work.run(GIVES_WAY.format(until=99, sqlstate="55P03"))
        assert await _tries(work) == 1


async def test_a_commit_that_gave_way_is_not_taken_for_one_that_was_done(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    await postgres_pool.execute(
        """
        CREATE FUNCTION give_way() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'out of the way' USING ERRCODE = '40P01'; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON connections DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION give_way()
        """
    )
    try:
        with pytest.raises(StoreUnavailable):
            await born(store)
    finally:
        await postgres_pool.execute("DROP FUNCTION give_way CASCADE")


async def test_a_sweep_whose_statement_gave_way_is_done_all_the_same(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    connection = await born(store)
    for _ in range(2):
        await _close_one(store, connection)
    await make_older(postgres_pool, KEPT)
    # As one that meets another sweep in a deadlock.
    await postgres_pool.execute(
        f"""
        CREATE SEQUENCE tries;
        CREATE FUNCTION give_way() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN {IN_THE_WAY.format(until=2, sqlstate="40P01")} RETURN NULL; END $$;
        CREATE TRIGGER met BEFORE DELETE ON attempts EXECUTE FUNCTION give_way()
        """
    )
    try:
        await store.forget_old()
        tries = await postgres_pool.fetchval("SELECT last_value FROM tries")
    finally:
        await postgres_pool.execute("DROP FUNCTION give_way CASCADE; DROP SEQUENCE tries")

    assert tries == 2
    assert await postgres_pool.fetchval("SELECT count(*) FROM attempts") == 0


async def _close_one(store: PostgresStore, connection: Connection) -> None:
    attempt = await tried(store, connection)
    async with store.begin() as tx:
        await tx.attempts.close(attempt.id, Outcome.FAILED, "denied", at=tx.now)


async def test_a_transaction_sees_what_was_committed_whatever_the_database_would_like(
    database_url: str, postgres_pool: Pool
) -> None:
    store = PostgresStore(postgres_pool)
    connection = await born(store)
    pool = await open_pool(database_url, max_size=1)
    try:
        async with session(pool) as work:
            await work.run("SET default_transaction_isolation = 'serializable'")
        async with PostgresStore(pool).begin() as tx:
            renamed = await stepped(store, connection, "update", name="Other", metadata=None)
            assert await tx.connections.get(ACME, connection.id, lock=True) == renamed
    finally:
        await pool.close()
