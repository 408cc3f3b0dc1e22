"""The worker's round: one piece of work that fails does not stop the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapters.memory.gateway import MemoryGateway
from adapters.memory.store import MemoryStore
from application.remove_grants import RemoveGrants
from domain.connection import ACTIVE, ERROR
from domain.errors import GatewayNonsense, GatewayUnavailable, StoreUnavailable
from tests.application.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from domain.authorization import Attempt, Grant


async def _three_removals_owed(world: World) -> None:
    connections = [await world.authorize(provider) for provider in ("stripe", "hubspot", "salesforce")]
    world.gateway.fail_with(GatewayUnavailable(), ["find_grants"], times=3)
    for connection in connections:
        await world.delete(connection.id)
    assert len(world.grants()) == 3
    await world.later(seconds=40)


async def test_a_round_says_how_much_was_due(world: World) -> None:
    assert await world.work() == 0
    await _three_removals_owed(world)
    assert await world.work() == 3
    assert await world.work() == 0


@pytest.mark.parametrize(
    "problem",
    [GatewayUnavailable(), GatewayNonsense(), RuntimeError("a bug")],
    ids=lambda p: type(p).__name__,
)
async def test_a_job_that_fails_does_not_stop_the_others_and_is_tried_again(
    world: World, problem: GatewayUnavailable
) -> None:
    await _three_removals_owed(world)
    world.gateway.fail_with(problem, ["find_grants"])
    await world.work()
    assert len(world.grants()) == 1
    await world.work_for(minutes=2)
    assert world.grants() == set()


@pytest.mark.parametrize(
    "problem",
    [GatewayUnavailable(), GatewayNonsense(), RuntimeError("a bug")],
    ids=lambda p: type(p).__name__,
)
async def test_an_attempt_that_fails_does_not_stop_the_others_and_is_tried_again(
    direct_world: World, problem: GatewayUnavailable
) -> None:
    started = [await direct_world.auth_url(provider) for provider in ("stripe", "hubspot", "salesforce")]
    for each in started:
        await direct_world.finish_at_nango(each.url)
    await direct_world.later(seconds=5)
    direct_world.gateway.fail_with(problem, ["find_grants"])
    await direct_world.work()
    statuses = [connection.status for connection in await direct_world.connections()]
    assert statuses.count(ACTIVE) == 2
    await direct_world.work_for(minutes=2)
    statuses = [connection.status for connection in await direct_world.connections()]
    assert statuses == [ACTIVE] * 3


async def test_two_workers_share_what_is_due(world: World) -> None:
    await _three_removals_owed(world)
    done = await asyncio.gather(world.work(), world.another_process().work())
    assert sum(done) == 3
    assert world.grants() == set()


async def test_work_that_a_worker_took_and_never_finished_is_taken_up_by_another(world: World) -> None:
    await _three_removals_owed(world)
    dying = world.another_process(World().gateway)
    dying.gateway.hold("find_grants")
    task = asyncio.ensure_future(dying.work())
    await world.work_for(minutes=2)
    assert world.grants() == set()
    task.cancel()


async def test_more_than_a_round_can_hold_is_done_in_several(world: World) -> None:
    for _ in range(45):
        await world.create()
    await world.later(minutes=60)
    rounds = [await world.work() for _ in range(12)]
    assert (sum(rounds), max(rounds) <= 10) == (45, True)
    assert {connection.status for connection in await world.connections()} == {ERROR}


class Silent(MemoryGateway):
    async def find_grants(self, tags: Mapping[str, str]) -> Sequence[Grant]:
        await asyncio.sleep(15)
        return await super().find_grants(tags)


async def test_nobody_takes_what_another_is_still_going_to_do_while_nango_is_silent(world: World) -> None:
    for _ in range(45):
        await world.create()
    await world.later(minutes=60)

    async def work() -> int:
        worker = world.another_process(Silent(clock=world.now))
        return sum([await worker.work() for _ in range(12)])

    assert sum(await asyncio.gather(work(), work(), work())) == 45


async def test_what_is_taken_together_is_begun_together(world: World) -> None:
    await _three_removals_owed(world)
    begun = world.gateway.calls["find_grants"]
    world.gateway.hold("find_grants")
    task = asyncio.ensure_future(world.work())
    await world.later(seconds=1)
    assert world.gateway.calls["find_grants"] == begun + 3
    task.cancel()


async def test_a_worker_that_ends_ends_all_that_it_has_begun(world: World) -> None:
    await _three_removals_owed(world)
    gate = world.gateway.hold("find_grants")
    task = asyncio.ensure_future(world.work())
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await world.later(seconds=5)
    assert len(world.grants()) == 3


@pytest.mark.parametrize(
    "problem", [StoreUnavailable(), RuntimeError("a bug")], ids=lambda p: type(p).__name__
)
async def test_a_job_that_cannot_even_be_postponed_does_not_stop_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    async def fails(*_: object) -> None:
        raise problem

    await _three_removals_owed(world)
    world.gateway.fail_with(GatewayUnavailable(), ["find_grants"])
    with monkeypatch.context() as patch:
        patch.setattr(RemoveGrants, "later", fails)
        await world.work()
    assert len(world.grants()) == 1
    await world.work_for(minutes=2)
    assert world.grants() == set()


class Away(MemoryStore):
    async def take_due_attempts(self, *, limit: int, lease: timedelta) -> Sequence[Attempt]:
        raise StoreUnavailable


async def test_a_round_says_when_the_database_is_away() -> None:
    with pytest.raises(StoreUnavailable):
        await World(store=Away()).work()
