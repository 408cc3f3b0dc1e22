"""Nango slow, silent or confused while a callback is relayed, and processes that die meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from domain.connection import ACTIVE, ERROR, PENDING
from domain.errors import GatewayNonsense, GatewayTimeout, GatewayUnavailable
from tests.application.world import World


async def _timed_out(world: World, **started: str) -> tuple[str, str]:
    """A connection whose relay timed out, with nothing at Nango yet; its id and the URL."""
    begun = await world.auth_url(**started)
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    assert (await world.come_back(begun.url)).outcome == "pending"
    return begun.connection_id, begun.url


# ── timeouts ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_relay_that_times_out_says_nothing_yet(world: World) -> None:
    started = await world.auth_url(redirect="https://app.example.com/done")
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    result = await world.come_back(started.url)
    assert (result.outcome, result.error) == ("pending", None)
    assert (await world.connection(started.connection_id)).status is PENDING


@pytest.mark.parametrize("silent", ["relay_callback", "find_grants"])
async def test_a_browser_is_told_to_wait_within_sixteen_seconds(world: World, silent: str) -> None:
    started = await world.auth_url()
    world.gateway.hold(silent)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert (await world.come_back(started.url)).outcome == "pending"
    assert loop.time() - began <= 16


@pytest.mark.parametrize(("minutes", "late"), [(4, False), (6, True)])
async def test_a_user_does_not_wait_without_end_where_no_worker_looks(
    world: World, minutes: int, late: bool
) -> None:
    _, url = await _timed_out(world)
    await world.later(minutes=minutes)
    result = await world.come_back(url)
    assert (result.outcome, result.late) == ("pending", late)


async def test_a_user_who_took_long_at_the_provider_waits_like_any_other(world: World) -> None:
    begun = await world.auth_url()
    await world.later(minutes=50)
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    assert not (await world.come_back(begun.url)).late


async def test_a_relay_that_timed_out_is_not_tried_again(world: World) -> None:
    await _timed_out(world)
    assert world.gateway.calls["relay_callback"] == 1


async def test_a_relay_that_timed_out_after_its_effect_is_a_success(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"], after=True)
    assert (await world.come_back(started.url)).outcome == "succeeded"


async def test_the_worker_looks_after_twenty_seconds_and_finds_the_success(world: World) -> None:
    connection_id, url = await _timed_out(world)
    await world.nango_finishes(url)
    await world.work_for(seconds=19)
    assert (await world.connection(connection_id)).status is PENDING
    await world.work_for(seconds=1)
    assert (await world.connection(connection_id)).status is ACTIVE


async def test_a_relay_that_nango_ends_after_a_minute_is_a_success(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(started.url)
    await world.work_for(minutes=1)
    await world.nango_finishes(started.url)
    await world.work_for(minutes=3)
    assert (await world.connection(started.connection_id)).status is ACTIVE


async def test_a_reload_while_the_outcome_is_open_is_not_relayed_and_gets_it_later(world: World) -> None:
    _, url = await _timed_out(world)
    await world.nango_finishes(url)
    calls = world.gateway.calls["relay_callback"]
    assert (await world.come_back(url)).outcome == "pending"
    await world.later(seconds=20)
    await world.work()
    assert (await world.come_back(url)).outcome == "succeeded"
    assert world.gateway.calls["relay_callback"] == calls


async def test_a_reload_waits_for_the_outcome_that_the_worker_finds(world: World) -> None:
    _, url = await _timed_out(world)
    await world.nango_finishes(url)
    await world.later(seconds=10)
    reload = asyncio.ensure_future(world.come_back(url))
    await world.work_for(seconds=12)
    assert (await reload).outcome == "succeeded"


async def test_a_reload_waits_no_longer_than_a_relay_may_take(world: World) -> None:
    _, url = await _timed_out(world)
    before = world.now()
    assert (await world.come_back(url)).outcome == "pending"
    assert timedelta(seconds=14) < world.now() - before < timedelta(seconds=16)


async def test_after_five_minutes_without_a_trace_a_first_authorization_has_failed(world: World) -> None:
    connection_id, url = await _timed_out(world)
    await world.work_for(minutes=4, seconds=50)
    assert (await world.connection(connection_id)).status is PENDING
    await world.work_for(seconds=30)
    connection = await world.connection(connection_id)
    assert (connection.status, connection.error_message) == (
        ERROR,
        "Authorization failed: authorization_timeout",
    )
    assert (await world.come_back(url)).error == "authorization_timeout"


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_after_five_minutes_without_a_trace_a_reauthorization_gives_back_what_was(
    world: World, condition: str
) -> None:
    before = await getattr(world, condition)()
    await _timed_out(world)
    await world.work_for(minutes=6)
    after = await world.connection(before.id)
    assert (after.status, after.error_message) == (before.status, before.error_message)


async def test_a_claim_without_an_outcome_outlives_its_attempts_hour(world: World) -> None:
    started = await world.auth_url()
    await world.later(minutes=59, seconds=50)
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(started.url)
    await world.nango_finishes(started.url)
    await world.later(seconds=70)
    assert (await world.come_back(started.url)).outcome == "pending"
    await world.work()
    assert (await world.connection(started.connection_id)).status is ACTIVE


async def test_nango_is_not_asked_all_the_time_about_an_open_claim(world: World) -> None:
    await _timed_out(world)
    await world.work_for(minutes=6)
    assert world.gateway.calls["find_grants"] <= 6


# ── refusals and nonsense ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("times", [1, 2])
async def test_a_relay_that_nango_refuses_to_take_is_tried_again(world: World, times: int) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), ["relay_callback"], times=times)
    assert (await world.come_back(started.url)).outcome == "succeeded"


async def test_a_relay_that_nango_never_takes_is_not_held_against_the_user(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), ["relay_callback"], times=None)
    assert (await world.come_back(started.url)).outcome == "pending"
    assert world.gateway.calls["relay_callback"] == 3


async def test_what_nango_never_took_is_relayed_when_the_waiting_page_comes_again(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), ["relay_callback"], times=3)
    await world.come_back(started.url)
    await world.later(minutes=10)
    assert (await world.come_back(started.url)).outcome == "succeeded"


async def test_what_nango_never_took_is_abandoned_with_its_hour(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), ["relay_callback"], times=3)
    await world.come_back(started.url)
    await world.work_for(minutes=61)
    assert (await world.connection(started.connection_id)).error_message == (
        "Authorization was not completed in time. Start it again."
    )


async def test_a_relay_answered_with_nonsense_is_judged_by_its_tag(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayNonsense(), ["relay_callback"], after=True)
    assert (await world.come_back(started.url)).outcome == "succeeded"


async def test_nonsense_without_a_tag_is_not_held_against_the_user(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayNonsense(), ["relay_callback"])
    assert (await world.come_back(started.url)).outcome == "pending"
    assert (await world.connection(started.connection_id)).status is PENDING


async def test_a_relay_answered_with_nonsense_is_not_tried_again(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayNonsense(), ["relay_callback"])
    await world.come_back(started.url)
    assert (await world.come_back(started.url)).outcome == "pending"
    assert world.gateway.calls["relay_callback"] == 1


async def test_what_nango_finishes_after_nonsense_is_found_by_the_worker(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayNonsense(), ["relay_callback"])
    await world.come_back(started.url)
    await world.nango_finishes(started.url)
    await world.work_for(seconds=20)
    assert (await world.come_back(started.url)).outcome == "succeeded"


async def test_nonsense_without_a_trace_at_nango_has_failed_after_five_minutes(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayNonsense(), ["relay_callback"])
    await world.come_back(started.url)
    await world.work_for(minutes=4, seconds=50)
    assert (await world.connection(started.connection_id)).status is PENDING
    await world.work_for(seconds=30)
    assert (await world.come_back(started.url)).error == "authorization_timeout"


async def test_a_denial_is_a_denial_although_nonsense_answered_it(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayNonsense(), ["relay_callback"])
    assert (await world.deny(started.url)).error == "access_denied"


@pytest.mark.parametrize("silence", [GatewayUnavailable(), GatewayTimeout(), GatewayNonsense()])
async def test_a_success_that_cannot_be_confirmed_now_is_confirmed_by_the_worker(
    world: World, silence: GatewayUnavailable
) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(silence, ["find_grants"])
    assert (await world.come_back(started.url)).outcome == "pending"
    await world.work_for(seconds=20)
    assert (await world.connection(started.connection_id)).status is ACTIVE


async def test_the_worker_asks_again_where_nango_stays_silent(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), ["find_grants"], times=3)
    await world.come_back(started.url)
    await world.work_for(minutes=3)
    assert (await world.connection(started.connection_id)).status is ACTIVE


async def test_an_outage_longer_than_five_minutes_does_not_turn_a_success_into_a_failure(
    world: World,
) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), ["find_grants"], times=None)
    await world.come_back(started.url)
    await world.work_for(minutes=30)
    assert (await world.connection(started.connection_id)).status is PENDING
    world.gateway.heal()
    await world.work_for(minutes=2)
    assert (await world.connection(started.connection_id)).status is ACTIVE


async def test_a_denial_is_a_denial_although_nango_is_unreachable(world: World) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), times=None)
    result = await world.deny(started.url)
    connection = await world.connection(started.connection_id)
    assert (result.outcome, result.error) == ("failed", "access_denied")
    assert (connection.status, connection.error_message) == (ERROR, "Authorization failed: access_denied")


# ── crashes ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_process_that_dies_before_the_relay_leaves_the_claim_to_the_worker(world: World) -> None:
    started = await world.auth_url()
    dying = _hung(world)
    dying.gateway.hold("relay_callback")
    asyncio.ensure_future(dying.come_back(started.url))  # noqa: RUF006 - never to be heard of again
    await world.work_for(minutes=6)
    connection = await world.connection(started.connection_id)
    assert connection.error_message == "Authorization failed: authorization_timeout"


async def test_a_process_that_dies_after_the_relay_leaves_the_success_to_the_worker(world: World) -> None:
    started = await world.auth_url()
    dying = _hung(world)
    dying.gateway.hold("relay_callback")
    asyncio.ensure_future(dying.come_back(started.url))  # noqa: RUF006 - never to be heard of again
    await world.nango_finishes(started.url)
    await world.work_for(seconds=30)
    assert (await world.connection(started.connection_id)).status is ACTIVE


@pytest.mark.parametrize(
    ("operation", "after"), [("open_session", False), ("start_flow", False), ("start_flow", True)]
)
async def test_a_process_that_dies_between_intent_and_outcome_leaves_nothing(
    world: World, operation: str, after: bool
) -> None:
    dying = _hung(world)
    dying.gateway.hold(operation, after=after)
    asyncio.ensure_future(dying.auth_url())  # noqa: RUF006 - never to be heard of again
    await world.work_for(seconds=19)
    assert len(await world.connections()) == 1
    await world.work_for(seconds=2)
    assert await world.connections() == []


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_a_process_that_dies_between_intent_and_flow_leaves_an_old_connection_as_it_was(
    world: World, condition: str
) -> None:
    connection = await getattr(world, condition)()
    dying = _hung(world)
    dying.gateway.hold("open_session")
    asyncio.ensure_future(dying.auth_url())  # noqa: RUF006 - never to be heard of again
    await world.work_for(seconds=30)
    assert await world.connection(connection.id) == connection
    assert all(attempt.closed_at for attempt in await world.attempts(connection.id))


def _hung(world: World) -> World:
    """A process over the same store that will get no answer from Nango in its lifetime."""
    return world.another_process(World().gateway)
