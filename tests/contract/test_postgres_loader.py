"""Reads that arrive together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from adapters.postgres import loader
from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.loader import LANES, Loader
from adapters.postgres.pool import Session
from adapters.postgres.store import PostgresStore
from application.ports import ConnectionDetails, Scope
from domain.api_key import digest
from domain.errors import ConnectionNotFound, DomainError, InvalidInput, StoreUnavailable
from tests.contract.store.base import ACME, RIVAL, born, stepped, together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from asyncpg import Record

    from adapters.postgres.pool import Pool


class _Slow:
    """Fetches a word's length; each call waits until it is let go."""

    def __init__(self) -> None:
        self.calls: list[Sequence[str]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.calls.append(keys)
        await self.gate.wait()
        if self.error:
            raise self.error
        return {key: len(key) for key in keys if key}


async def _until_waiting(tasks: Sequence[asyncio.Task[int | None]]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_reads_that_arrive_together_share_one_call() -> None:
    slow = _Slow()
    slow.gate.set()
    words = Loader(slow)

    lengths = await asyncio.gather(*(words.load(word) for word in ["a", "bb", "", "a"]))

    assert lengths == [1, 2, None, 1]
    assert slow.calls == [["a", "bb", ""]]


async def test_a_read_never_joins_a_call_that_is_under_way() -> None:
    slow = _Slow()
    words = Loader(slow)
    first = asyncio.create_task(words.load("a"))
    await _until_waiting([first])
    second = asyncio.create_task(words.load("a"))
    await _until_waiting([first, second])
    slow.gate.set()
    await asyncio.gather(first, second)

    assert slow.calls == [["a"], ["a"]]


async def test_no_more_calls_are_under_way_than_there_are_lanes() -> None:
    slow = _Slow()
    words = Loader(slow)
    tasks: list[asyncio.Task[int | None]] = []
    for number in range(10):
        tasks.append(asyncio.create_task(words.load("x" * number)))
        await _until_waiting(tasks)

    assert len(slow.calls) == LANES

    slow.gate.set()
    await asyncio.gather(*tasks)
    assert len(slow.calls) == LANES + 1


@pytest.mark.parametrize("error", [StoreUnavailable(), InvalidInput(("request", "cannot be stored"))])
async def test_a_failed_call_fails_those_who_shared_it(error: DomainError) -> None:
    slow = _Slow()
    slow.error = error
    slow.gate.set()
    words = Loader(slow)

    results = await together(3, lambda n: words.load("x" * n))

    assert results == [error] * 3


async def test_after_a_failed_call_the_next_one_works() -> None:
    slow = _Slow()
    slow.error = StoreUnavailable()
    slow.gate.set()
    words = Loader(slow)
    await together(1, lambda _: words.load("a"))
    slow.error = None

    assert await words.load("a") == 1


async def test_who_gives_up_does_not_hurt_the_others() -> None:
    slow = _Slow()
    words = Loader(slow)
    impatient, patient = (asyncio.create_task(words.load("a")) for _ in range(2))
    await _until_waiting([impatient, patient])
    impatient.cancel()
    slow.gate.set()

    assert await patient == 1
    assert impatient.cancelled()


async def test_nobody_waits_longer_than_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "DEADLINE", 0.01)
    slow = _Slow()
    words = Loader(slow)

    results = await together(LANES + 3, lambda n: words.load("x" * n))

    assert [type(result) for result in results] == [StoreUnavailable] * (LANES + 3)
    slow.gate.set()


async def test_nobody_who_comes_after_the_deadline_of_others_waits_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loader, "DEADLINE", 0.01)
    slow = _Slow()
    words = Loader(slow)
    tasks: list[asyncio.Task[int | None]] = []
    for number in range(LANES + 1):
        tasks.append(asyncio.create_task(words.load("x" * number)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)

    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable):
            await words.load("late")
    slow.gate.set()


@pytest.mark.parametrize("read", [PostgresStore.find, PostgresStore.show])
async def test_tenancy_holds_inside_a_shared_statement(postgres_pool: Pool, read: Callable[..., Any]) -> None:
    store = PostgresStore(postgres_pool)
    ours, theirs = await born(store), await born(store, company_id=RIVAL)

    wanted = [(ACME, ours.id), (RIVAL, theirs.id), (ACME, theirs.id), (RIVAL, ours.id)]
    results = await together(4, lambda n: read(store, *wanted[n]))

    assert [result.id for result in results[:2]] == [ours.id, theirs.id]
    assert [type(result) for result in results[2:]] == [ConnectionNotFound] * 2


async def test_an_id_that_cannot_be_asked_for_does_not_hurt_the_others(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    connection = await born(store)

    strange, found = await asyncio.gather(
        store.find(ACME, "conn_\0"), store.find(ACME, connection.id), return_exceptions=True
    )

    assert found == connection
    assert isinstance(strange, ConnectionNotFound)


async def test_under_load_a_read_after_a_write_is_never_stale(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    connection = await born(store)
    stop = asyncio.Event()

    async def keep_reading() -> None:
        while not stop.is_set():
            await store.show(ACME, connection.id)

    readers = [asyncio.create_task(keep_reading()) for _ in range(8)]
    for number in range(25):
        connection = await stepped(store, connection, "update", name=f"Name {number}", metadata=None)
        assert await store.find(ACME, connection.id) == connection
        assert await store.show(ACME, connection.id) == ConnectionDetails.of(connection)
    stop.set()
    await asyncio.gather(*readers)


async def test_callers_who_come_together_share_a_look_and_are_told_apart(
    postgres_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_keys = PostgresApiKeys(postgres_pool)
    digests = {who: digest(who) for who in (ACME, RIVAL, "nobody")}
    for who in (ACME, RIVAL):
        await api_keys.add(company_id=who, scope=Scope.READ, prefix="ck_", digest=digests[who], label=None)
    looks = 0
    rows = Session.rows

    def counted(self: Session, sql: str, *args: object) -> Awaitable[Sequence[Record]]:
        nonlocal looks
        looks += 1
        return rows(self, sql, *args)

    monkeypatch.setattr(Session, "rows", counted)
    found = await asyncio.gather(*(api_keys.find(digests[who]) for who in [*digests] * 10))

    assert [record and record.company_id for record in found] == [ACME, RIVAL, None] * 10
    assert looks == 1
