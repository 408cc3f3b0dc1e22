"""Deleting: gone here at once, and gone at Nango for good, whatever is under way there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.e2e.harness import running
from tests.e2e.journeys import connect, eventually, result_in

if TYPE_CHECKING:
    from tests.e2e.journeys import Browser, Company, Nango
    from tests.e2e.world import World

INTEGRATION = "stripe-app"


async def gone_at_nango(nango: Nango, connection_id: str) -> None:
    async def gone() -> bool:
        return not await nango.of(connection_id)

    await eventually(gone)


async def test_a_deleted_connection_is_gone_here(company: Company, browser: Browser) -> None:
    connection_id = await connect(company, browser)
    deleted = await company.delete(f"/connections/{connection_id}")
    assert (deleted.status, deleted.json) == (200, {"success": True, "data": {"deleted": True}})
    assert (await company.get(f"/connections/{connection_id}")).status == 404
    assert (await company.get("/connections")).data == []


async def test_a_deleted_connection_is_gone_at_nango(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    await company.delete(f"/connections/{connection_id}")
    assert await nango.of(connection_id) == []


async def test_deleting_twice_finds_nothing(company: Company, browser: Browser) -> None:
    connection_id = await connect(company, browser)
    await company.delete(f"/connections/{connection_id}")
    assert (await company.delete(f"/connections/{connection_id}")).status == 404


async def test_after_a_delete_auth_url_begins_anew(company: Company, browser: Browser) -> None:
    connection_id = await connect(company, browser)
    await company.delete(f"/connections/{connection_id}")
    started = (await company.auth_url("stripe")).data
    assert (started["isNew"], started["connectionId"] != connection_id) == (True, True)


async def test_a_deleted_pending_connection_s_callback_is_superseded(
    company: Company, browser: Browser, nango: Nango
) -> None:
    started = (await company.auth_url("stripe")).data
    callback = await browser.consent(started["authUrl"])
    await company.delete(f"/connections/{started['connectionId']}")
    back = await browser.visit(callback)
    assert result_in(back.location) == {"error": "superseded", "connectionId": started["connectionId"]}
    assert "token_exchange" not in await nango.calls()


@pytest.mark.parametrize("ending", ["delete", "disconnect"])
async def test_an_end_while_a_callback_is_on_its_way_is_the_end(
    company: Company, browser: Browser, nango: Nango, world: World, ending: str
) -> None:
    started = (await company.auth_url("stripe")).data
    connection_id = started["connectionId"]
    callback = await browser.consent(started["authUrl"])
    await nango.linger(INTEGRATION, 1.5)
    on_its_way = asyncio.create_task(browser.visit(callback))
    await eventually(nango.is_exchanging)
    if ending == "delete":
        assert (await company.delete(f"/connections/{connection_id}")).status == 200
    else:
        assert (await company.post(f"/connections/{connection_id}/disconnect")).status == 200
    assert result_in((await on_its_way).location)["error"] == "superseded"
    assert (await nango.calls())["token_exchange"] == 1
    await gone_at_nango(nango, connection_id)


async def test_what_nango_makes_after_a_delete_and_a_crash_is_removed_by_the_worker(
    company: Company, browser: Browser, nango: Nango, world: World
) -> None:
    started = (await company.auth_url("stripe")).data
    connection_id = started["connectionId"]
    callback = await browser.consent(started["authUrl"])
    await nango.linger(INTEGRATION, 1.5)
    with running(world.serve()) as doomed:
        doomed.wait_ready()
        on_its_way = asyncio.create_task(browser.visit(callback, at=doomed.url))
        await eventually(nango.is_exchanging)
        await company.delete(f"/connections/{connection_id}")
        doomed.kill()
    with pytest.raises(aiohttp.ClientError):
        await on_its_way

    async def made() -> bool:
        return bool(await nango.of(connection_id))

    await eventually(made)
    await world.let_time_pass(connection_id)
    await gone_at_nango(nango, connection_id)


async def test_with_nango_in_trouble_a_delete_is_done_here_and_finished_by_the_worker(
    company: Company, browser: Browser, nango: Nango, world: World
) -> None:
    connection_id = await connect(company, browser)
    await nango.fail("nango", "server_error")
    assert (await company.delete(f"/connections/{connection_id}")).data == {"deleted": True}
    assert (await company.get(f"/connections/{connection_id}")).status == 404
    await nango.heal()
    assert len(await nango.of(connection_id)) == 1
    await world.let_time_pass(connection_id)
    await gone_at_nango(nango, connection_id)


async def test_a_crash_between_a_delete_and_nango_is_finished_by_the_worker(
    company: Company, browser: Browser, nango: Nango, world: World
) -> None:
    connection_id = await connect(company, browser)
    await nango.fail("nango", "hang", operation="list_connections")
    with running(world.serve()) as doomed:
        doomed.wait_ready()
        deleting = asyncio.create_task(company.at(doomed.url).delete(f"/connections/{connection_id}"))

        async def intended() -> bool:
            return (await company.get(f"/connections/{connection_id}")).status == 404

        await eventually(intended)
        doomed.kill()
    with pytest.raises(aiohttp.ClientError):
        await deleting
    await nango.heal()
    assert len(await nango.of(connection_id)) == 1
    await world.let_time_pass(connection_id)
    await gone_at_nango(nango, connection_id)


async def test_a_crash_in_the_middle_of_a_relay_is_finished_by_the_worker(
    company: Company, browser: Browser, nango: Nango, world: World
) -> None:
    started = (await company.auth_url("stripe")).data
    connection_id = started["connectionId"]
    callback = await browser.consent(started["authUrl"])
    await nango.linger(INTEGRATION, 1.5)
    with running(world.serve()) as doomed:
        doomed.wait_ready()
        on_its_way = asyncio.create_task(browser.visit(callback, at=doomed.url))
        await eventually(nango.is_exchanging)
        doomed.kill()
    with pytest.raises(aiohttp.ClientError):
        await on_its_way

    async def made() -> bool:
        return bool(await nango.of(connection_id))

    await eventually(made)
    await world.let_time_pass(connection_id)

    async def active() -> bool:
        return await company.status_of(connection_id) == "active"

    await eventually(active)
    back = await browser.visit(callback)
    assert result_in(back.location)["success"] == "true"
