"""Looks at active connections that nobody asked for: how often, how many, and by whom."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from application.ports import HEARTBEAT, JobKind
from domain.connection import ACTIVE, ERROR, EXPIRED, Connection
from domain.errors import GatewayUnavailable
from tests.application.watch import WatchWorld
from tests.application.world import nango_id

HOUR = timedelta(hours=1)


@pytest.fixture
async def world() -> WatchWorld:
    return WatchWorld(verify=HOUR)


async def many(world: WatchWorld, count: int, company: str = "acme") -> None:
    for number in range(count):
        await world.use_cases.create_api_key_connection(
            company_id=company,
            provider="stripe",
            name=f"{number}",
            metadata={},
            parameters={},
            credentials={"apiKey": "sk"},
            idempotency_key=None,
            actor="tests",
        )


def looks(world: WatchWorld) -> list[tuple[str, datetime]]:
    return [(job.company_id, job.due_at) for job in world.owed() if job.kind is JobKind.RECHECK]


async def test_a_token_revoked_at_the_provider_is_found(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.refuse(connection)
    await world.work_for(minutes=59)
    assert (await world.connection(connection.id)).status is ACTIVE
    await world.work_for(minutes=3)
    assert (await world.connection(connection.id)).status is ERROR


async def test_what_works_is_seen_to_work_once_an_interval(world: WatchWorld) -> None:
    connection = await world.authorize()
    asked = len(world.gateway.asked)
    await world.work_for(hours=3)
    assert 2 <= len(world.gateway.asked) - asked <= 3
    seen = (await world.connection(connection.id)).last_synced_at
    assert seen is not None
    assert world.now() - seen < HOUR + timedelta(minutes=3)


async def test_what_was_just_verified_is_not_looked_at(world: WatchWorld) -> None:
    connection = await world.authorize()
    await world.later(minutes=55)
    await world.verify(connection.id)
    await world.work_for(minutes=50)
    assert (await world.history(connection.id)).count("found_healthy") == 1


@pytest.mark.parametrize("status", [ERROR, EXPIRED])
async def test_what_does_not_work_is_left_alone(world: WatchWorld, status: str) -> None:
    connection: Connection = await (world.in_error() if status == "error" else world.expired())
    await world.later(hours=5)
    await world.work_for(minutes=2)
    assert await world.connection(connection.id) == connection


async def test_an_interval_of_nothing_switches_it_off() -> None:
    world = WatchWorld()
    await world.authorize()
    asked = len(world.gateway.asked)
    await world.later(hours=24)
    await world.work_for(minutes=2)
    assert len(world.gateway.asked) == asked


@pytest.mark.parametrize("verify", [timedelta(0), HOUR])
async def test_whoever_works_leaves_its_mark_each_minute(verify: timedelta) -> None:
    world = WatchWorld(verify=verify)
    for _ in range(3):
        await world.work_for(minutes=1)

        assert not await world.store.take_turn(HEARTBEAT, every=HOUR)


async def test_a_minute_s_budget_is_kept() -> None:
    world = WatchWorld(verify=HOUR, per_minute=6)
    await many(world, 20)
    await world.later(hours=2)
    for _ in range(60):
        await world.service.schedule_checks()
        await world.later(seconds=1)
    assert len(looks(world)) == 2
    for number in range(8):
        await many(world, 1, company=f"company {number}")
    await world.later(hours=2)
    await world.service.schedule_checks()
    assert len(looks(world)) == 2 + 6


@pytest.mark.parametrize("seconds", [1, 5, 20, 60])
async def test_short_intervals_do_not_stretch_the_budget(seconds: int) -> None:
    world = WatchWorld(verify=timedelta(seconds=seconds), per_minute=6)
    for number in range(10):
        await many(world, 5, company=f"company {number}")
    await world.later(minutes=2)
    for _ in range(60):
        await world.service.schedule_checks()
        await world.later(seconds=1)
    assert len(looks(world)) <= 6


async def test_no_company_takes_more_than_a_third() -> None:
    world = WatchWorld(verify=timedelta(minutes=5), per_minute=30)
    await many(world, 30, company="large")
    await world.later(minutes=1)
    await many(world, 3, company="small")
    await world.later(minutes=10)
    await world.service.schedule_checks()
    shares = Counter(company for company, _ in looks(world))
    assert shares == {"large": 5, "small": 3}


async def test_looks_are_spread_over_their_round(world: WatchWorld) -> None:
    await many(world, 10)
    await world.later(hours=2)
    await world.service.schedule_checks()
    due = [at for _, at in looks(world)]
    assert len(set(due)) > 5
    assert max(due) - world.now() < timedelta(minutes=1)


async def test_one_process_does_a_round(world: WatchWorld) -> None:
    await many(world, 30)
    await world.later(hours=2)
    processes = [world.another_worker() for _ in range(3)]
    scheduled = [await process.service.schedule_checks() for process in processes]
    assert scheduled == [10, 0, 0]


async def test_a_silent_nango_moves_nothing_however_long(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GatewayUnavailable(), times=None)
    await world.work_for(hours=2)
    assert await world.connection(connection.id) == connection


async def test_after_a_long_silence_looks_go_on(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GatewayUnavailable(), times=None)
    await world.work_for(hours=2)
    world.gateway.heal()
    world.refuse(connection)
    await world.work_for(hours=1)
    assert (await world.connection(connection.id)).status is ERROR


async def test_a_scheduled_look_tells_of_a_changed_account(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.answer(connection, 200, {"id": "acct_2"})
    await world.work_for(minutes=62)
    assert "account_changed" in await world.history(connection.id)


async def test_a_scheduled_look_finds_what_was_deleted_at_nango(world: WatchWorld) -> None:
    gone, _ = await world.authorize(), await world.authorize("hubspot")
    world.gateway.forget(nango_id(gone))
    await world.work_for(minutes=62)
    assert (await world.history(gone.id))[-1] == "disconnected"
