"""The company's feed while writers are at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters.postgres.migrate import migrate
from adapters.postgres.store import PostgresStore
from tests.contract.store.base import ACME, a_birth, born, stepped

if TYPE_CHECKING:
    from adapters.postgres.pool import Pool


@pytest.fixture
def store(postgres_pool: Pool) -> PostgresStore:
    return PostgresStore(postgres_pool)


async def _read(store: PostgresStore, cursor: str | None) -> tuple[list[str], str | None]:
    page = await store.events(ACME, None, limit=100, cursor=cursor)
    return [event.connection_id for event in page.items], page.next_cursor or cursor


async def test_a_reader_misses_nothing_of_a_slower_transaction(store: PostgresStore) -> None:
    first = await born(store)
    seen, cursor = await _read(store, None)
    async with store.begin() as slow:
        late = a_birth(slow.now)
        await slow.connections.save(late)
        quick = await born(store)
        meanwhile, cursor = await _read(store, cursor)
    afterwards, _ = await _read(store, cursor)

    assert seen == [first.id]
    assert meanwhile == []
    assert afterwards == [late.after.id, quick.id]


async def test_a_slower_transaction_that_fails_holds_up_nothing_afterwards(store: PostgresStore) -> None:
    with pytest.raises(ZeroDivisionError):
        await _fail_after_writing(store)
    connection = await born(store)

    seen, _ = await _read(store, None)

    assert seen == [connection.id]


async def _fail_after_writing(store: PostgresStore) -> None:
    async with store.begin() as tx:
        await tx.connections.save(a_birth(tx.now))
        raise ZeroDivisionError


async def test_the_feed_goes_on_after_a_dump_was_restored_into_another_cluster(
    store: PostgresStore, postgres_pool: Pool, database_url: str
) -> None:
    old = await born(store)
    _, cursor = await _read(store, None)
    # As a restore leaves it: ids of transactions that this cluster will not reach for years.
    await postgres_pool.execute("UPDATE events SET txid = '1000000000'")
    await migrate(database_url)
    new = await stepped(store, await born(store), "disconnect", reason="x")

    from_the_start, _ = await _read(store, None)
    from_the_cursor, _ = await _read(store, cursor)

    assert from_the_start == [old.id, new.id, new.id]
    assert from_the_cursor == [new.id, new.id]
