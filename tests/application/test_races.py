"""Several authorizations of one connection, and deletes and disconnects that race them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import pytest

from domain.connection import ACTIVE, DISCONNECTED, ERROR, PENDING
from domain.errors import ConcurrentChange, ConnectionNotFound, GatewayTimeout
from tests.application.world import World, nango_id

if TYPE_CHECKING:
    from domain.connection import Connection

# ── one state, many callers ───────────────────────────────────────────────────────────────────────────


async def test_fifty_callbacks_of_one_state_are_one_relay_and_one_transition(world: World) -> None:
    started = await world.auth_url()
    results = await asyncio.gather(*(world.come_back(started.url) for _ in range(50)))
    assert {result.outcome for result in results} == {"succeeded"}
    assert world.gateway.calls["relay_callback"] == 1
    assert (await world.history(started.connection_id)).count("authorized") == 1


async def test_callbacks_of_one_state_in_two_processes_are_one_relay(world: World) -> None:
    other = world.another_process()
    started = await world.auth_url()
    relaying = world.gateway.hold("relay_callback")
    calls = [asyncio.ensure_future(each.come_back(started.url)) for each in (world, other)]
    await world.later(seconds=2)
    relaying.set()
    assert [result.outcome for result in await asyncio.gather(*calls)] == ["succeeded", "succeeded"]
    assert world.gateway.calls["relay_callback"] == 1


async def test_a_browser_that_goes_away_does_not_take_the_relay_along(world: World) -> None:
    started = await world.auth_url()
    relaying = world.gateway.hold("relay_callback")
    call = asyncio.ensure_future(world.come_back(started.url))
    await relaying.reached.wait()
    call.cancel()
    relaying.set()
    await world.later(seconds=1)
    assert (await world.connection(started.connection_id)).status is ACTIVE


async def test_relay_and_worker_together_are_one_transition(world: World) -> None:
    started = await world.auth_url()
    relaying = world.gateway.hold("relay_callback", after=True)
    call = asyncio.ensure_future(world.come_back(started.url))
    await relaying.reached.wait()
    await world.work_for(seconds=25)
    assert (await call).outcome == "pending"
    relaying.set()
    assert (await world.come_back(started.url)).outcome == "succeeded"
    assert (await world.history(started.connection_id)).count("authorized") == 1


# ── siblings ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_sibling_waits_while_one_is_relayed_and_is_superseded_by_its_success(world: World) -> None:
    first, second = await world.auth_url(), await world.auth_url()
    relaying = world.gateway.hold("relay_callback")
    one = asyncio.ensure_future(world.come_back(first.url))
    await relaying.reached.wait()
    two = asyncio.ensure_future(world.come_back(second.url))
    await world.later(seconds=5)
    assert not two.done()
    relaying.set()
    assert (await one).outcome == "succeeded"
    assert ((await two).outcome, (await two).error) == ("failed", "superseded")
    assert world.gateway.calls["relay_callback"] == 1


async def test_a_sibling_that_waits_takes_over_where_the_first_fails(world: World) -> None:
    first, second = await world.auth_url(), await world.auth_url()
    relaying = world.gateway.hold("relay_callback")
    one = asyncio.ensure_future(world.deny(first.url))
    await relaying.reached.wait()
    two = asyncio.ensure_future(world.come_back(second.url))
    await world.later(seconds=1)
    relaying.set()
    assert (await one).error == "access_denied"
    assert (await two).outcome == "succeeded"
    assert (await world.connection(first.connection_id)).status is ACTIVE


async def test_a_sibling_waits_no_longer_than_a_relay_may_take(world: World) -> None:
    first, second = await world.auth_url(), await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(first.url)
    assert (await world.come_back(second.url)).outcome == "pending"
    assert world.gateway.calls["relay_callback"] == 1


async def test_a_sibling_need_not_wait_for_a_claim_that_is_a_minute_old(world: World) -> None:
    first, second = await world.auth_url(), await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(first.url)
    await world.later(seconds=60)
    assert (await world.come_back(second.url)).outcome == "succeeded"


async def test_a_claim_that_is_given_up_after_a_siblings_failure_just_ends(world: World) -> None:
    first, second = await world.auth_url(), await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(first.url)
    await world.later(seconds=60)
    await world.deny(second.url)
    await world.work_for(minutes=10)
    assert [attempt.outcome for attempt in await world.attempts(first.connection_id)] == ["failed", "failed"]
    assert (await world.connection(first.connection_id)).status is ERROR


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_a_sibling_may_complete_after_a_failure_has_given_back_what_was(
    world: World, condition: str
) -> None:
    before = await getattr(world, condition)()
    first, second = await world.auth_url(), await world.auth_url()
    await world.deny(first.url)
    assert (await world.connection(before.id)).status is before.status
    assert (await world.come_back(second.url)).outcome == "succeeded"
    assert (await world.connection(before.id)).status is ACTIVE


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_while_a_sibling_of_a_failed_attempt_is_relayed_the_connection_is_pending(
    world: World, condition: str
) -> None:
    before = await getattr(world, condition)()
    first, second = await world.auth_url(), await world.auth_url()
    await world.deny(first.url)
    call, gate = await world.catch("relay_callback", world.deny(second.url))
    assert (await world.connection(before.id)).status is PENDING
    gate.set()
    assert (await call).outcome == "failed"
    after = await world.connection(before.id)
    assert (after.status, after.error_message) == (before.status, before.error_message)


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_a_session_may_complete_at_nango_after_a_failure_has_given_back_what_was(
    world: World, condition: str
) -> None:
    before = await getattr(world, condition)()
    session = await world.open_session(before.id)
    await world.deny((await world.auth_url()).url)
    assert (await world.connection(before.id)).status is before.status
    await world.finish_session(session)
    await world.work_for(seconds=5)
    assert (await world.connection(before.id)).status is ACTIVE


async def test_a_sibling_may_complete_after_a_first_authorization_failed(world: World) -> None:
    first, second = await world.auth_url(), await world.auth_url()
    await world.deny(first.url)
    assert (await world.come_back(second.url)).outcome == "succeeded"
    assert (await world.connection(first.connection_id)).error_message is None


async def test_siblings_that_all_fail_give_back_what_was_before_the_first(world: World) -> None:
    before = await world.in_error()
    urls = [(await world.auth_url()).url for _ in range(3)]
    for url in urls:
        await world.deny(url)
    after = await world.connection(before.id)
    assert (after.status, after.error_message) == (before.status, before.error_message)


async def test_an_abandoned_attempt_does_not_end_what_a_sibling_may_still_complete(world: World) -> None:
    started = await world.auth_url()
    await world.work_for(minutes=30)
    later = await world.auth_url()
    await world.work_for(minutes=31)
    assert (await world.connection(started.connection_id)).status is PENDING
    assert (await world.come_back(later.url)).outcome == "succeeded"


async def test_an_abandoned_attempt_does_not_end_what_came_back_in_time(world: World) -> None:
    relayed, other = [await world.auth_url() for _ in range(2)]
    await world.later(minutes=59, seconds=50)
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(relayed.url)
    await world.later(minutes=1)
    assert (await world.come_back(other.url)).error == "authorization_expired"
    assert (await world.connection(relayed.connection_id)).status is PENDING


# ── what a loser leaves at Nango ──────────────────────────────────────────────────────────────────────


async def _a_loser_comes_late(world: World) -> Connection:
    """Of two authorizations the second wins, then Nango finishes the first; give the winner's connection."""
    slow, quick = await world.auth_url(), await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(slow.url)
    await world.later(seconds=60)
    await world.come_back(quick.url)
    await world.nango_finishes(slow.url)
    return await world.connection(quick.connection_id)


