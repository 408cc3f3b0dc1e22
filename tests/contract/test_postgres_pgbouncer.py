"""The store behind a pgbouncer in transaction mode: the same contract, and no statement mixed up."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
import pytest

from adapters.postgres.migrate import migrate, shipped
from adapters.postgres.pool import open_pool
from adapters.postgres.store import PostgresStore
from tests.conftest import named
from tests.contract.postgres_rows import make_older
from tests.contract.store_contract import StoreContract
from tests.e2e.journeys import eventually
from tests.pgbouncer import SERVERS, pgbouncer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from adapters.postgres.pool import Pool
    from tests.contract.store.base import Age

pytestmark = pytest.mark.pgbouncer


@pytest.fixture(scope="session")
def bouncer(postgres_server: str) -> Iterator[str]:
    with pgbouncer(postgres_server) as url:
        yield url


@pytest.fixture
def bounced_url(bouncer: str, database_url: str) -> str:
    """A fresh, migrated database, as seen through pgbouncer."""
    return _through(bouncer, database_url)


@pytest.fixture
async def bounced_pool(bounced_url: str) -> AsyncIterator[Pool]:
    pool = await open_pool(bounced_url, through_pgbouncer=True)

    async def well() -> bool:
        # pgbouncer may not have noticed yet that the test before took its servers away.
        try:
            await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(2 * SERVERS)))
        except (asyncpg.PostgresError, OSError):
            return False
        return True

    try:
        await eventually(well)
        yield pool
    finally:
        pool.terminate()


class TestPostgresStoreThroughPgbouncer(StoreContract):
    @pytest.fixture
    def store(self, bounced_pool: Pool) -> PostgresStore:
        return PostgresStore(bounced_pool)

    @pytest.fixture
    def age(self, bounced_pool: Pool) -> Age:
        return partial(make_older, bounced_pool)


async def test_clients_who_take_turns_on_a_server_get_their_own_answers(bounced_url: str) -> None:
    pools = [await open_pool(bounced_url, through_pgbouncer=True) for _ in range(3 * SERVERS)]

    async def ask(pool: Pool, number: int) -> list[int]:
        # Every client has a statement of its own, all of them of one shape.
        sql = f"SELECT $1::int + {number}"
        return [await pool.fetchval(sql, 1000 * turn) for turn in range(50)]

    try:
        answers = await asyncio.gather(*(ask(pool, number) for number, pool in enumerate(pools)))
    finally:
        for pool in pools:
            pool.terminate()
    assert answers == [[1000 * turn + number for turn in range(50)] for number in range(len(pools))]


async def test_prepared_statements_are_what_does_not_work_there(bounced_url: str) -> None:
    pool = await open_pool(bounced_url, through_pgbouncer=False)
    try:
        with pytest.raises(asyncpg.ProtocolViolationError, match="unsupported startup parameter"):
            await pool.fetchval("SELECT 1")
    finally:
        pool.terminate()


async def test_a_database_is_migrated_through_it_by_several_at_once(
    bouncer: str, empty_database_url: str
) -> None:
    url = _through(bouncer, empty_database_url)
    applied = await asyncio.gather(*(migrate(url) for _ in range(4)))
    assert sum(map(len, applied)) == len(shipped())


def _through(bouncer: str, database_url: str) -> str:
    return named(bouncer, database_url.partition("?")[0].rpartition("/")[2])
