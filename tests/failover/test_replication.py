"""What must never be acknowledged: a write that only a primary has that is about to be lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapters.postgres.migrate import migrate
from adapters.postgres.pool import open_pool
from adapters.postgres.store import PostgresStore
from tests.contract.store.base import born
from tests.e2e.journeys import APP, eventually
from tests.failover.deployment import deployment
from tests.failover.servers import new_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.journeys import Answer, Company
    from tests.failover.servers import Pair

pytestmark = pytest.mark.failover

KEY = "b2f6b0a4-6f0d-4c55-9e43-4d1f0c1f7a51"
BODY = {"name": "Ours", "provider": "hubspot", "redirectUrl": APP}


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as made:
        yield made


async def create(company: Company) -> Answer:
    return await company.post("/connections", BODY, Idempotency_Key=KEY)


async def names(company: Company) -> list[str]:
    return [each["name"] for each in (await company.get("/connections")).data]


async def test_what_the_standby_has_not_got_is_acknowledged_to_nobody(pair: Pair) -> None:
    async with deployment(pair) as there:
        company = await there.scene.company()
        other = company.at(there.scene.cluster.urls[1])
        pair.standby.end()
        # The first waits for the standby in vain; a repetition must not find what the first one left behind.
        answers = [await create(company), await create(company), await create(other)]
        assert [(answer.status, bool(answer.headers.get("Retry-After"))) for answer in answers] == [
            (503, True)
        ] * 3
        assert await names(company) == [], "somebody was shown what is not safe yet"

        pair.primary.kill()
        pair.start_standby()
        pair.standby.promote()

        async def created() -> bool:
            return (await create(company)).status == 201

        await eventually(created)
        assert await names(other) == ["Ours"]


async def test_writes_are_acknowledged_again_when_the_standby_is_back(pair: Pair) -> None:
    async with deployment(pair) as there:
        company = await there.scene.company()
        pair.standby.end()
        assert (await create(company)).status == 503
        pair.start_standby()

        async def created() -> bool:
            return (await create(company)).status == 201

        await eventually(created)
        assert await names(company) == ["Ours"]
        pair.primary.kill()
        pair.standby.promote()

        async def answered() -> bool:
            return (await company.get("/connections")).status == 200

        await eventually(answered)
        assert await names(company) == ["Ours"]


async def test_who_gives_up_does_not_make_a_write_appear_before_it_is_safe(pair: Pair) -> None:
    await migrate(pair.url)
    pool = await open_pool(pair.url)
    try:
        await PostgresStore(pool).ping()
        pair.standby.end()
        writing = asyncio.create_task(born(PostgresStore(pool)))

        async def waiting() -> bool:
            waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"
            return bool(await pair.primary.sql(waits))

        await eventually(waiting, within=2.5)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert writing.cancelled()
        for _ in range(10):
            assert await waiting(), "the server was asked to wait no longer"
            assert await pair.primary.sql("SELECT count(*) FROM connections") == 0
    finally:
        pool.terminate()
