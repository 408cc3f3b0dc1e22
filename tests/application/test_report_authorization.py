"""The reference's callback route: anybody may call it, and nothing that is said there proves anything."""

from __future__ import annotations

import asyncio

import pytest

from application.report_authorization import LookBudget
from domain.connection import ACTIVE, PENDING
from domain.errors import ConnectionNotFound, GatewayUnavailable
from tests.application.world import APP, World

EVIL = "https://evil.example/phish"


async def _with_session(world: World, *, redirect: str | None = APP) -> str:
    """A pending connection for which a front end runs Nango's SDK."""
    created = await world.create()
    await world.later(seconds=1)
    await world.open_session(created.connection_id, redirect=redirect)
    return created.connection_id


# ── it proves nothing ─────────────────────────────────────────────────────────────────────────────────


async def test_a_forged_success_changes_nothing(world: World) -> None:
    connection_id = await _with_session(world)
    before = await world.connection(connection_id)
    result = await world.report(connection_id)
    assert result.outcome == "pending"
    assert await world.connection(connection_id) == before


async def test_a_user_whose_session_nango_does_not_confirm_waits_some_minutes_only(world: World) -> None:
    connection_id = await _with_session(world)
    assert not (await world.report(connection_id)).late
    await world.later(minutes=20)
    result = await world.report(connection_id)
    assert (result.outcome, result.late) == ("pending", True)


async def test_a_forged_failure_changes_nothing(world: World) -> None:
    connection_id = await _with_session(world)
    before = await world.connection(connection_id)
    result = await world.report(connection_id, error="access_denied")
    assert (result.outcome, result.error) == ("failed", "access_denied")
    assert await world.connection(connection_id) == before


async def test_after_a_forged_failure_the_user_can_still_complete(world: World) -> None:
    created = await world.create()
    session = await world.open_session(created.connection_id)
    await world.report(created.connection_id, error="access_denied")
    await world.finish_session(session)
    assert (await world.report(created.connection_id)).outcome == "succeeded"


async def test_a_failure_that_nango_knows_to_be_a_success_is_a_success(world: World) -> None:
    created = await world.create()
    await world.finish_session(await world.open_session(created.connection_id))
    result = await world.report(created.connection_id, error="access_denied")
    assert (result.outcome, result.error) == ("succeeded", None)
    assert (await world.connection(created.connection_id)).status is ACTIVE


async def test_a_success_that_nango_confirms_makes_the_connection_active(world: World) -> None:
    created = await world.create()
    await world.finish_session(await world.open_session(created.connection_id))
    result = await world.report(created.connection_id)
    assert (result.outcome, result.provider) == ("succeeded", "stripe")
    told = [(event.type.value, event.actor) for event in await world.events(created.connection_id)]
    assert ("authorized", "callback") in told


async def test_the_old_grant_of_a_reconnect_that_has_not_happened_confirms_nothing(world: World) -> None:
    connection = await world.in_error()
    await world.open_session(connection.id)
    assert (await world.report(connection.id)).outcome == "pending"
    assert (await world.connection(connection.id)).status is PENDING


async def test_a_failure_of_an_active_connection_is_not_believed(world: World) -> None:
    connection = await world.authorize()
    result = await world.report(connection.id, error="access_denied")
    assert (result.outcome, result.error) == ("succeeded", None)
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_an_error_that_is_none_of_oauths_is_not_passed_on(world: World) -> None:
    connection_id = await _with_session(world)
    assert (await world.report(connection_id, error="<b>x</b>")).error == "unknown_error"


async def test_a_connection_whose_authorization_failed_is_reported_as_failed(world: World) -> None:
    started = await world.auth_url()
    await world.deny(started.url)
    assert (await world.report(started.connection_id)).outcome == "failed"


async def test_where_nango_is_silent_the_outcome_is_open(world: World) -> None:
    created = await world.create()
    await world.finish_session(await world.open_session(created.connection_id))
    world.gateway.fail_with(GatewayUnavailable(), ["find_grants"])
    assert (await world.report(created.connection_id)).outcome == "pending"
    assert (await world.report(created.connection_id)).outcome == "succeeded"


@pytest.mark.parametrize("connection_id", ["conn_550e8400-e29b-41d4-a716-446655440000", "nonsense"])
async def test_an_unknown_connection_is_not_found(world: World, connection_id: str) -> None:
    with pytest.raises(ConnectionNotFound):
        await world.report(connection_id, redirect=f"{APP}")


async def test_a_connection_of_another_provider_is_not_found(world: World) -> None:
    connection = await world.authorize("stripe")
    with pytest.raises(ConnectionNotFound):
        await world.report(connection.id, provider="slack")


async def test_a_deleted_connection_is_not_found(world: World) -> None:
    connection = await world.authorize()
    await world.delete(connection.id)
    with pytest.raises(ConnectionNotFound):
        await world.report(connection.id)


