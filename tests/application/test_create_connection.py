from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.memory.store import MemoryStore
from application.create_connection import ConnectionCreated
from domain.connection import ACTIVE, DISCONNECTED, PENDING
from domain.errors import GatewayUnavailable, IdempotencyKeyReused, InvalidInput, TooManyAttempts
from tests.application.world import APP, World, state_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.memory.transaction import MemoryTransaction

KEY = "7a0f2c3e-0d5b-4f0c-9b6d-1f1d5a7e9b10"


async def test_a_connection_begins_as_pending_with_a_url_for_the_user(world: World) -> None:
    created = await world.create(name="Production Stripe", metadata={"environment": "production"})
    connection = await world.connection(created.connection_id)
    assert (created.name, created.provider, created.status) == ("Production Stripe", "stripe", PENDING)
    assert state_of(created.oauth_url).startswith("cs_")
    assert (connection.name, connection.metadata) == ("Production Stripe", {"environment": "production"})


async def test_the_url_leads_to_an_active_connection(world: World) -> None:
    created = await world.create(redirect=APP)
    result = await world.come_back(created.oauth_url)
    assert result.redirect_url is not None
    assert (await world.connection(created.connection_id)).status is ACTIVE


async def test_it_is_always_another_connection(world: World) -> None:
    existing = await world.authorize("stripe")
    created = [await world.create("stripe"), await world.create("stripe")]
    assert len({existing.id, *(each.connection_id for each in created)}) == 3


async def test_a_required_parameter_that_is_missing_is_named(world: World) -> None:
    with pytest.raises(InvalidInput, match="accountId"):
        await world.create("netsuite")
    assert await world.connections() == []


async def test_a_parameter_reaches_nango_in_its_canonical_form(world: World) -> None:
    created = await world.create("netsuite", accountId="1234567_SB1")
    await world.come_back(created.oauth_url)
    (grant,) = world.gateway.stored.values()
    assert grant.connection_config == {"accountId": "1234567-sb1"}


async def test_a_flow_that_does_not_start_leaves_nothing_behind(world: World) -> None:
    world.gateway.fail_with(GatewayUnavailable(), ["start_flow"])
    with pytest.raises(GatewayUnavailable):
        await world.create()
    assert await world.connections() == []


# ── Idempotency-Key ───────────────────────────────────────────────────────────────────────────────────


async def test_a_repetition_gets_the_same_answer(world: World) -> None:
    first = await world.create(key=KEY)
    assert await world.create(key=KEY) == first
    assert len(await world.connections()) == 1
    assert world.gateway.calls["start_flow"] == 1


async def test_a_repetition_in_another_process_gets_the_same_answer(world: World) -> None:
    first = await world.create(key=KEY)
    assert await world.another_process().create(key=KEY) == first


async def test_the_repeated_url_completes_the_connection(world: World) -> None:
    await world.create(key=KEY)
    again = await world.create(key=KEY)
    assert (await world.come_back(again.oauth_url)).outcome == "succeeded"


async def test_a_repetition_says_what_the_first_answer_said_whatever_has_happened_since(
    world: World,
) -> None:
    first = await world.create(key=KEY)
    await world.come_back(first.oauth_url)
    assert await world.create(key=KEY) == first
    await world.delete(first.connection_id)
    assert await world.create(key=KEY) == first


async def test_where_nango_takes_the_callback_itself_a_repetition_gets_the_same_answer(
    direct_world: World,
) -> None:
    first = await direct_world.create(key=KEY)
    assert await direct_world.create(key=KEY) == first


async def test_without_a_key_each_call_makes_a_connection(world: World) -> None:
    assert (await world.create()).connection_id != (await world.create()).connection_id


async def test_another_key_makes_another_connection(world: World) -> None:
    assert (await world.create(key=KEY)).connection_id != (await world.create(key=KEY + "x")).connection_id


