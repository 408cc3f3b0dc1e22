"""Attempts whose browser does not come back through us, or not at all."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from domain.connection import ACTIVE, ERROR, PENDING
from domain.errors import ActiveConnectionExists, GatewayUnavailable
from tests.application.world import World, nango_id

# ── direct: Nango's callback URL is its own ───────────────────────────────────────────────────────────


async def test_where_nango_takes_the_callback_itself_its_state_stays_in_the_url(direct_world: World) -> None:
    started = await direct_world.auth_url()
    assert "state=nango-state" in started.url


@pytest.mark.parametrize("seconds", [5, 20, 50, 110, 170])
async def test_nango_is_asked_after_5_15_30_60_and_again_60_seconds(
    direct_world: World, seconds: int
) -> None:
    await direct_world.auth_url()
    await direct_world.work_for(seconds=seconds - 1)
    before = direct_world.gateway.calls["find_grants"]
    await direct_world.work_for(seconds=1)
    assert direct_world.gateway.calls["find_grants"] == before + 1


async def test_a_flow_that_ends_at_nango_is_found_by_the_poll(direct_world: World) -> None:
    started = await direct_world.auth_url()
    await direct_world.finish_at_nango(started.url)
    assert (await direct_world.connection(started.connection_id)).status is PENDING
    await direct_world.work_for(seconds=5)
    connection = await direct_world.connection(started.connection_id)
    assert connection.status is ACTIVE
    assert connection.external_account_id == "acct_1"


async def test_a_flow_of_an_hour_costs_nango_about_a_call_a_minute(direct_world: World) -> None:
    await direct_world.auth_url()
    await direct_world.work_for(minutes=61)
    assert direct_world.gateway.calls["find_grants"] < 70


async def test_polling_goes_on_after_nango_was_silent(direct_world: World) -> None:
    started = await direct_world.auth_url()
    direct_world.gateway.fail_with(GatewayUnavailable(), ["find_grants"], times=3)
    await direct_world.finish_at_nango(started.url)
    await direct_world.work_for(minutes=5)
    assert (await direct_world.connection(started.connection_id)).status is ACTIVE


async def test_two_flows_that_both_end_at_nango_leave_one_grant(direct_world: World) -> None:
    urls = [(await direct_world.auth_url()) for _ in range(2)]
    for started in urls:
        await direct_world.finish_at_nango(started.url)
    await direct_world.work_for(minutes=3)
    connection = await direct_world.connection(urls[0].connection_id)
    assert direct_world.grants() == {connection.nango_id}


async def test_a_flow_that_ends_at_nango_long_after_the_winner_is_removed(direct_world: World) -> None:
    late = await direct_world.auth_url()
    winner = await direct_world.auth_url()
    await direct_world.finish_at_nango(winner.url)
    await direct_world.work_for(minutes=5)
    await direct_world.finish_at_nango(late.url)
    await direct_world.work_for(minutes=60)
    connection = await direct_world.connection(winner.connection_id)
    assert direct_world.grants() == {connection.nango_id}


@pytest.mark.parametrize("verb", ["delete", "disconnect"])
async def test_a_flow_that_ends_at_nango_after_a_removal_is_removed_when_its_hour_is_over(
    direct_world: World, verb: str
) -> None:
    started = await direct_world.auth_url()
    await getattr(direct_world, verb)(started.connection_id)
    await direct_world.work_for(minutes=10)
    await direct_world.finish_at_nango(started.url)
    await direct_world.work_for(minutes=51)
    assert direct_world.grants() == set()


# ── sessions: a front end runs Nango's SDK ────────────────────────────────────────────────────────────


async def test_a_session_makes_the_connection_pending(world: World) -> None:
    connection = await world.in_error()
    await world.open_session(connection.id)
    assert (await world.connection(connection.id)).status is PENDING


async def test_a_session_that_a_front_end_completes_is_found_by_the_poll(world: World) -> None:
    connection = await world.in_error()
    await world.finish_session(await world.open_session(connection.id))
    await world.work_for(seconds=5)
    after = await world.connection(connection.id)
    assert (after.status, after.nango_id) == (ACTIVE, connection.nango_id)


async def test_a_session_of_an_active_connection_is_refused(world: World) -> None:
    connection = await world.authorize()
    before = world.gateway.calls["open_session"]
    with pytest.raises(ActiveConnectionExists):
        await world.open_session(connection.id)
    assert world.gateway.calls["open_session"] == before


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_a_session_that_does_not_open_leaves_the_connection_as_it_was(
    world: World, condition: str
) -> None:
    connection = await getattr(world, condition)()
    world.gateway.fail_with(GatewayUnavailable(), ["open_session"])
    with pytest.raises(GatewayUnavailable):
        await world.open_session(connection.id)
    assert await world.connection(connection.id) == connection


async def test_a_session_sends_the_stored_parameters_again(world: World) -> None:
    connection = await world.in_error("netsuite", accountId="1234567")
    session = await world.open_session(connection.id)
    await world.finish_session(session, "netsuite")
    assert world.gateway.grant(nango_id(connection)).connection_config == {"accountId": "1234567"}


# ── nobody comes back ─────────────────────────────────────────────────────────────────────────────────


async def test_a_first_authorization_that_nobody_completes_in_an_hour_is_an_error(world: World) -> None:
    started = await world.auth_url()
    await world.work_for(minutes=59)
    assert (await world.connection(started.connection_id)).status is PENDING
    await world.work_for(minutes=1)
    connection = await world.connection(started.connection_id)
    assert connection.status is ERROR
    assert connection.error_message == "Authorization was not completed in time. Start it again."
    assert (await world.history(connection.id))[-1] == "authorization_abandoned"


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_a_reauthorization_that_nobody_completes_gives_back_status_and_message(
    world: World, condition: str
) -> None:
    before = await getattr(world, condition)()
    await world.auth_url()
    await world.work_for(minutes=61)
    after = await world.connection(before.id)
    assert (after.status, after.error_message) == (before.status, before.error_message)
    assert (await world.history(before.id))[-1] == "authorization_abandoned"


async def test_a_flow_that_begins_late_is_not_given_up_by_a_worker_that_knows_less(world: World) -> None:
    start, gate = await world.catch("start_flow", world.auth_url())
    await world.later(seconds=20)
    (taken,) = await world.store.take_due_attempts(limit=1, lease=timedelta(minutes=1))
    gate.set()
    started = await start
    await world.service.do_due_work._resolve(taken)
    assert (await world.come_back(started.url)).outcome == "succeeded"


async def test_in_relay_mode_nango_is_asked_only_at_the_end(world: World) -> None:
    await world.auth_url()
    await world.work_for(minutes=59)
    assert world.gateway.calls["find_grants"] == 0
    await world.work_for(minutes=2)
    assert world.gateway.calls["find_grants"] == 1


async def test_nango_is_asked_before_an_attempt_is_given_up(direct_world: World) -> None:
    started = await direct_world.auth_url()
    await direct_world.later(minutes=60)
    await direct_world.finish_at_nango(started.url)
    await direct_world.work()
    assert (await direct_world.connection(started.connection_id)).status is ACTIVE


async def test_nothing_is_given_up_while_nango_is_silent(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), ["find_grants"], times=None)
    await world.work_for(minutes=70)
    assert (await world.connection(started.connection_id)).status is PENDING
    world.gateway.heal()
    await world.work_for(minutes=2)
    assert (await world.connection(started.connection_id)).status is ERROR


async def test_two_workers_do_a_piece_of_work_once(world: World) -> None:
    started = await world.auth_url()
    await world.later(minutes=60)
    other = world.another_process()
    assert sorted(await asyncio.gather(world.work(), other.work())) == [0, 1]
    assert (await world.history(started.connection_id)).count("authorization_abandoned") == 1
