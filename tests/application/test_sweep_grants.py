"""A walk through Nango's list: reasons to look, orphans to remove, and nothing else."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from structlog.testing import capture_logs

from adapters.memory.gateway import MemoryGateway, StoredGrant
from application.ports import JobKind
from domain.authorization import Grant, Outcome
from domain.connection import ACTIVE, DISCONNECTED, ERROR, PENDING, Connection
from domain.errors import GatewayTimeout, GatewayUnavailable
from tests.application.watch import WatchWorld
from tests.application.world import COMPANY, NOON, nango_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world() -> WatchWorld:
    return WatchWorld(sweep=MINUTE)


async def walk(world: WatchWorld, times: int = 1) -> None:
    """Let so many walks pass, without the work that they owe."""
    for _ in range(times):
        await world.service.sweep_grants()
        await world.later(minutes=1)


async def many(world: WatchWorld, count: int) -> list[Connection]:
    """Connections by key, since a company has one by auth-url per provider."""
    return [await world.connection((await world.by_key(name=f"{n}")).connection_id) for n in range(count)]


def looks(world: WatchWorld) -> list[str]:
    return [job.connection_id for job in world.owed() if job.kind is JobKind.RECHECK]


async def statuses(world: WatchWorld) -> set[str]:
    return {connection.status for connection in await world.connections()}


# ── when ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_process_walks_in_each_interval(world: WatchWorld) -> None:
    other = world.another_worker()
    for _ in range(3):
        for process in (world, other, world, other):
            await process.service.sweep_grants()
        await world.later(minutes=1)
    assert world.gateway.calls["grants"] == 3


async def test_who_walked_last_walks_next_so_that_two_walks_are_two_intervals(world: WatchWorld) -> None:
    gone, _ = await many(world, 2)
    world.gateway.forget(nango_id(gone))
    workers = [world, *(world.another_worker() for _ in range(3))]
    for second in range(62):
        for worker in workers if second < 30 else reversed(workers):
            await worker.service.sweep_grants()
        await world.later(seconds=1)
    assert looks(world) == [gone.id]


async def test_another_walks_when_who_walked_last_is_gone(world: WatchWorld) -> None:
    other = world.another_worker()
    await world.service.sweep_grants()
    for _ in range(150):
        await other.service.sweep_grants()
        await world.later(seconds=1)
    assert world.gateway.calls["grants"] == 2


async def test_walks_far_apart_do_not_confirm_each_other(world: WatchWorld) -> None:
    gone, _ = await many(world, 2)
    world.gateway.forget(nango_id(gone))
    await walk(world)
    await world.later(minutes=5)
    await walk(world)
    assert looks(world) == []
    await walk(world)
    assert looks(world) == [gone.id]


async def test_large_environments_are_walked_through_at_a_bounded_rate() -> None:
    """However many processes walk at once: Nango allows 200 calls a minute for everything."""
    world = WatchWorld(sweep=timedelta(seconds=1))
    read_at: list[float] = []
    gateway = Large(world.now, read_at)
    workers = [world.another_worker(gateway) for _ in range(3)]

    async def work(worker: WatchWorld) -> None:
        while world.now() < NOON + timedelta(minutes=10):
            await worker.service.sweep_grants()
            await world.later(seconds=1)

    await asyncio.gather(*(work(worker) for worker in workers))
    busiest = max(sum(start <= at < start + 60 for at in read_at) for start in read_at)
    assert 10 <= busiest <= 25


class Large(MemoryGateway):
    """A Nango with 30,000 connections that are none of ours."""

    def __init__(self, clock: Callable[[], datetime], read_at: list[float]) -> None:
        super().__init__(clock=clock)
        self._read_at = read_at

    async def grants(self) -> AsyncIterator[Sequence[Grant]]:
        for number in range(30):
            self._read_at.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.5)
            yield [Grant(integration="slack", nango_id=f"{number}", tags={})] * 1000


async def test_an_interval_of_nothing_switches_it_off() -> None:
    world = WatchWorld()
    await world.authorize()
    await world.work_for(hours=1)
    assert world.gateway.calls["grants"] == 0


async def test_a_healthy_deployment_is_left_alone(world: WatchWorld) -> None:
    connection = await world.authorize()
    with capture_logs() as logs:
        await world.work_for(minutes=5)
    assert (await world.connection(connection.id), world.owed(), logs) == (connection, [], [])


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_error_that_nango_noted_is_found(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.gateway.change(nango_id(connection), expires_at=world.now())
    world.gateway.refuse_refresh(nango_id(connection), "invalid_grant")
    world.gateway.change(nango_id(connection), backing_off=True)
    await world.work_for(seconds=65)
    assert (await world.connection(connection.id)).status is ERROR


async def test_an_error_that_was_an_outage_changes_nothing(world: WatchWorld) -> None:
    connection = await world.authorize()
    history = await world.history(connection.id)
    world.gateway.change(nango_id(connection), backing_off=True)
    await world.work_for(seconds=65)
    assert (await world.connection(connection.id)).status is ACTIVE
    assert await world.history(connection.id) in (history, [*history, "refreshed"])


async def test_an_error_is_looked_at_once_and_not_with_each_walk(world: WatchWorld) -> None:
    connection = await world.authorize()
    grant = nango_id(connection)

    class Noted(StoredGrant):
        def shown(self) -> Grant:
            return attrs.evolve(super().shown(), auth_error=True)

    # Nango's note outlives the trouble: nobody has forced a refresh since.
    key = ("stripe-app", grant)
    stored = world.gateway.stored[key]
    world.gateway.stored[key] = Noted(**{f.name: getattr(stored, f.name) for f in attrs.fields(StoredGrant)})
    asked = len(world.gateway.asked)
    await world.work_for(minutes=10)
    assert len(world.gateway.asked) == asked + 1


async def test_a_new_error_after_a_recovery_is_looked_at_again(world: WatchWorld) -> None:
    connection = await world.authorize()
    for backing_off in (True, False, True):
        async with world.store.begin() as tx:
            for job in world.owed():
                await tx.jobs.finish(job.id)
        world.gateway.change(nango_id(connection), backing_off=backing_off)
        await walk(world)
    assert looks(world) == [connection.id]


async def test_an_error_of_what_is_known_to_be_broken_is_no_news(world: WatchWorld) -> None:
    connection = await world.in_error()
    world.gateway.change(nango_id(connection), backing_off=True)
    await walk(world, 3)
    assert looks(world) == []


async def test_a_walk_asks_no_provider(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.gateway.change(nango_id(connection), backing_off=True)
    asked = list(world.gateway.asked)
    await walk(world, 3)
    assert world.gateway.asked == asked


# ── what is missing ───────────────────────────────────────────────────────────────────────────────────


async def test_what_is_missing_twice_is_disconnected(world: WatchWorld) -> None:
    gone, stays = await many(world, 2)
    world.gateway.forget(nango_id(gone))
    await world.work_for(minutes=3)
    assert (await world.connection(gone.id)).status is DISCONNECTED
    assert (await world.connection(stays.id)).status is ACTIVE


async def test_what_is_missing_once_is_left_alone(world: WatchWorld) -> None:
    gone, _ = await many(world, 2)
    stored = world.grant_of(gone)
    world.gateway.forget(stored.nango_id)
    await walk(world)
    world.gateway.stored[stored.integration, stored.nango_id] = stored
    await walk(world)
    world.gateway.forget(stored.nango_id)
    await walk(world)
    assert looks(world) == []


async def test_a_walk_that_nango_interrupted_does_not_count(world: WatchWorld) -> None:
    gone, _ = await many(world, 2)
    world.gateway.forget(nango_id(gone))
    await walk(world)
    world.gateway.fail_with(GatewayUnavailable(), ["grants"])
    with pytest.raises(GatewayUnavailable):
        await world.service.sweep_grants()
    assert looks(world) == []


async def test_an_absence_is_proved_before_it_counts(world: WatchWorld) -> None:
    gone, _ = await many(world, 2)
    stored = world.grant_of(gone)
    world.gateway.forget(stored.nango_id)
    await walk(world, 2)
    world.gateway.stored[stored.integration, stored.nango_id] = stored
    await world.work_for(minutes=2)
    assert (await world.connection(gone.id)).status is ACTIVE


async def test_an_empty_list_changes_nothing_and_is_told_loudly(world: WatchWorld) -> None:
    await many(world, 1)
    world.gateway.stored.clear()
    with capture_logs() as logs:
        await world.work_for(minutes=10)
    assert await statuses(world) == {ACTIVE}
    assert {(log["log_level"], log["missing"], log["known"]) for log in logs} == {("error", 1, 1)}


async def test_more_than_one_in_twenty_missing_changes_nothing_and_is_told_loudly(world: WatchWorld) -> None:
    connections = await many(world, 39)
    for connection in connections[:2]:
        world.gateway.forget(nango_id(connection))
    with capture_logs() as logs:
        await world.work_for(minutes=10)
    assert await statuses(world) == {ACTIVE}
    assert {(log["log_level"], log["missing"], log["known"]) for log in logs} == {("error", 2, 39)}


async def test_one_in_twenty_missing_is_believed(world: WatchWorld) -> None:
    connections = await many(world, 40)
    for connection in connections[:2]:
        world.gateway.forget(nango_id(connection))
    await world.work_for(minutes=3)
    found = [each.id for each in await world.connections() if each.status is DISCONNECTED]
    assert sorted(found) == sorted(each.id for each in connections[:2])


@pytest.mark.parametrize("count", [1, 2, 30])
async def test_a_key_of_the_wrong_environment_disconnects_nothing(count: int) -> None:
    right = WatchWorld()
    await many(right, count)
    wrong = MemoryGateway(clock=right.now)
    for number in range(50):
        wrong._put(StoredGrant(integration="slack", nango_id=f"s{number}", tags={}, connection_config={}))
    world = WatchWorld(store=right.store, gateway=wrong, sweep=MINUTE, verify=MINUTE)
    await world.work_for(minutes=45)
    assert await statuses(world) == {ACTIVE}
    assert len(wrong.stored) == 50


async def test_a_pending_reconnect_that_is_missing_is_left_to_its_attempt(world: WatchWorld) -> None:
    connection, _ = await world.in_error(), await many(world, 1)
    await world.auth_url()
    world.gateway.forget(nango_id(connection))
    await world.work_for(minutes=5)
    assert (await world.connection(connection.id)).status is PENDING


# ── what is over ──────────────────────────────────────────────────────────────────────────────────────


async def test_what_came_back_after_a_delete_is_removed(world: WatchWorld) -> None:
    connection, _ = await world.authorize(), await many(world, 1)
    stored = world.grant_of(connection)
    await world.delete(connection.id)
    world.gateway._put(stored)
    await world.work_for(seconds=1)
    assert stored.nango_id not in world.grants()


async def test_what_a_closed_attempt_left_is_removed(world: WatchWorld) -> None:
    connection = await world.authorize()
    (attempt,) = await world.attempts(connection.id)
    assert attempt.outcome is Outcome.SUCCEEDED
    leftover = attrs.evolve(world.grant_of(connection), nango_id="leftover")
    world.gateway._put(leftover)
    await walk(world)
    assert world.grants() == {nango_id(connection)}


async def test_an_import_that_nango_finished_after_it_was_given_up_is_removed(world: WatchWorld) -> None:
    await world.authorize()
    held = world.grants()
    world.gateway.fail_with(GatewayTimeout(), ["import_credentials"])
    with pytest.raises(GatewayTimeout):
        await world.by_key()
    deleted = next(each for each in world.store._state.connections.values() if each.deleted_at)
    tags = {"connection": deleted.id, "company": COMPANY, "deployment": await world.store.deployment()}
    world.gateway._put(
        StoredGrant(
            integration="stripe-api-key",
            nango_id=deleted.id.removeprefix("conn_"),
            tags=tags,
            connection_config={},
        )
    )
    await walk(world)
    assert world.grants() == held


@pytest.mark.parametrize(
    "changes", [{"deployment": "another"}, {"company": "rival"}, {"connection": "conn_1"}, None]
)
async def test_what_our_tags_and_our_database_do_not_prove_stays(
    world: WatchWorld, changes: dict[str, str] | None
) -> None:
    connection = await world.authorize()
    stored = world.grant_of(connection)
    await world.delete(connection.id)
    tags = {} if changes is None else {**stored.tags, **changes}
    world.gateway._put(attrs.evolve(stored, tags=tags))
    await walk(world, 3)
    assert world.grants() == {stored.nango_id}


async def test_what_an_open_attempt_made_stays(world: WatchWorld) -> None:
    started = await world.auth_url()
    relay, gate = await world.catch("relay_callback", world.come_back(started.url))
    await walk(world)
    assert len(world.grants()) == 1
    gate.set()
    await relay


async def test_a_key_on_trial_stays(world: WatchWorld) -> None:
    trial, gate = await world.catch("import_credentials", world.by_key())
    await walk(world)
    assert len(world.grants()) == 1
    gate.set()
    await trial


async def test_a_restored_backup_removes_nothing(world: WatchWorld) -> None:
    kept, _ = await many(world, 2)
    backup = world.store._state.copy()
    # What happened after the backup: a new connection, another key, a second authorization.
    await world.by_key(name="after")
    await world.authorize("hubspot")
    await world.replace(kept.id, {"apiKey": "sk_second"})
    held = world.grants()
    world.store._state = backup
    await world.work_for(minutes=30)
    assert world.grants() == held


async def test_what_cannot_be_removed_now_is_removed_by_a_later_walk(world: WatchWorld) -> None:
    connection = await world.authorize()
    stored = world.grant_of(connection)
    await world.delete(connection.id)
    world.gateway._put(stored)
    world.gateway.fail_with(GatewayUnavailable(), ["delete"])
    await walk(world)
    assert (len(world.grants()), world.owed()) == (1, [])
    await walk(world)
    assert world.grants() == set()


async def test_what_the_sweep_found_is_told_like_anything_else(world: WatchWorld) -> None:
    gone, _ = await many(world, 2)
    world.gateway.forget(nango_id(gone))
    await world.work_for(minutes=3)
    last = (await world.events(gone.id))[-1]
    assert (last.type.value, last.actor) == ("disconnected", "worker")
