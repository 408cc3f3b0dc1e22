"""Servers whose role is not what the service takes it for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapters.postgres.migrate import shipped
from tests.chaos.proxy import Proxy, to_port
from tests.e2e.harness import run
from tests.e2e.journeys import APP, eventually
from tests.failover.deployment import deployment
from tests.failover.servers import new_pair, new_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.journeys import Answer, Company
    from tests.failover.servers import Pair

pytestmark = pytest.mark.failover


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as made:
        yield made


async def create(company: Company) -> Answer:
    return await company.post("/connections", {"name": "Ours", "provider": "hubspot", "redirectUrl": APP})


async def test_a_server_that_became_a_standby_is_left_at_once(pair: Pair) -> None:
    # As behind HAProxy or a name in the DNS: one address, and no word on who must be behind it.
    proxy = await Proxy(to_port(pair.primary.port)).start()
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable"
    try:
        async with deployment(pair, url) as there:
            company = await there.scene.company()
            kept = (await create(company)).data["id"]
            proxy.upstream = to_port(pair.standby.port)
            proxy.drop()

            async def refused() -> bool:
                answer = await create(company)
                return answer.status == 503 and bool(answer.headers.get("Retry-After"))

            await eventually(refused)
            assert await company.status_of(kept) == "pending", "a standby may be read"
            proxy.upstream = to_port(pair.primary.port)  # whoever is connected to the standby stays so

            statuses = [(await create(company)).status for _ in range(2)]
            assert statuses[-1] == 201, f"the standby is not left: {statuses}"
    finally:
        await proxy.stop()


async def test_an_old_primary_that_comes_back_by_mistake_acknowledges_nothing(pair: Pair) -> None:
    async with deployment(pair) as there:
        company = await there.scene.company()
        pair.primary.kill()
        pair.standby.promote()
        pair.primary.end()
        pair.start_primary()
        there.scene.cluster.kill(0)
        there.scene.cluster.start(0)
        await there.scene.cluster.ready(0)
        promised = []
        for _ in range(3):
            answers = await asyncio.gather(*(create(company) for _ in range(10)))
            assert {answer.status for answer in answers} <= {201, 503}
            promised += [answer.data["id"] for answer in answers if answer.status == 201]
        pair.primary.end()

        async def acknowledged() -> bool:
            answer = await create(company)
            if answer.status == 201:
                promised.append(answer.data["id"])
            return answer.status == 201

        await eventually(acknowledged)
        have = await pair.standby.sql("SELECT array_agg(id) FROM connections")
        assert set(promised) <= set(have)


async def test_the_migrate_command_brings_a_postgresql_15_to_this_schema() -> None:
    with new_server() as server:
        try:
            server.start()
            for said in ("applied 0001", "nothing to do"):
                done = await asyncio.to_thread(run, "migrate", database_url=server.url)
                assert done.returncode == 0, done.stderr
                assert said in done.stderr
            assert await server.sql("SELECT max(revision) FROM schema_migrations") == len(shipped())
        finally:
            server.end()


async def test_the_migrate_command_finds_the_primary(pair: Pair) -> None:
    pair.primary.kill()
    pair.standby.promote()
    done = await asyncio.to_thread(run, "migrate", database_url=pair.url)
    assert done.returncode == 0, done.stderr
    assert await pair.standby.sql("SELECT max(revision) FROM schema_migrations") == len(shipped())
