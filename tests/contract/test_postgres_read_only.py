"""A server that was the primary: whoever still talks to it is told so, and must find its way back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from adapters.postgres.hosts import connect
from adapters.postgres.pool import open_pool
from adapters.postgres.store import PostgresStore
from domain.errors import StoreUnavailable
from tests.contract.store.base import born

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.postgres.pool import Pool


async def make_read_only(url: str, state: str) -> None:
    """Switch it for connections made from now on, as a server's change of role does."""
    connection = await connect(url, timeout=5)
    await connection.execute("SET default_transaction_read_only = off")
    name = urlsplit(url).path.removeprefix("/")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")
    await connection.close()


@pytest.fixture
async def demoted(own_database_url: str) -> AsyncIterator[Pool]:
    """A pool whose one connection leads to a server that takes no writes; others, made later, would."""
    await make_read_only(own_database_url, "on")
    pool = await open_pool(own_database_url, max_size=1)
    await PostgresStore(pool).ping()
    await make_read_only(own_database_url, "off")
    try:
        yield pool
    finally:
        pool.terminate()


async def test_a_write_that_meets_a_read_only_server_is_refused_as_an_outage(demoted: Pool) -> None:
    with pytest.raises(StoreUnavailable):
        await born(PostgresStore(demoted))


async def test_the_next_write_finds_the_server_that_takes_it(demoted: Pool) -> None:
    store = PostgresStore(demoted)
    with pytest.raises(StoreUnavailable):
        await born(store)
    connection = await born(store)
    assert (await store.find(connection.company_id, connection.id)).id == connection.id
