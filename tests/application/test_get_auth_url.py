from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from application.authorization_state import with_state
from domain.authorization import OPEN_PER_COMPANY, OPEN_PER_CONNECTION, Attempt
from domain.connection import ACTIVE, PENDING
from domain.errors import (
    ActiveConnectionExists,
    ConcurrentChange,
    ConnectionNotFound,
    GatewayUnavailable,
    IntegrationMissing,
    InvalidInput,
    TooManyAttempts,
)
from tests.application.world import COMPANY, NOON, World, state_of


async def test_the_first_call_makes_a_pending_connection(world: World) -> None:
    started = await world.auth_url("stripe")
    connection = await world.connection(started.connection_id)
    assert started.is_new
    assert (connection.provider, connection.status) == ("stripe", PENDING)


async def test_a_connection_is_named_after_its_provider_unless_the_caller_names_it(world: World) -> None:
    unnamed = await world.auth_url("stripe")
    named = await world.auth_url("slack", name="Team chat")
    assert (await world.connection(unnamed.connection_id)).name == "Stripe"
    assert (await world.connection(named.connection_id)).name == "Team chat"


async def test_the_url_is_the_providers_with_our_own_state(world: World) -> None:
    started = await world.auth_url()
    assert started.url.startswith("https://provider.example/authorize?")
    assert state_of(started.url).startswith("cs_")
    assert "nango-state" not in started.url


def test_our_state_finds_its_place_in_a_fragment_too() -> None:
    url = "https://app.provider.example/#/authorize?scope=a%20b&state=nango-state&prompt=login"
    assert with_state(url, "cs_1") == url.replace("nango-state", "cs_1")


async def test_our_state_is_not_kept(world: World) -> None:
    state = state_of((await world.auth_url()).url)
    assert state not in repr(world.store._state)


async def test_an_unknown_provider_is_refused_by_name(world: World) -> None:
    with pytest.raises(InvalidInput, match="provider: 'nope' is not a provider"):
        await world.auth_url("nope")
    assert await world.connections() == []


# ── which connection ──────────────────────────────────────────────────────────────────────────────────


async def test_a_pending_connection_is_used_again_with_a_fresh_url(world: World) -> None:
    first = await world.auth_url()
    second = await world.auth_url()
    assert second.connection_id == first.connection_id
    assert not second.is_new
    assert state_of(second.url) != state_of(first.url)


async def test_a_second_url_does_not_kill_the_first(world: World) -> None:
    first = await world.auth_url()
    await world.auth_url()
    assert (await world.come_back(first.url)).outcome == "succeeded"


async def test_an_active_connection_blocks(world: World) -> None:
    await world.authorize("stripe")
    with pytest.raises(ActiveConnectionExists, match=r"^Active connection already exists for stripe\. "):
        await world.auth_url("stripe")


async def test_an_active_connection_blocks_without_a_call_to_nango(world: World) -> None:
    await world.authorize("stripe")
    calls = sum(world.gateway.calls.values())
    with pytest.raises(ActiveConnectionExists):
        await world.auth_url("stripe")
    assert sum(world.gateway.calls.values()) == calls


async def test_an_active_connection_blocks_although_another_one_is_pending(world: World) -> None:
    await world.authorize("stripe")
    await world.create("stripe")
    with pytest.raises(ActiveConnectionExists):
        await world.auth_url("stripe")


async def test_an_active_connection_of_another_company_does_not_block(world: World) -> None:
    await world.authorize("stripe")
    assert (await world.auth_url("stripe", company="other")).is_new


async def test_an_active_connection_of_another_provider_does_not_block(world: World) -> None:
    await world.authorize("stripe")
    assert (await world.auth_url("slack")).is_new


async def test_a_pending_connection_comes_before_one_in_error(world: World) -> None:
    created = await world.create("stripe")
    await world.later(seconds=1)
    failed = await world.create("stripe")
    await world.deny(failed.oauth_url)
    assert (await world.auth_url("stripe")).connection_id == created.connection_id


