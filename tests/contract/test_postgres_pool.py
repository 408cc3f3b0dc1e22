"""A pool that is shared fairly, and what operators see of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.postgres import pool as pool_module
from adapters.postgres.pool import open_pool, session
from adapters.postgres.store import PostgresStore
from adapters.postgres.survey import PostgresSurvey
from application.ports import HEARTBEAT, PoolState
from domain.errors import StoreUnavailable
from tests.contract.store.base import ACME, RIVAL, authorized, born

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.postgres.pool import Pool, Session


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[Pool]:
    """A pool of one connection."""
    pool = await open_pool(database_url, max_size=1)
    yield pool
    pool.terminate()


async def test_who_waits_longer_is_served_first(narrow: Pool) -> None:
    served = []

    async def use(name: str) -> None:
        async with session(narrow):
            served.append(name)

    async def come_when_it_is_free() -> None:
        # Before `early`, who has been told by then, runs.
        while narrow.get_idle_size() == 0:  # noqa: ASYNC110 - a turn of the loop is what counts
            await asyncio.sleep(0)
        await use("late")

    async with session(narrow):
        early = asyncio.create_task(use("early"))
        late = asyncio.create_task(come_when_it_is_free())
        await asyncio.sleep(0)
    await asyncio.gather(early, late)

    assert served == ["early", "late"]


async def test_who_gives_up_waiting_takes_nobodys_turn(narrow: Pool) -> None:
    async with session(narrow):
        impatient = asyncio.create_task(PostgresStore(narrow).ping())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)

    await PostgresStore(narrow).ping()


async def test_nobody_waits_for_ever(narrow: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "ACQUIRE_TIMEOUT", 0.01)
    async with session(narrow):
        with pytest.raises(StoreUnavailable):
            await PostgresStore(narrow).ping()


async def test_the_state_of_the_pool_is_told(narrow: Pool) -> None:
    survey = PostgresSurvey(narrow)
    assert survey.pool() == PoolState(size=0, idle=0, max_size=1, waiting=0)

    async with session(narrow):
        waiting = asyncio.create_task(PostgresStore(narrow).ping())
        await asyncio.sleep(0)
        assert survey.pool() == PoolState(size=1, idle=0, max_size=1, waiting=1)

    await waiting
    assert survey.pool() == PoolState(size=1, idle=1, max_size=1, waiting=0)


async def test_connections_of_all_companies_are_counted(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    await born(store, provider="slack")
    await authorized(store, provider="slack")
    await born(store, company_id=RIVAL, provider="slack")

    assert (await PostgresSurvey(postgres_pool)()).connections == {
        ("slack", "pending"): 2,
        ("slack", "active"): 1,
    }


async def test_a_table_that_takes_too_long_to_count_is_not_a_database_that_is_away(
    database_url: str, postgres_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pool_module.SERVER_TIMEOUTS, "lock_timeout", "20ms")
    hurried = await open_pool(database_url)
    try:
        async with postgres_pool.acquire() as other, other.transaction():
            await other.execute("LOCK TABLE connections IN ACCESS EXCLUSIVE MODE")
            survey = await PostgresSurvey(hurried)()
    finally:
        hurried.terminate()

    assert survey.connections == {}
    assert survey.jobs.count == 0


async def test_only_overdue_work_counts(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    connection = await born(store)
    for number, due in enumerate((timedelta(hours=-1), timedelta(minutes=-1), timedelta(hours=1))):
        await postgres_pool.execute(
            "INSERT INTO jobs (company_id, connection_id, id, kind, due_at, tries) "
            "VALUES ($1, $2, $3, 'identify', clock() + $4::interval, 0)",
            ACME,
            connection.id,
            str(number),
            due,
        )

    survey = await PostgresSurvey(postgres_pool)()

    assert survey.jobs.count == 2
    assert timedelta(hours=1) <= survey.jobs.oldest < timedelta(hours=1, minutes=1)
    assert (survey.attempts.count, survey.attempts.oldest) == (0, timedelta(0))


async def test_a_worker_that_makes_no_rounds_is_missed_while_nothing_is_due(postgres_pool: Pool) -> None:
    await PostgresStore(postgres_pool).take_turn(HEARTBEAT, every=timedelta(seconds=-90))

    overdue = (await PostgresSurvey(postgres_pool)()).round_overdue

    assert timedelta(seconds=90) <= overdue < timedelta(seconds=120)


async def test_a_round_that_is_not_due_yet_is_not_overdue(postgres_pool: Pool) -> None:
    await PostgresStore(postgres_pool).take_turn(HEARTBEAT, every=timedelta(minutes=1))

    assert (await PostgresSurvey(postgres_pool)()).round_overdue == timedelta()


async def test_a_rare_task_hides_no_worker_that_is_missing(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    await store.take_turn("sweep grants", every=timedelta(days=7))
    await store.take_turn(HEARTBEAT, every=timedelta(seconds=-90))

    assert (await PostgresSurvey(postgres_pool)()).round_overdue >= timedelta(seconds=90)


async def test_a_worker_that_never_was_is_missed_from_the_migration_on(own_database_url: str) -> None:
    pool = await open_pool(own_database_url)
    try:
        await pool.execute("UPDATE schema_migrations SET applied_at = applied_at - interval '1 hour'")
        overdue = (await PostgresSurvey(pool)()).round_overdue
    finally:
        pool.terminate()

    assert overdue >= timedelta(hours=1)


async def test_how_long_a_transaction_holds_up_the_feeds_is_told(postgres_pool: Pool) -> None:
    survey = PostgresSurvey(postgres_pool)
    async with postgres_pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_current_xact_id()")
        await postgres_pool.execute("SELECT pg_current_xact_id()")
        assert (await survey()).feed_held == timedelta()
        async with asyncio.timeout(30):
            while not (await survey()).feed_held:
                pass

    assert (await survey()).feed_held == timedelta()


async def test_transactions_that_follow_each_other_hold_nothing_up(postgres_pool: Pool) -> None:
    survey = PostgresSurvey(postgres_pool)
    held = []
    for _ in range(3):
        async with postgres_pool.acquire() as other, other.transaction():
            await other.execute("SELECT pg_current_xact_id()")
            await postgres_pool.execute("SELECT pg_current_xact_id()")
            held.append((await survey()).feed_held)

    assert held == [timedelta()] * 3


async def test_a_turn_that_comes_to_one_who_has_left_is_passed_on() -> None:
    turns = pool_module.Turns(1)
    await turns.take()
    early = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    turns.give_back()
    early.cancel()
    await asyncio.gather(early, return_exceptions=True)

    await turns.take()
    assert early.cancelled()


async def test_a_transaction_that_is_given_up_condemns_no_other_connection(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    connection = await born(store)
    async with session(postgres_pool) as other:
        await other.run("BEGIN")
        await other.row("SELECT FROM connections WHERE id = $1 FOR UPDATE", connection.id)
        waiting = asyncio.create_task(_lock(store, connection.id))
        while not await _keeps_somebody_waiting(other):
            assert not waiting.done()
        before = await _backend(other)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await other.run("ROLLBACK")

    async with session(postgres_pool) as work:
        assert await _backend(work) == before


async def _lock(store: PostgresStore, connection_id: str) -> None:
    async with store.begin() as tx:
        await tx.connections.get(ACME, connection_id, lock=True)


async def _keeps_somebody_waiting(work: Session) -> bool:
    row = await work.row(
        "SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    )
    return row is not None


async def _backend(work: Session) -> int:
    row = await work.row("SELECT pg_backend_pid() AS pid")
    assert row is not None
    return int(row["pid"])
