from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.connection import ACTIVE, DISCONNECTED, ERROR, EXPIRED
from domain.errors import (
    ConnectionNotFound,
    CredentialsUnusable,
    DomainError,
    GatewayNonsense,
    GatewayTimeout,
    GatewayUnavailable,
    GrantNotFound,
    ProviderCallRefused,
    ProviderUnavailable,
    RefreshNotPossible,
    RefreshRefused,
)
from tests.application.service import asking_for_more, catalogue_without
from tests.application.world import World, nango_id

if TYPE_CHECKING:
    from application.ports import ProviderCatalogue

REFUSED = "The external API returned an error when trying to refresh the access token."
LIMIT = "The refresh limit has been reached for this connection."


# ── success ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refresh_forces_new_credentials_and_counts_as_a_sync(world: World) -> None:
    connection = await world.authorize()
    token = world.gateway.grant(nango_id(connection)).token
    await world.later(minutes=5)
    refreshed = await world.refresh(connection.id)
    assert world.gateway.grant(nango_id(connection)).token != token
    assert (refreshed.status, refreshed.last_synced_at) == (ACTIVE, world.now())
    assert (await world.history(connection.id))[-1] == "refreshed"


async def test_a_refresh_does_not_make_the_authorization_younger(world: World) -> None:
    connection = await world.authorize()
    await world.later(minutes=5)
    assert (await world.refresh(connection.id)).authorized_at == connection.authorized_at


async def test_a_refresh_puts_an_error_right(world: World) -> None:
    connection = await world.in_error()
    refreshed = await world.refresh(connection.id)
    assert (refreshed.status, refreshed.error_message) == (ACTIVE, None)


async def test_a_refresh_puts_an_expired_connection_right_where_it_works_after_all(world: World) -> None:
    connection = await world.expired()
    world.gateway.change(nango_id(connection), has_refresh_token=True)
    assert (await world.refresh(connection.id)).status is ACTIVE


async def test_a_dead_token_is_no_obstacle_where_the_refresh_brings_a_good_one(world: World) -> None:
    connection = await world.authorize()
    world.refuse(connection)
    call, gate = await world.catch("call_provider", world.refresh(connection.id))
    world.accept(connection)
    gate.set()
    assert (await call).status is ACTIVE


async def test_a_token_without_an_end_and_without_renewal_that_works_is_active(world: World) -> None:
    connection = await world.authorize()
    world.gateway.change(nango_id(connection), has_refresh_token=False, expires_at=None)
    assert (await world.refresh(connection.id)).status is ACTIVE


async def test_an_old_token_that_is_still_good_is_active(world: World) -> None:
    connection = await world.authorize()
    world.gateway.change(nango_id(connection), has_refresh_token=False)
    await world.later(minutes=59)
    assert (await world.refresh(connection.id)).status is ACTIVE


async def test_a_connection_that_may_not_ask_who_it_is_can_be_refreshed(world: World) -> None:
    connection = await world.authorize()
    world.answer(connection, 403)
    assert (await world.refresh(connection.id)).status is ACTIVE


async def test_a_connection_whose_provider_nango_may_not_call_can_be_refreshed(world: World) -> None:
    connection = await world.authorize()
    token = world.gateway.grant(nango_id(connection)).token
    world.gateway.answers[nango_id(connection)] = ProviderCallRefused()
    assert (await world.refresh(connection.id)).status is ACTIVE
    assert world.gateway.grant(nango_id(connection)).token != token


@pytest.mark.parametrize("providers", [catalogue_without("hubspot"), asking_for_more("hubspot")])
async def test_a_connection_outlives_its_provider_s_description(
    world: World, providers: ProviderCatalogue
) -> None:
    connection = await world.authorize("hubspot")
    after = world.another_process(providers=providers)
    assert (await after.refresh(connection.id)).status is ACTIVE


async def test_a_refusal_is_told_although_the_provider_is_not_described_any_more(world: World) -> None:
    connection = await world.authorize("hubspot")
    world.gateway.refuse_refresh(nango_id(connection), REFUSED)
    after = world.another_process(providers=catalogue_without("hubspot"))
    with pytest.raises(RefreshRefused):
        await after.refresh(connection.id)
    assert (await world.connection(connection.id)).status is ERROR


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refused_refresh_is_an_error(world: World) -> None:
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), REFUSED)
    with pytest.raises(RefreshRefused) as refused:
        await world.refresh(connection.id)
    assert str(refused.value) == f"Failed to refresh credentials: {REFUSED}"
    after = await world.connection(connection.id)
    assert (after.status, after.error_message) == (ERROR, REFUSED)
    assert after.last_synced_at == connection.last_synced_at


async def test_the_providers_own_word_is_preferred_to_nangos_general_sentence(world: World) -> None:
    connection = await world.authorize()
    world.refuse(connection, "Token expired")
    world.gateway.refuse_refresh(nango_id(connection), REFUSED)
    with pytest.raises(RefreshRefused, match=r"^Failed to refresh credentials: Token expired$"):
        await world.refresh(connection.id)
    assert (await world.connection(connection.id)).error_message == "Token expired"