async def test_of_the_others_the_most_recently_updated_is_authorized_again(world: World) -> None:
    first, second = await world.create("stripe"), await world.create("stripe")
    await world.deny(second.oauth_url)
    await world.later(seconds=1)
    await world.deny(first.oauth_url)
    again = await world.auth_url("stripe")
    assert (again.connection_id, again.is_new) == (first.connection_id, False)


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_one_that_does_not_work_goes_back_to_pending(world: World, condition: str) -> None:
    connection = await getattr(world, condition)("stripe")
    again = await world.auth_url("stripe")
    assert (again.connection_id, again.is_new) == (connection.id, False)
    assert (await world.connection(connection.id)).status is PENDING


async def test_a_pending_connection_shows_no_error_of_the_past(world: World) -> None:
    connection = await world.in_error()
    await world.auth_url()
    assert (await world.connection(connection.id)).error_message is None


async def test_after_a_delete_a_new_connection_begins(world: World) -> None:
    connection = await world.authorize()
    await world.delete(connection.id)
    again = await world.auth_url()
    assert again.is_new
    assert again.connection_id != connection.id


async def test_an_explicit_name_renames(world: World) -> None:
    connection = await world.in_error()
    await world.auth_url(name="Stripe EU")
    assert (await world.connection(connection.id)).name == "Stripe EU"


async def test_a_name_is_the_callers_word_and_outlives_the_users_denial(world: World) -> None:
    connection = await world.in_error()
    started = await world.auth_url(name="Stripe EU")
    await world.deny(started.url)
    assert (await world.connection(connection.id)).name == "Stripe EU"


async def test_without_a_name_the_name_stays(world: World) -> None:
    started = await world.auth_url(name="Stripe EU")
    await world.auth_url()
    assert (await world.connection(started.connection_id)).name == "Stripe EU"


# ── a start that fails ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("operation", ["open_session", "start_flow"])
async def test_a_new_connection_whose_flow_does_not_start_leaves_nothing_behind(
    world: World, operation: str
) -> None:
    world.gateway.fail_with(GatewayUnavailable(), [operation])
    with pytest.raises(GatewayUnavailable):
        await world.auth_url()
    assert await world.connections() == []
    assert (await world.auth_url()).is_new


async def test_a_missing_integration_leaves_nothing_behind(world: World) -> None:
    world.gateway._integrations.remove("stripe-app")
    with pytest.raises(IntegrationMissing, match="stripe-app"):
        await world.auth_url()
    assert await world.connections() == []


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_an_existing_connection_whose_flow_does_not_start_stays_as_it_was(
    world: World, condition: str
) -> None:
    connection = await getattr(world, condition)()
    world.gateway.fail_with(GatewayUnavailable(), ["start_flow"])
    with pytest.raises(GatewayUnavailable):
        await world.auth_url(name="Another name")
    assert await world.connection(connection.id) == connection


async def test_a_start_that_fails_leaves_a_pending_connection_to_those_who_have_its_url(
    world: World,
) -> None:
    first = await world.auth_url()
    world.gateway.fail_with(GatewayUnavailable(), ["start_flow"])
    with pytest.raises(GatewayUnavailable):
        await world.auth_url()
    assert (await world.come_back(first.url)).outcome == "succeeded"


async def test_a_start_that_fails_does_not_take_along_a_connection_whose_url_has_run_out(
    world: World,
) -> None:
    first = await world.auth_url()
    await world.later(minutes=61)
    world.gateway.fail_with(GatewayUnavailable(), ["start_flow"])
    with pytest.raises(GatewayUnavailable):
        await world.auth_url()
    assert (await world.connection(first.connection_id)).id == first.connection_id


async def test_a_start_that_fails_costs_no_open_attempt(world: World) -> None:
    world.gateway.fail_with(GatewayUnavailable(), ["start_flow"], times=OPEN_PER_CONNECTION + 1)
    for _ in range(OPEN_PER_CONNECTION + 1):
        with pytest.raises(GatewayUnavailable):
            await world.auth_url()
    assert (await world.auth_url()).is_new


async def test_a_disconnect_while_the_flow_starts_stays_a_disconnect(world: World) -> None:
    connection = await world.in_error()
    starting = world.gateway.hold("start_flow")
    call = asyncio.ensure_future(world.auth_url())
    await starting.reached.wait()
    await world.disconnect(connection.id)
    starting.set()
    with pytest.raises(ConcurrentChange):
        await call
    assert (await world.connection(connection.id)).status == "disconnected"


