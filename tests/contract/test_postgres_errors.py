"""The database's errors, made to happen, and what the core hears of them."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

import asyncpg
import pytest
from asyncpg import exceptions

from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.errors import StoreFault, is_outage, translate
from adapters.postgres.pool import open_pool, session
from adapters.postgres.store import PostgresStore
from application.ports import ConnectionFilter, Scope
from domain.errors import ConcurrentChange, ConnectionNotFound, InvalidInput, StoreRefused, StoreUnavailable
from tests.contract.store.base import ACME, a_birth, born, together

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.postgres.pool import Pool

DOWN = "postgresql://postgres@127.0.0.1:1/postgres"


@pytest.fixture
def store(postgres_pool: Pool) -> PostgresStore:
    return PostgresStore(postgres_pool)


@pytest.fixture
async def witness(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection beside the pool."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def _kill_others(witness: asyncpg.Connection[asyncpg.Record]) -> None:
    await witness.execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


def _server_error(sqlstate: str) -> BaseException:
    error: BaseException = asyncpg.PostgresError.new({"C": sqlstate, "M": "message", "S": "ERROR"})
    return error


@pytest.mark.parametrize("sqlstate", ["22021", "22P05", "22P02", "22003", "22000", "54001"])
def test_a_value_that_cannot_be_stored_is_the_callers(sqlstate: str) -> None:
    error = _server_error(sqlstate)

    assert isinstance(translate(error), InvalidInput)
    assert not is_outage(error)


def test_a_duplicate_is_a_concurrent_change() -> None:
    error = _server_error("23505")

    assert isinstance(translate(error), ConcurrentChange)
    assert not is_outage(error)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_who_gave_way_is_told_to_try_again_and_condemns_no_connection(sqlstate: str) -> None:
    error = _server_error(sqlstate)

    assert isinstance(translate(error), StoreUnavailable)
    assert not is_outage(error)


@pytest.mark.parametrize("error", [_server_error("55P03"), _server_error("57014"), TimeoutError()])
def test_slowness_is_unavailable_and_condemns_no_connection(error: BaseException) -> None:
    assert isinstance(translate(error), StoreUnavailable)
    assert not is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        *map(_server_error, ["08000", "08003", "08006", "57P01", "57P02", "57P03", "53300", "25006"]),
        OSError(),
        ConnectionRefusedError(),
        asyncpg.InterfaceError("connection is closed"),
        exceptions.InternalClientError("unexpected state"),
        exceptions.ConnectionDoesNotExistError("gone"),
    ],
    ids=lambda error: getattr(error, "sqlstate", None) or type(error).__name__,
)
def test_an_outage_is_unavailable_and_has_all_connections_made_anew(error: BaseException) -> None:
    assert isinstance(translate(error), StoreUnavailable)
    assert is_outage(error)


@pytest.mark.parametrize("sqlstate", ["23502", "23514", "42601", "XX000"])
def test_anything_else_is_our_fault(sqlstate: str) -> None:
    assert isinstance(translate(_server_error(sqlstate)), StoreFault)


@pytest.mark.parametrize(
    "sqlstate",
    ["42P01", "42P10", "42703", "42883", "3F000", "28000", "28P01", "3D000", "42501"],
)
def test_a_database_that_does_not_serve_us_is_an_operators_and_condemns_no_connection(sqlstate: str) -> None:
    error = _server_error(sqlstate)

    refused = translate(error)

    assert isinstance(refused, StoreRefused)
    assert (refused.why or "").startswith(f"{sqlstate}: message. ")
    assert not is_outage(error)


@pytest.mark.parametrize("sqlstate", ["53000", "53100", "53200", "53400", "58000", "58030", "58P01"])
def test_a_database_in_need_is_an_operators_and_condemns_no_connection(sqlstate: str) -> None:
    error = _server_error(sqlstate)

    refused = translate(error)

    assert isinstance(refused, StoreRefused)
    assert (refused.why or "").startswith(f"{sqlstate}: message. The database's host")
    assert not is_outage(error)


async def test_a_server_that_may_hold_no_more_locks_is_in_need(postgres_pool: Pool) -> None:
    many = "DO $$ BEGIN FOR n IN 1..1000000 LOOP PERFORM pg_advisory_xact_lock(n); END LOOP; END $$"

    with pytest.raises(StoreRefused, match="temporarily") as refused:
        async with session(postgres_pool) as work:
            await work.run(many)

    assert (refused.value.why or "").startswith("53200: out of shared memory. ")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (_server_error("57P01"), "57P01: message"),
        (_server_error("57014"), "57014: message"),
        (_server_error("40P01"), "40P01: message"),
        (ConnectionRefusedError(111, "Connect call failed"), "Connect call failed"),
        (OSError(), "OSError"),
        (TimeoutError(), "no answer in time"),
        (asyncpg.InterfaceError("postgresql://user:canary@host"), "InterfaceError"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_why_a_database_is_away_is_told(error: BaseException, why: str) -> None:
    assert getattr(translate(error), "why", None) == why


@pytest.mark.parametrize("sqlstate", ["42P01", "57014", "23514"])
def test_no_error_tells_of_the_row(sqlstate: str) -> None:
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "message", "D": "Failing row contains (canary)."})

    assert "canary" in str(error)
    assert "canary" not in f"{translate(error)} {vars(translate(error))}"


@pytest.mark.parametrize("strange", ["a\0b", "a\ud800b"])
async def test_text_that_cannot_be_stored_is_refused(store: PostgresStore, strange: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored"):
        await born(store, name=strange)


async def test_metadata_that_cannot_be_stored_is_refused(store: PostgresStore) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored"):
        await born(store, metadata={"a": "\ud800"})


async def test_a_filter_that_cannot_be_asked_for_is_refused(store: PostgresStore) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored"):
        await store.list(ACME, ConnectionFilter(name="\0"), limit=1, cursor=None)


async def test_idle_connections_that_were_killed_are_replaced_unnoticed(
    store: PostgresStore, postgres_pool: Pool, witness: asyncpg.Connection[asyncpg.Record]
) -> None:
    connection = await born(store)
    await _kill_others(witness)
    # Whoever asks before the end of a connection has reached us notices, as it must be.
    async with asyncio.timeout(30):
        while postgres_pool.get_idle_size():  # noqa: ASYNC110 - asyncpg has no event for it
            await asyncio.sleep(0.01)

    assert await store.find(ACME, connection.id) == connection


async def test_a_transaction_whose_connection_is_killed_is_unavailable_and_the_next_one_works(
    store: PostgresStore, witness: asyncpg.Connection[asyncpg.Record]
) -> None:
    with pytest.raises(StoreUnavailable):
        await _killed_in_the_middle(store, witness)

    await born(store)


async def _killed_in_the_middle(store: PostgresStore, witness: asyncpg.Connection[asyncpg.Record]) -> None:
    async with store.begin() as tx:
        await _kill_others(witness)
        await tx.connections.save(a_birth(tx.now))


async def test_under_terminated_backends_there_is_nothing_but_success_and_unavailable(
    store: PostgresStore, witness: asyncpg.Connection[asyncpg.Record]
) -> None:
    connection = await born(store)

    async def work(number: int) -> bool:
        if number % 10 == 5:
            await _kill_others(witness)
        elif number % 2:
            await born(store)
        else:
            await store.find(ACME, connection.id)
        return True

    killer = asyncio.Lock()

    async def one(number: int) -> bool:
        if number % 10 == 5:
            async with killer:
                return await work(number)
        return await work(number)

    results = await together(200, one)

    unexpected = [
        result for result in results if not (result is True or isinstance(result, StoreUnavailable))
    ]
    assert unexpected == []
    assert await store.find(ACME, connection.id) == connection


async def test_a_database_that_is_down_is_unavailable_everywhere() -> None:
    pool = await open_pool(DOWN)
    store, api_keys = PostgresStore(pool), PostgresApiKeys(pool)
    calls = [
        born(store),
        store.find(ACME, "conn_1"),
        store.list(ACME, ConnectionFilter(), limit=1, cursor=None),
        store.ping(),
        api_keys.find(b"x"),
        api_keys.add(company_id=ACME, scope=Scope.READ, prefix="p", digest=b"x", label=None),
    ]
    try:
        results = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await pool.close()

    assert [type(result) for result in results] == [StoreUnavailable] * len(calls)


async def test_who_finds_no_free_connection_within_a_second_is_told_so(database_url: str) -> None:
    pool = await open_pool(database_url, max_size=1)
    store = PostgresStore(pool)
    try:
        async with store.begin():
            with pytest.raises(StoreUnavailable):
                await store.ping()
    finally:
        await pool.close()


async def test_a_row_that_stays_locked_is_unavailable_before_the_client_gives_up(
    store: PostgresStore, witness: asyncpg.Connection[asyncpg.Record], database_url: str
) -> None:
    connection = await born(store)
    pool = await open_pool(database_url, max_size=1)
    try:
        async with session(pool) as work:
            await work.run("SET lock_timeout = '50ms'")
        async with witness.transaction():
            await witness.execute("SELECT FROM connections WHERE id = $1 FOR UPDATE", connection.id)
            with pytest.raises(StoreUnavailable):
                await _lock(PostgresStore(pool), connection.id)
    finally:
        await pool.close()


async def _lock(store: PostgresStore, connection_id: str) -> None:
    async with store.begin() as tx:
        await tx.connections.get(ACME, connection_id, lock=True)


async def test_a_transaction_that_failed_is_never_reported_as_a_success(store: PostgresStore) -> None:
    connection = await born(store)

    with pytest.raises(StoreUnavailable):
        await _swallow_an_error(store, connection.id)


async def _swallow_an_error(store: PostgresStore, id: str) -> None:
    async with store.begin() as tx:
        try:
            await tx.connections.save(a_birth(tx.now, id=id))
        except ConcurrentChange:
            return


async def test_a_cancelled_transaction_leaves_the_pool_whole(database_url: str) -> None:
    pool = await open_pool(database_url, max_size=1)
    store = PostgresStore(pool)
    try:
        connection = await born(store)
        entered = asyncio.Event()
        task = asyncio.create_task(_rename_and_wait(store, connection.id, entered))
        await entered.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert await store.find(ACME, connection.id) == connection
    finally:
        await pool.close()


async def _rename_and_wait(store: PostgresStore, connection_id: str, entered: asyncio.Event) -> None:
    async with store.begin() as tx:
        there = await tx.connections.get(ACME, connection_id)
        change = there.update(name="Other", metadata=None, at=tx.now, by="tests")
        assert change is not None
        await tx.connections.save(change)
        entered.set()
        await asyncio.Event().wait()


async def test_why_a_block_failed_is_told_even_where_the_connection_is_gone(
    store: PostgresStore, witness: asyncpg.Connection[asyncpg.Record]
) -> None:
    with pytest.raises(ZeroDivisionError):
        await _fail_on_a_dead_connection(store, witness)


async def _fail_on_a_dead_connection(
    store: PostgresStore, witness: asyncpg.Connection[asyncpg.Record]
) -> None:
    async with store.begin():
        await _kill_others(witness)
        raise ZeroDivisionError


async def test_after_one_connection_broke_the_others_are_made_anew(postgres_pool: Pool) -> None:
    before = await _two_backends(postgres_pool)
    with pytest.raises(StoreUnavailable):
        async with session(postgres_pool) as work:
            await work.run("SELECT pg_terminate_backend(pg_backend_pid())")

    assert not before & await _two_backends(postgres_pool)


async def _two_backends(pool: Pool) -> set[int]:
    async with session(pool) as one, session(pool) as other:
        return {
            row["pid"] for work in (one, other) for row in await work.rows("SELECT pg_backend_pid() AS pid")
        }


@pytest.mark.parametrize("method", ["rows", "row", "run"])
async def test_what_the_driver_echoes_is_not_told(postgres_pool: Pool, method: str) -> None:
    canary = "can" + "ary"
    async with session(postgres_pool) as work:
        with pytest.raises(InvalidInput) as refused:
            await getattr(work, method)("SELECT $1::integer", canary)

    told = "".join(traceback.format_exception(refused.value))
    assert f"'{canary}'" not in told


@pytest.mark.parametrize("method", ["rows", "row", "run"])
async def test_a_statement_that_is_given_up_is_left_alone(postgres_pool: Pool, method: str) -> None:
    async with session(postgres_pool) as work:
        asked = asyncio.create_task(getattr(work, method)("SELECT pg_sleep(5)"))
        await asyncio.sleep(0.1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    assert postgres_pool.get_size() == 0


async def test_sessions_carry_their_limits(postgres_pool: Pool) -> None:
    limits = {
        name: await postgres_pool.fetchval(f"SHOW {name}")
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    }

    assert limits == {
        "statement_timeout": "2500ms",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "5s",
    }


async def test_through_pgbouncer_nothing_is_prepared_nor_set(database_url: str) -> None:
    pool = await open_pool(database_url, max_size=1, through_pgbouncer=True)
    try:
        store = PostgresStore(pool)
        connection = await born(store)
        with pytest.raises(ConnectionNotFound):
            await store.find("rival", connection.id)
        assert await pool.fetchval("SHOW statement_timeout") == "0"
        assert await pool.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0
    finally:
        await pool.close()


async def test_of_several_hosts_the_one_that_answers_is_used(database_url: str) -> None:
    host = database_url.partition("host=")[2]
    name = database_url.partition("@/")[2].partition("?")[0]
    url = f"postgresql://postgres@/{name}?host=/nowhere,{host}&target_session_attrs=read-write"
    pool = await open_pool(url)
    try:
        await PostgresStore(pool).ping()
    finally:
        await pool.close()