async def test_an_expired_connection_whose_refresh_is_refused_stays_expired(world: World) -> None:
    connection = await world.expired()
    world.gateway.change(nango_id(connection), has_refresh_token=True)
    world.gateway.refuse_refresh(nango_id(connection), REFUSED)
    with pytest.raises(RefreshRefused):
        await world.refresh(connection.id)
    assert (await world.connection(connection.id)).status is EXPIRED


async def test_where_nango_has_given_up_the_connection_has_expired(world: World) -> None:
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), LIMIT, exhausted=True)
    with pytest.raises(RefreshRefused, match=LIMIT):
        await world.refresh(connection.id)
    assert (await world.connection(connection.id)).status is EXPIRED


async def test_that_nango_has_given_up_counts_although_a_forced_refresh_does_not_say_so(
    world: World,
) -> None:
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), LIMIT, exhausted=True)
    world.gateway.fail_with(CredentialsUnusable(REFUSED), ["refresh"])
    with pytest.raises(RefreshRefused, match=LIMIT):
        await world.refresh(connection.id)
    assert (await world.connection(connection.id)).status is EXPIRED


async def test_an_old_token_that_has_ended_is_expired_although_nango_says_all_is_well(world: World) -> None:
    connection = await world.authorize()
    world.gateway.change(nango_id(connection), has_refresh_token=False)
    await world.later(minutes=60)
    with pytest.raises(RefreshRefused, match="no refresh token"):
        await world.refresh(connection.id)
    after = await world.connection(connection.id)
    assert after.status is EXPIRED
    assert "no refresh token" in (after.error_message or "")


async def test_refused_within_the_refresh_tokens_life_is_an_error(world: World) -> None:
    connection = await world.authorize("netsuite", accountId="1234567")
    await world.later(days=6, hours=23)
    world.gateway.refuse_refresh(nango_id(connection), REFUSED)
    with pytest.raises(RefreshRefused):
        await world.refresh(connection.id)
    assert (await world.connection(connection.id)).status is ERROR


async def test_refused_after_the_refresh_tokens_life_is_expired(world: World) -> None:
    connection = await world.authorize("netsuite", accountId="1234567")
    await world.later(days=7)
    world.gateway.refuse_refresh(nango_id(connection), REFUSED)
    with pytest.raises(RefreshRefused):
        await world.refresh(connection.id)
    after = await world.connection(connection.id)
    assert after.status is EXPIRED
    assert "end of its life" in (after.error_message or "")


async def test_new_credentials_that_the_provider_refuses_are_an_error(world: World) -> None:
    connection = await world.authorize()
    world.refuse(connection, "Account closed")
    with pytest.raises(RefreshRefused, match="Account closed"):
        await world.refresh(connection.id)
    after = await world.connection(connection.id)
    assert (after.status, after.error_message) == (ERROR, "Account closed")


async def test_a_connection_that_is_gone_at_nango_is_disconnected(world: World) -> None:
    connection = await world.authorize()
    world.gateway.forget(nango_id(connection))
    with pytest.raises(RefreshRefused, match="no longer exists at Nango"):
        await world.refresh(connection.id)
    assert (await world.connection(connection.id)).status is DISCONNECTED


async def test_the_proxys_word_alone_that_it_is_gone_changes_nothing(world: World) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GrantNotFound(), ["call_provider"], times=2)
    with pytest.raises(GatewayUnavailable, match="could not use it"):
        await world.refresh(connection.id)
    assert await world.connection(connection.id) == connection


# ── trouble that is not the connection's ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_where_the_provider_is_in_trouble_no_refresh_is_tried(world: World, status: int) -> None:
    connection = await world.authorize()
    world.answer(connection, status)
    with pytest.raises(ProviderUnavailable):
        await world.refresh(connection.id)
    assert world.gateway.calls["refresh"] == 0
    assert await world.connection(connection.id) == connection


@pytest.mark.parametrize("operation", ["call_provider", "refresh"])
@pytest.mark.parametrize("trouble", [GatewayUnavailable(), GatewayTimeout(), GatewayNonsense()])
async def test_nango_in_trouble_changes_nothing(world: World, operation: str, trouble: DomainError) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(trouble, [operation])
    with pytest.raises(type(trouble)):
        await world.refresh(connection.id)
    assert await world.connection(connection.id) == connection


async def test_a_provider_that_falls_silent_after_the_refresh_changes_nothing(world: World) -> None:
    connection = await world.authorize()
    call, gate = await world.catch("refresh", world.refresh(connection.id))
    world.answer(connection, 503)
    gate.set()
    with pytest.raises(ProviderUnavailable):
        await call
    assert await world.connection(connection.id) == connection


# ── what cannot be refreshed ──────────────────────────────────────────────────────────────────────────


async def test_a_pending_connection_has_nothing_to_refresh(world: World) -> None:
    started = await world.auth_url()
    with pytest.raises(RefreshNotPossible, match="not yet authorized"):
        await world.refresh(started.connection_id)


async def test_a_disconnected_connection_has_nothing_to_refresh(world: World) -> None:
    connection = await world.disconnected()
    with pytest.raises(RefreshNotPossible, match="disconnected"):
        await world.refresh(connection.id)