async def test_a_loser_that_nango_finishes_late_is_removed_once_the_winner_is_stored(world: World) -> None:
    winner = await _a_loser_comes_late(world)
    assert len(world.grants()) == 2
    await world.work_for(minutes=2)
    assert world.grants() == {winner.nango_id}
    assert (await world.connection(winner.id)).status is ACTIVE


async def test_a_second_grant_of_the_same_attempt_is_removed(world: World) -> None:
    # Nango's single use is not atomic: four concurrent callbacks of one state gave two successes.
    started = await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(started.url)
    await world.nango_finishes(started.url)
    (grant,) = world.gateway.stored.values()
    world.gateway.stored[grant.integration, "twin"] = attrs.evolve(grant, nango_id="twin")
    await world.work_for(minutes=2)
    assert world.grants() == {(await world.connection(started.connection_id)).nango_id}


async def test_a_late_grant_of_a_reconnect_is_not_taken_from_its_winner(world: World) -> None:
    connection = await world.in_error()
    await _a_loser_comes_late(world)  # with the same Nango id, which has the loser's tags now
    await world.work_for(minutes=5)
    assert world.grants() == {connection.nango_id}
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_loser_that_comes_back_with_the_winners_grant_does_not_remove_it(world: World) -> None:
    connection = await world.in_error()
    slow, quick = await world.auth_url(), await world.auth_url()
    call, _ = await world.catch("relay_callback", world.come_back(slow.url), after=False)
    await world.later(seconds=61)
    assert (await world.come_back(quick.url)).outcome == "succeeded"
    await world.nango_finishes(slow.url)  # Nango authorizes the same id again, now under the loser's tags
    assert (await call).outcome == "pending"
    assert (await world.come_back(slow.url)).error == "superseded"
    await world.work_for(minutes=5)
    assert world.grants() == {connection.nango_id}
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_reconnect_that_succeeds_while_it_is_given_up_is_found_active_by_itself(world: World) -> None:
    connection = await world.in_error()
    session = await world.open_session(connection.id)
    await world.later(minutes=60)
    giving_up, nothing_there = await world.catch("find_grants", world.work())
    await world.finish_session(session)
    noticing, success = await world.catch("find_grants", world.report(connection.id))
    nothing_there.set()
    await giving_up
    success.set()
    await noticing
    await world.work_for(seconds=5)
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_another_account_that_a_loser_of_a_reconnect_brings_late_is_told(world: World) -> None:
    connection = await world.in_error()
    await _a_loser_comes_late(world)
    world.answer(connection, 200, {"id": "acct_2", "name": "Somebody else"})
    await world.work_for(minutes=2)
    assert (await world.connection(connection.id)).external_account_id == "acct_2"


