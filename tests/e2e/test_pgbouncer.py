"""Whole journeys with two servers and a worker, all behind a pgbouncer in transaction mode."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from application.ports import Scope
from tests.conftest import named
from tests.e2e.harness import free_port, run, running
from tests.e2e.journeys import Browser, Company, Nango, connect, eventually, result_in
from tests.e2e.world import World, start_nango
from tests.pgbouncer import pgbouncer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import aiohttp
    import asyncpg

pytestmark = pytest.mark.pgbouncer


@frozen(kw_only=True)
class BouncedWorld(World):
    """A deployment that reaches its database through pgbouncer only."""

    second_url: str
    direct_url: str

    def settings(self, **other: object) -> dict[str, object]:
        return super().settings(database_pgbouncer="true", **other)

    async def create_key(self, company_id: str, scope: Scope = Scope.WRITE) -> str:
        made = run("keys", "create", "--company", company_id, "--scope", scope, **self.settings())
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    async def sql(self, statement: str, *values: object) -> list[asyncpg.Record]:
        return await World(database_url=self.direct_url, nango_url="", public_url="", logs=self.logs).sql(
            statement, *values
        )


@pytest.fixture(scope="module")
def bounced_world(
    postgres_server: str, shared_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BouncedWorld]:
    logs = tmp_path_factory.mktemp("bounced")
    port, other = free_port(), free_port()
    public_url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        bouncer = stack.enter_context(pgbouncer(postgres_server))
        nango = stack.enter_context(running(start_nango(logs, f"{public_url}/oauth/callback")))
        world = BouncedWorld(
            database_url=named(bouncer, shared_database_url.partition("?")[0].rpartition("/")[2]),
            nango_url=nango.url,
            public_url=public_url,
            direct_url=shared_database_url,
            second_url=f"http://127.0.0.1:{other}",
            logs=logs,
        )
        migrated = run("migrate", **world.settings())
        assert migrated.returncode == 0, migrated.stderr
        servers = [stack.enter_context(running(world.serve(port=each))) for each in (port, other)]
        worker = stack.enter_context(running(world.worker()))
        nango.wait_ready("/ready")
        for server in servers:
            server.wait_ready()
        yield world
        for process in (*servers, worker):
            assert process.stop() == 0
            assert "traceback" not in process.said.lower()


@pytest.fixture
async def bounced_nango(bounced_world: BouncedWorld, session: aiohttp.ClientSession) -> AsyncIterator[Nango]:
    nango = Nango(session, bounced_world.nango_url)
    await nango.forget_calls()
    yield nango
    await nango.heal()


@pytest.fixture
async def bounced_company(
    bounced_world: BouncedWorld, session: aiohttp.ClientSession, request: pytest.FixtureRequest
) -> Company:
    company_id = f"bounced-{abs(hash(request.node.name))}"
    key = await bounced_world.create_key(company_id)
    return Company(session=session, base=bounced_world.public_url, key=key, id=company_id)


async def test_an_account_is_connected_kept_alive_and_removed(
    bounced_company: Company, bounced_world: BouncedWorld, bounced_nango: Nango, browser: Browser
) -> None:
    connection_id = await connect(bounced_company, browser)
    elsewhere = bounced_company.at(bounced_world.second_url)
    assert await elsewhere.status_of(connection_id) == "active"
    assert (await elsewhere.post(f"/connections/{connection_id}/verify")).data["healthy"] is True
    assert (await elsewhere.post(f"/connections/{connection_id}/refresh")).status == 200
    assert (await elsewhere.post(f"/connections/{connection_id}/disconnect")).data["status"] == "disconnected"
    assert await bounced_nango.of(connection_id) == []
    assert (await bounced_company.delete(f"/connections/{connection_id}")).status == 200
    assert (await elsewhere.get(f"/connections/{connection_id}")).status == 404
    assert (await elsewhere.get("/events")).data[-1]["type"] == "deleted"


def test_the_doctor_misses_the_timeouts_that_nobody_gave_the_role(bounced_world: BouncedWorld) -> None:
    told = json.loads(run("doctor", "--json", **bounced_world.settings()).stdout)

    (timeouts,) = [finding for finding in told if finding["check"] == "timeouts"]
    assert timeouts["status"] == "warning"


async def test_a_flow_that_one_server_began_is_completed_by_the_other(
    bounced_company: Company, bounced_world: BouncedWorld, browser: Browser
) -> None:
    started = (await bounced_company.auth_url("quickbooks")).data
    callback = await browser.consent(started["authUrl"])
    back = await browser.visit(callback, at=bounced_world.second_url)
    assert result_in(back.location)["success"] == "true"
    assert await bounced_company.status_of(started["connectionId"]) == "active"


async def test_many_auth_urls_at_both_servers_make_one_connection(
    bounced_company: Company, bounced_world: BouncedWorld
) -> None:
    elsewhere = bounced_company.at(bounced_world.second_url)
    answers = await asyncio.gather(
        *((bounced_company, elsewhere)[number % 2].auth_url("stripe") for number in range(60))
    )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data["connectionId"] for answer in answers}) == 1


async def test_refreshes_at_both_servers_share_one_call_to_nango(
    bounced_company: Company, bounced_world: BouncedWorld, bounced_nango: Nango, browser: Browser
) -> None:
    connection_id = await connect(bounced_company, browser)
    await bounced_nango.fail("token_endpoint", delay=0.5)
    elsewhere = bounced_company.at(bounced_world.second_url)
    answers = await asyncio.gather(
        *(
            (bounced_company, elsewhere)[number % 2].post(f"/connections/{connection_id}/refresh")
            for number in range(20)
        )
    )
    assert {answer.status for answer in answers} == {200}
    assert (await bounced_nango.calls())["refresh_connection"] == 1


async def test_many_readers_at_once_get_their_own_connections(
    bounced_company: Company, bounced_world: BouncedWorld
) -> None:
    async def create(number: int) -> str:
        body = {"name": f"number {number}", "provider": "slack"}
        return str((await bounced_company.post("/connections", body)).data["id"])

    made = [await create(number) for number in range(10)]
    elsewhere = bounced_company.at(bounced_world.second_url)
    answers = await asyncio.gather(
        *((bounced_company, elsewhere)[n % 2].get(f"/connections/{made[n % 10]}") for n in range(300))
    )
    assert [answer.data["name"] for answer in answers] == [f"number {n % 10}" for n in range(300)]


async def test_the_worker_finishes_what_nango_s_absence_left(
    bounced_company: Company, bounced_world: BouncedWorld, bounced_nango: Nango, browser: Browser
) -> None:
    connection_id = await connect(bounced_company, browser)
    await bounced_nango.fail("nango", "server_error")
    assert (await bounced_company.delete(f"/connections/{connection_id}")).status == 200
    await bounced_nango.heal()
    assert len(await bounced_nango.of(connection_id)) == 1
    await bounced_world.let_time_pass(connection_id)

    async def gone() -> bool:
        return await bounced_nango.of(connection_id) == []

    await eventually(gone)