# ── what it may cost ──────────────────────────────────────────────────────────────────────────────────


async def test_a_thousand_forged_calls_cost_nango_three_calls(world: World) -> None:
    connection_id = await _with_session(world)
    before = sum(world.gateway.calls.values())
    for _ in range(1000):
        await world.report(connection_id)
    assert sum(world.gateway.calls.values()) - before == 3


async def test_a_thousand_forged_calls_at_once_cost_nango_three_calls(world: World) -> None:
    connection_id = await _with_session(world)
    before = sum(world.gateway.calls.values())
    await asyncio.gather(*(world.report(connection_id, error="x") for _ in range(1000)))
    assert 0 < sum(world.gateway.calls.values()) - before <= 3


async def test_after_a_minute_there_are_three_looks_again(world: World) -> None:
    connection_id = await _with_session(world)
    for _ in range(2):
        for _ in range(20):
            await world.report(connection_id)
        await world.later(seconds=60)
    assert world.gateway.calls["find_grants"] == 6


async def test_one_connections_looks_are_not_anothers(world: World) -> None:
    first, second = await _with_session(world), await _with_session(world)
    for _ in range(20):
        await world.report(first)
    await world.report(second)
    assert world.gateway.calls["find_grants"] == 4


def test_the_looks_of_many_connections_do_not_fill_the_memory() -> None:
    budget = LookBudget(lambda: 0.0)
    for number in range(10_050):
        assert budget.spend(f"connection {number}")
    assert len(budget._spent) <= 10_000


async def test_what_comes_back_through_the_relay_needs_no_look(world: World) -> None:
    started = await world.auth_url()
    for _ in range(20):
        await world.report(started.connection_id)
    assert world.gateway.calls["find_grants"] == 0
    assert (await world.connection(started.connection_id)).status is PENDING


async def test_an_active_connection_needs_no_look(world: World) -> None:
    connection = await world.authorize()
    looks = world.gateway.calls["find_grants"]
    await world.report(connection.id)
    assert world.gateway.calls["find_grants"] == looks


# ── where it may lead ─────────────────────────────────────────────────────────────────────────────────


async def _target(world: World, connection_id: str, asked: str | None) -> str | None:
    target = (await world.report(connection_id, redirect=asked)).redirect_url
    return target.text if target else None


async def test_the_redirect_that_the_attempt_names_is_followed(world: World) -> None:
    connection_id = await _with_session(world, redirect="https://else.example/back?x=1")
    asked = "https://else.example/back?x=1"
    assert await _target(world, connection_id, asked) == asked


async def test_without_a_redirect_in_the_query_the_attempts_own_is_followed(world: World) -> None:
    connection_id = await _with_session(world, redirect="https://else.example/back")
    assert await _target(world, connection_id, None) == "https://else.example/back"


@pytest.mark.parametrize(
    "asked",
    [
        EVIL,
        "https://else.example/back?x=2",
        "https://else.example/other",
        "https://else.example.evil.example/back",
        "javascript:alert(1)",
        "//evil.example",
        "https://app.example.com@evil.example/",
        "http://app.example.com/",
        "",
    ],
)
async def test_any_other_redirect_is_ignored_for_the_attempts_own(world: World, asked: str) -> None:
    connection_id = await _with_session(world, redirect="https://else.example/back")
    assert await _target(world, connection_id, asked) == "https://else.example/back"


async def test_a_redirect_to_an_allowed_origin_is_followed(world: World) -> None:
    connection_id = await _with_session(world, redirect=None)
    assert (
        await _target(world, connection_id, "https://app.example.com/x?y=1")
        == "https://app.example.com/x?y=1"
    )


async def test_where_nobody_named_a_redirect_there_is_none(world: World) -> None:
    connection_id = await _with_session(world, redirect=None)
    assert await _target(world, connection_id, EVIL) is None


async def test_an_older_attempt_s_redirect_is_not_inherited(world: World) -> None:
    await world.deny((await world.auth_url(redirect="https://else.example/old")).url)
    await world.later(seconds=1)
    started = await world.auth_url()
    await world.come_back(started.url)
    assert await _target(world, started.connection_id, None) is None


async def test_an_older_attempt_s_redirect_is_followed_where_it_is_asked_for(world: World) -> None:
    await world.deny((await world.auth_url(redirect="https://else.example/old")).url)
    await world.later(seconds=1)
    started = await world.auth_url(redirect="https://else.example/new")
    assert (
        await _target(world, started.connection_id, "https://else.example/old") == "https://else.example/old"
    )


async def test_an_attempt_that_never_began_changes_nobodys_way(world: World) -> None:
    started = await world.auth_url(redirect="https://else.example/back")
    await world.later(seconds=1)
    world.gateway.fail_with(GatewayUnavailable(), ["open_session"])
    with pytest.raises(GatewayUnavailable):
        await world.auth_url()
    assert await _target(world, started.connection_id, None) == "https://else.example/back"