async def test_keys_are_a_companys_own(world: World) -> None:
    mine, theirs = await world.create(key=KEY), await world.create(key=KEY, company="other")
    assert mine.connection_id != theirs.connection_id
    assert state_of(mine.oauth_url) != state_of(theirs.oauth_url)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Another name"},
        {"provider": "slack"},
        {"metadata": {"environment": "staging"}},
        {"redirect": "https://app.example.com/other"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_the_same_key_with_another_request_is_refused(world: World, change: dict[str, object]) -> None:
    await world.create(key=KEY)
    with pytest.raises(IdempotencyKeyReused):
        await world.create(**{"provider": "stripe", "key": KEY, **change})  # type: ignore[arg-type]  # by name
    assert len(await world.connections()) == 1


async def test_the_order_of_metadata_does_not_make_another_request(world: World) -> None:
    first = await world.create(key=KEY, metadata={"a": 1, "b": 2})
    assert await world.create(key=KEY, metadata={"b": 2, "a": 1}) == first


async def test_a_key_can_be_used_again_after_a_day(world: World) -> None:
    first = await world.create(key=KEY)
    await world.later(hours=25)
    await world.store.forget_old()
    assert (await world.create(key=KEY, name="Another")).connection_id != first.connection_id


async def test_the_key_and_the_state_are_not_kept(world: World) -> None:
    created = await world.create(key=KEY)
    kept = repr(world.store._state)
    assert KEY not in kept
    assert state_of(created.oauth_url) not in kept


async def test_at_the_same_time_too_a_key_is_good_for_one_request(world: World) -> None:
    first, second = await asyncio.gather(
        world.create(name="One", key="k"), world.create(name="Two", key="k"), return_exceptions=True
    )
    assert isinstance(first, ConnectionCreated)
    assert isinstance(second, IdempotencyKeyReused)


async def test_at_the_same_time_too_keys_are_a_companys_own(world: World) -> None:
    mine, theirs = await asyncio.gather(world.create(key="k"), world.create(key="k", company="rival"))
    assert mine.connection_id != theirs.connection_id


async def test_a_fingerprint_tells_nothing_of_the_request_without_the_key(world: World) -> None:
    await world.create(key="one")
    await world.create(key="two")
    assert len({record.fingerprint for record, _ in world.store._state.records.values()}) == 2


async def test_repetitions_at_the_same_time_share_one_connection(world: World) -> None:
    created = await asyncio.gather(*(world.create(key=KEY) for _ in range(50)))
    assert len({(each.connection_id, each.oauth_url) for each in created}) == 1
    assert world.gateway.calls["start_flow"] == 1


async def test_repetitions_at_the_same_time_in_two_processes_share_one_connection(world: World) -> None:
    other = world.another_process()
    starting = world.gateway.hold("start_flow")
    calls = [asyncio.ensure_future(each.create(key=KEY)) for each in (world, other)]
    await world.later(seconds=1)
    starting.set()
    created = await asyncio.gather(*calls)
    assert len({each.connection_id for each in created}) == 1
    for each in created:
        await world.come_back(each.oauth_url)
    assert [each.status for each in await world.connections()] == [ACTIVE]


async def test_a_start_that_fails_frees_the_key(world: World) -> None:
    world.gateway.fail_with(GatewayUnavailable(), ["start_flow"])
    with pytest.raises(GatewayUnavailable):
        await world.create(key=KEY)
    created = await world.create(key=KEY, name="Corrected")
    assert [each.id for each in await world.connections()] == [created.connection_id]


async def test_a_request_that_is_refused_frees_the_key(world: World) -> None:
    with pytest.raises(InvalidInput):
        await world.create("netsuite", key=KEY)
    assert await world.create("netsuite", key=KEY, accountId="1")


async def test_a_repetition_resumes_what_a_crash_left_half_done(world: World) -> None:
    await _crash(world)
    created = await world.create(key=KEY)
    assert [each.id for each in await world.connections()] == [created.connection_id]
    assert (await world.come_back(created.oauth_url)).outcome == "succeeded"


async def test_a_repetition_waits_while_the_first_may_still_be_answered(world: World) -> None:
    creating, gate = await world.catch("start_flow", world.create(key=KEY))
    await world.later(seconds=6)
    repetition = asyncio.ensure_future(world.another_process().create(key=KEY))
    await world.later(seconds=1)
    assert not repetition.done()
    gate.set()
    assert await repetition == await creating


@pytest.mark.parametrize(("died", "waits"), [(2, 6), (7, 1), (15, 0)])
async def test_a_repetition_waits_no_longer_than_the_first_may_take(
    world: World, died: int, waits: int
) -> None:
    await _crash(world)
    began = world.now() - timedelta(seconds=1)
    await world.later(seconds=died - 1)
    await world.create(key=KEY)
    assert world.now() - began - timedelta(seconds=died) <= timedelta(seconds=waits + 0.2)


async def test_a_repetition_after_a_crash_tells_that_somebody_else_has_authorized_it(world: World) -> None:
    await _crash(world)
    (connection,) = await world.connections()
    await world.come_back((await world.reauthorize(connection.id)).url)
    created = await world.create(key=KEY)
    assert (created.connection_id, created.status, created.oauth_url) == (connection.id, ACTIVE, None)


async def test_a_repetition_that_told_of_an_active_connection_tells_the_same_after_its_end(
    world: World,
) -> None:
    await _crash(world)
    (connection,) = await world.connections()
    await world.come_back((await world.reauthorize(connection.id)).url)
    created = await world.create(key=KEY)
    await world.disconnect(connection.id)
    assert await world.create(key=KEY) == created
    assert (await world.connection(connection.id)).status is DISCONNECTED


async def test_a_resumed_connection_outlives_the_crashed_attempts_end(world: World) -> None:
    await _crash(world)
    created = await world.create(key=KEY)
    await world.work_for(minutes=2)
    assert (await world.connection(created.connection_id)).status is PENDING
    assert await world.create(key=KEY) == created


async def test_a_repetition_after_the_worker_has_cleared_a_crash_away_begins_anew(world: World) -> None:
    await _crash(world)
    await world.work_for(seconds=30)
    assert await world.connections() == []
    created = await world.create(key=KEY)
    assert await world.create(key=KEY) == created
    assert [each.id for each in await world.connections()] == [created.connection_id]


async def test_two_repetitions_after_a_cleared_crash_make_one_connection() -> None:
    world = World(store=Distant(World().now))
    await _crash(world)
    await world.work_for(seconds=30)
    callers = (world, world.another_process())
    created = await asyncio.gather(*(each.create(key=KEY) for each in callers))
    assert len({each.connection_id for each in created}) == 1
    assert len(await world.connections()) == 1


async def test_two_repetitions_after_a_crash_give_the_same_answer() -> None:
    world = World(store=Distant(World().now))
    await _crash(world)
    callers = (world, world.another_process())
    created = await asyncio.gather(*(each.create(key=KEY) for each in callers))
    assert created[0] == created[1] == await world.create(key=KEY)
    assert (await world.come_back(created[0].oauth_url)).outcome == "succeeded"


async def test_a_repetition_waits_for_another_that_resumes(world: World) -> None:
    await _crash(world)
    resuming, gate = await world.catch("start_flow", world.create(key=KEY))
    third = asyncio.ensure_future(world.another_process().create(key=KEY))
    await world.later(seconds=1)
    assert not third.done()
    gate.set()
    assert await third == await resuming


async def test_a_resumption_that_fails_leaves_nothing_and_frees_the_key(world: World) -> None:
    await _crash(world)
    world.gateway.fail_with(GatewayUnavailable(), ["start_flow"])
    with pytest.raises(GatewayUnavailable):
        await world.create(key=KEY)
    await world.work_for(seconds=30)
    assert await world.connections() == []
    assert await world.create(key=KEY)


async def test_a_repetition_never_asks_nango_while_attempts_are_capped(world: World) -> None:
    created = await world.create(key=KEY)
    for _ in range(49):
        await world.reauthorize(created.connection_id)
    with pytest.raises(TooManyAttempts):
        await world.reauthorize(created.connection_id)
    assert (await world.create(key=KEY)).oauth_url == created.oauth_url


class Distant(MemoryStore):
    """A database that takes a millisecond to reach: processes take turns between two transactions."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryTransaction]:
        await asyncio.sleep(0.001)
        async with super().begin() as tx:
            yield tx


_dying: list[asyncio.Future[object]] = []
"""Keeps what nobody waits for from being collected while another test runs."""


async def _crash(world: World) -> None:
    """A process has reserved the key and written its intent, and will never be heard of again."""
    dying = world.another_process(World().gateway)
    dying.gateway.hold("open_session")
    _dying.append(asyncio.ensure_future(dying.create(key=KEY)))
    await world.later(seconds=1)