async def test_a_refresh_that_an_authorization_overtakes_is_a_conflict_and_no_failure(world: World) -> None:
    connection = await world.in_error()
    refreshing, renewed = await world.catch("refresh", world.refresh(connection.id))
    await world.auth_url()
    renewed.set()
    with pytest.raises(ConcurrentChange):
        await refreshing
    assert (await world.connection(connection.id)).status is PENDING


# ── delete and disconnect ─────────────────────────────────────────────────────────────────────────────


async def test_a_callback_after_a_delete_is_not_relayed(world: World) -> None:
    started = await world.auth_url()
    await world.delete(started.connection_id)
    assert (await world.come_back(started.url)).error == "superseded"
    assert world.gateway.calls["relay_callback"] == 0


async def test_a_callback_after_a_disconnect_is_not_relayed(world: World) -> None:
    started = await world.auth_url()
    await world.disconnect(started.connection_id)
    assert (await world.come_back(started.url)).error == "superseded"
    assert (await world.connection(started.connection_id)).status is DISCONNECTED


async def test_a_relay_in_flight_during_a_delete_leaves_nothing_at_nango(world: World) -> None:
    started = await world.auth_url()
    relaying = world.gateway.hold("relay_callback")
    call = asyncio.ensure_future(world.come_back(started.url))
    await relaying.reached.wait()
    await world.delete(started.connection_id)
    relaying.set()
    assert (await call).error == "superseded"
    assert world.grants() == set()
    with pytest.raises(ConnectionNotFound):
        await world.connection(started.connection_id)


async def test_a_relay_in_flight_during_a_disconnect_leaves_nothing_at_nango(world: World) -> None:
    connection = await world.in_error()
    started = await world.auth_url()
    relaying = world.gateway.hold("relay_callback")
    call = asyncio.ensure_future(world.come_back(started.url))
    await relaying.reached.wait()
    await world.disconnect(connection.id)
    relaying.set()
    assert (await call).error == "superseded"
    assert world.grants() == set()
    assert (await world.connection(connection.id)).status is DISCONNECTED


async def test_a_denial_from_before_a_disconnect_does_not_end_what_was_begun_after_it(world: World) -> None:
    started = await world.auth_url()
    call, gate = await world.catch("relay_callback", world.deny(started.url))
    await world.disconnect(started.connection_id)
    again = await world.auth_url()
    gate.set()
    assert (await call).error == "superseded"
    assert (await world.connection(started.connection_id)).status is PENDING
    assert (await world.come_back(again.url)).outcome == "succeeded"


@pytest.mark.parametrize("verb", ["delete", "disconnect"])
async def test_a_relay_that_nango_finishes_after_its_process_died_is_removed_all_the_same(
    world: World, verb: str
) -> None:
    started = await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(started.url)
    await getattr(world, verb)(started.connection_id)
    await world.nango_finishes(started.url)
    assert len(world.grants()) == 1
    await world.work_for(seconds=65)
    assert world.grants() == set()


async def test_deleting_while_the_success_is_confirmed_deletes(world: World) -> None:
    started = await world.auth_url()
    confirming = world.gateway.hold("find_grants", after=True)
    call = asyncio.ensure_future(world.come_back(started.url))
    await confirming.reached.wait()
    deleting = asyncio.ensure_future(world.delete(started.connection_id))
    await world.later(seconds=1)
    confirming.set()
    await asyncio.gather(call, deleting)
    assert world.grants() == set()
    assert await world.connections() == []


async def test_a_grant_authorized_after_a_disconnect_is_not_removed_by_the_late_pass(world: World) -> None:
    first = await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(first.url)
    await world.disconnect(first.connection_id)
    await world.come_back((await world.auth_url()).url)
    await world.work_for(minutes=5)
    connection = await world.connection(first.connection_id)
    assert connection.status is ACTIVE
    assert world.grants() == {nango_id(connection)}