async def test_a_delete_while_the_flow_starts_stays_a_delete(world: World) -> None:
    connection = await world.in_error()
    starting = world.gateway.hold("start_flow")
    call = asyncio.ensure_future(world.auth_url())
    await starting.reached.wait()
    await world.delete(connection.id)
    starting.set()
    with pytest.raises(ConnectionNotFound):
        await call
    assert await world.connections() == []


async def test_a_success_of_another_attempt_while_the_flow_starts_is_not_undone(world: World) -> None:
    first = await world.auth_url()
    starting = world.gateway.hold("start_flow")
    call = asyncio.ensure_future(world.auth_url())
    await starting.reached.wait()
    await world.come_back(first.url)
    starting.set()
    with pytest.raises(ActiveConnectionExists):
        await call
    assert (await world.connection(first.connection_id)).status is ACTIVE


# ── many at once ──────────────────────────────────────────────────────────────────────────────────────


async def test_concurrent_equal_calls_share_one_flow(world: World) -> None:
    calls = await asyncio.gather(*(world.auth_url() for _ in range(200)))
    assert len({call.url for call in calls}) == 1
    assert world.gateway.calls["start_flow"] == 1


async def test_concurrent_calls_that_differ_meet_in_one_connection(world: World) -> None:
    calls = await asyncio.gather(*(world.auth_url(name=f"Name {n}") for n in range(20)))
    assert len({call.connection_id for call in calls}) == 1
    assert sum(call.is_new for call in calls) == 1


async def test_two_hundred_calls_over_two_processes_leave_one_connection_and_a_handful_of_flows(
    world: World,
) -> None:
    other = world.another_process()
    calls = await asyncio.gather(*(each.auth_url() for _ in range(100) for each in (world, other)))
    assert len({call.connection_id for call in calls}) == 1
    assert world.gateway.calls["start_flow"] <= 10
    assert len(await world.connections()) == 1


async def test_a_caller_who_goes_away_does_not_take_the_others_flow_along(world: World) -> None:
    starting = world.gateway.hold("start_flow")
    impatient, patient = (asyncio.ensure_future(world.auth_url()) for _ in range(2))
    await starting.reached.wait()
    impatient.cancel()
    starting.set()
    assert (await patient).is_new


async def test_too_many_open_attempts_of_a_connection_are_refused(world: World) -> None:
    for _ in range(OPEN_PER_CONNECTION):
        await world.auth_url()
    with pytest.raises(TooManyAttempts) as refused:
        await world.auth_url()
    assert refused.value.retry_after > 0
    await world.later(minutes=61)
    assert await world.auth_url()


async def test_who_has_too_many_is_told_when_the_first_of_them_ends(world: World) -> None:
    for _ in range(OPEN_PER_CONNECTION):
        await world.auth_url()
    await world.later(minutes=20)
    with pytest.raises(TooManyAttempts) as refused:
        await world.auth_url()
    assert refused.value.retry_after == 40 * 60


async def test_too_many_open_attempts_of_a_company_are_refused_and_leave_no_connection(world: World) -> None:
    other = await world.auth_url("slack")
    async with world.store.begin() as tx:
        await tx.connections.get(COMPANY, other.connection_id, lock=True)
        for n in range(OPEN_PER_COMPANY):
            await tx.attempts.add(_attempt(n, other.connection_id))
    with pytest.raises(TooManyAttempts):
        await world.auth_url("stripe")
    assert [each.id for each in await world.connections()] == [other.connection_id]


async def test_one_companys_open_attempts_do_not_count_against_another(world: World) -> None:
    for _ in range(OPEN_PER_CONNECTION):
        await world.auth_url()
    assert await world.auth_url(company="other")


def _attempt(n: int, connection_id: str) -> Attempt:
    return Attempt(
        id=str(n),
        company_id=COMPANY,
        connection_id=connection_id,
        provider="slack",
        integration="slack",
        state_hash=str(n).encode(),
        created_at=NOON,
        expires_at=NOON + timedelta(minutes=60),
        check_at=NOON + timedelta(minutes=60),
    )