async def test_a_connection_whose_first_authorization_failed_has_nothing_to_refresh(world: World) -> None:
    started = await world.auth_url()
    await world.deny(started.url)
    with pytest.raises(RefreshNotPossible, match="not yet authorized"):
        await world.refresh(started.connection_id)


async def test_another_companys_connection_is_not_found(world: World) -> None:
    theirs = await world.auth_url(company="other")
    with pytest.raises(ConnectionNotFound):
        await world.refresh(theirs.connection_id)


# ── the second look ───────────────────────────────────────────────────────────────────────────────────


async def _refused(world: World) -> str:
    """A connection whose refresh Nango has just seen refused."""
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), REFUSED)
    with pytest.raises(RefreshRefused):
        await world.refresh(connection.id)
    return connection.id


async def test_an_outage_that_looked_like_a_refusal_is_put_right_after_the_back_off(world: World) -> None:
    connection = await world.connection(await _refused(world))
    world.gateway.accept_refresh(nango_id(connection))
    await world.work_for(seconds=30)
    assert (await world.connection(connection.id)).status is ERROR
    world.gateway.end_backoff(nango_id(connection))
    await world.work_for(seconds=10)
    after = await world.connection(connection.id)
    assert (after.status, after.error_message) == (ACTIVE, None)


async def test_the_second_look_does_not_begin_within_nangos_back_off(world: World) -> None:
    connection_id = await _refused(world)
    calls = sum(world.gateway.calls.values())
    await world.work_for(seconds=30)
    assert sum(world.gateway.calls.values()) == calls
    assert (await world.connection(connection_id)).status is ERROR


async def test_a_refusal_that_stays_one_is_looked_at_once_more_and_then_left_alone(world: World) -> None:
    connection_id = await _refused(world)
    await world.work_for(hours=2)
    assert world.gateway.calls["refresh"] == 2
    assert (await world.connection(connection_id)).error_message == REFUSED


async def test_the_second_look_waits_for_a_provider_in_trouble(world: World) -> None:
    connection = await world.connection(await _refused(world))
    world.gateway.accept_refresh(nango_id(connection))
    world.gateway.end_backoff(nango_id(connection))
    world.gateway.fail_with(ProviderUnavailable("later"), ["call_provider"], times=2)
    await world.work_for(minutes=5)
    assert (await world.connection(connection.id)).status is ACTIVE


@pytest.mark.parametrize("verb", ["delete", "disconnect"])
async def test_the_second_look_finds_nothing_to_do_after_a_removal(world: World, verb: str) -> None:
    connection_id = await _refused(world)
    await getattr(world, verb)(connection_id)
    await world.work_for(seconds=60)
    await world.later(hours=1)
    assert await world.store.take_due_jobs(limit=10, lease=timedelta(0)) == []


async def test_the_second_look_leaves_a_new_authorization_alone(world: World) -> None:
    connection_id = await _refused(world)
    await world.come_back((await world.auth_url()).url)
    refreshes = world.gateway.calls["refresh"]
    await world.work_for(minutes=2)
    assert (await world.connection(connection_id)).status is ACTIVE
    assert world.gateway.calls["refresh"] == refreshes


# ── many at once ──────────────────────────────────────────────────────────────────────────────────────


async def _two_hundred(world: World, connection_id: str) -> list[object]:
    """Refresh from two processes at once, while Nango takes its time."""
    other = world.another_process()
    renewing = world.gateway.hold("refresh")
    calls = [
        asyncio.ensure_future(each.refresh(connection_id)) for _ in range(100) for each in (world, other)
    ]
    await world.later(seconds=5)
    renewing.set()
    return list(await asyncio.gather(*calls, return_exceptions=True))


async def test_two_hundred_refreshes_in_two_processes_are_one_at_nango_with_equal_answers(
    world: World,
) -> None:
    connection = await world.authorize()
    answers = await _two_hundred(world, connection.id)
    assert world.gateway.calls["refresh"] == 1
    assert answers == [await world.connection(connection.id)] * 200
    assert (await world.history(connection.id)).count("refreshed") == 1


async def test_a_refusal_is_told_to_all_who_asked(world: World) -> None:
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), REFUSED)
    answers = await _two_hundred(world, connection.id)
    assert {(type(each), str(each)) for each in answers} == {
        (RefreshRefused, f"Failed to refresh credentials: {REFUSED}")
    }
    assert world.gateway.calls["refresh"] == 1


async def test_an_outage_is_told_to_all_who_asked(world: World) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GatewayUnavailable(), ["refresh"])
    answers = await _two_hundred(world, connection.id)
    assert {str(each) for each in answers} == {"Nango does not answer. Try again."}
    assert world.gateway.calls["refresh"] == 1


async def test_two_connections_are_refreshed_each_by_itself(world: World) -> None:
    first, second = await world.authorize("stripe"), await world.authorize("hubspot")
    await asyncio.gather(world.refresh(first.id), world.refresh(second.id))
    assert world.gateway.calls["refresh"] == 2
