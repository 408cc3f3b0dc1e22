from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from application.ports import ProviderAnswer
from domain.connection import ACTIVE, DISCONNECTED, ERROR, EXPIRED, PENDING
from domain.errors import (
    ConnectionNotFound,
    CredentialsUnusable,
    DomainError,
    GatewayNonsense,
    GatewayTimeout,
    GatewayUnavailable,
    GrantNotFound,
    ProviderCallImpossible,
    ProviderCallRefused,
    ProviderUnavailable,
)
from tests.application.service import asking_for_more, catalogue_without
from tests.application.world import World, nango_id

if TYPE_CHECKING:
    from application.ports import ProviderCatalogue

NOT_YET = "Connection not yet authorized - complete OAuth flow first"
LIMIT = "The refresh limit has been reached for this connection."


# ── the provider's answer ─────────────────────────────────────────────────────────────────────────────


async def test_a_connection_whose_credentials_work_is_healthy(world: World) -> None:
    connection = await world.authorize()
    await world.later(minutes=5)
    seen = await world.verify(connection.id)
    assert (seen.healthy, seen.error, seen.connection.status) == (True, None, ACTIVE)
    assert seen.checked_at == seen.connection.last_synced_at == world.now()


async def test_refused_credentials_are_an_error_in_the_providers_words(world: World) -> None:
    connection = await world.authorize()
    world.refuse(connection, "Invalid API key provided")
    seen = await world.verify(connection.id)
    assert (seen.healthy, seen.error) == (False, "Invalid API key provided")
    after = await world.connection(connection.id)
    assert (after.status, after.error_message) == (ERROR, "Invalid API key provided")


async def test_an_unhealthy_look_does_not_count_as_a_sync(world: World) -> None:
    connection = await world.authorize()
    await world.later(minutes=5)
    world.refuse(connection)
    await world.verify(connection.id)
    assert (await world.connection(connection.id)).last_synced_at == connection.last_synced_at


async def test_refused_credentials_without_words_are_an_error_that_says_so(world: World) -> None:
    connection = await world.authorize()
    world.answer(connection, 401)
    assert "refused" in ((await world.verify(connection.id)).error or "")


async def test_a_providers_own_way_of_saying_dead_is_understood(world: World) -> None:
    world.gateway.answer = ProviderAnswer(status=200, body={"ok": True, "team_id": "T1", "team": "Juniper"})
    connection = await world.authorize("slack")
    world.answer(connection, 200, {"ok": False, "error": "token_revoked"})
    seen = await world.verify(connection.id)
    assert (seen.healthy, seen.connection.status) == (False, ERROR)
    assert "token_revoked" in (seen.error or "")


@pytest.mark.parametrize("condition", ["in_error", "expired"])
async def test_credentials_that_work_again_make_the_connection_active(world: World, condition: str) -> None:
    connection = await getattr(world, condition)()
    world.gateway.change(nango_id(connection), backing_off=False)
    seen = await world.verify(connection.id)
    assert (seen.healthy, seen.error) == (True, None)
    assert (await world.connection(connection.id)).error_message is None


async def test_an_expired_connection_that_is_refused_stays_expired(world: World) -> None:
    connection = await world.expired()
    world.refuse(connection, "Token revoked")
    seen = await world.verify(connection.id)
    assert (seen.connection.status, seen.error) == (EXPIRED, "Token revoked")


async def test_a_connection_that_may_not_ask_who_it_is_is_healthy_and_keeps_its_account(
    world: World,
) -> None:
    connection = await world.authorize()
    world.answer(connection, 403, {"error": {"message": "The key may not do this"}})
    seen = await world.verify(connection.id)
    assert (seen.healthy, seen.connection.status) == (True, ACTIVE)
    assert seen.connection.external_account_id == connection.external_account_id == "acct_1"


async def test_another_account_than_before_is_recorded(world: World) -> None:
    connection = await world.authorize()
    world.answer(connection, 200, {"id": "acct_2"})
    assert (await world.verify(connection.id)).connection.external_account_id == "acct_2"
    assert (await world.history(connection.id))[-1] == "account_changed"


async def test_a_refusal_from_before_a_refresh_is_out_of_date(world: World) -> None:
    connection = await world.authorize()
    await world.later(minutes=1)
    world.refuse(connection)
    looking, refused = await world.catch("call_provider", world.verify(connection.id))
    world.accept(connection)
    await world.refresh(connection.id)
    refused.set()
    assert (await looking).healthy


async def test_while_a_connection_is_authorized_again_nobody_looks_at_it(world: World) -> None:
    connection = await world.in_error()
    await world.reauthorize(connection.id)
    before = world.gateway.calls["has_grant"]
    assert not (await world.verify(connection.id)).healthy
    assert world.gateway.calls["has_grant"] == before


# ── trouble that is not the connection's ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("condition", ["authorize", "in_error", "expired"])
async def test_a_provider_in_trouble_changes_nothing(world: World, status: int, condition: str) -> None:
    connection = await getattr(world, condition)()
    world.gateway.change(nango_id(connection), backing_off=False)
    world.gateway.answers[nango_id(connection)] = ProviderAnswer(status=status, body=None, retry_after=17)
    with pytest.raises(ProviderUnavailable) as raised:
        await world.verify(connection.id)
    assert raised.value.retry_after == 17
    assert await world.connection(connection.id) == connection


async def test_a_provider_that_asks_for_patience_in_its_own_way_changes_nothing(world: World) -> None:
    connection = await world.authorize("slack")
    world.answer(connection, 200, {"ok": False, "error": "ratelimited"})
    with pytest.raises(ProviderUnavailable):
        await world.verify(connection.id)
    assert await world.connection(connection.id) == connection


@pytest.mark.parametrize("operation", ["has_grant", "call_provider"])
@pytest.mark.parametrize(
    "trouble",
    [
        GatewayUnavailable(),
        GatewayTimeout(),
        GatewayNonsense(),
        ProviderCallRefused(),
        ProviderUnavailable("later"),
    ],
)
async def test_nango_in_trouble_changes_nothing(world: World, operation: str, trouble: DomainError) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(trouble, [operation])
    with pytest.raises(type(trouble)):
        await world.verify(connection.id)
    assert await world.connection(connection.id) == connection


@pytest.mark.parametrize("providers", [catalogue_without("stripe"), asking_for_more("stripe")])
async def test_a_provider_that_cannot_be_asked_any_more_changes_nothing(
    world: World, providers: ProviderCatalogue
) -> None:
    connection = await world.in_error()
    with pytest.raises(ProviderCallImpossible):
        await world.another_process(providers=providers).verify(connection.id)
    assert await world.connection(connection.id) == connection


async def test_what_is_gone_at_nango_is_found_although_its_provider_is_not_described(world: World) -> None:
    connection = await world.authorize()
    world.gateway.forget(nango_id(connection))
    found = await world.another_process(providers=catalogue_without("stripe")).verify(connection.id)
    assert found.connection.status is DISCONNECTED


@pytest.mark.parametrize(("status", "body"), [(200, None), (404, {"error": "?"}), (302, None)])
async def test_an_answer_that_says_nothing_of_the_credentials_changes_nothing(
    world: World, status: int, body: Any
) -> None:
    connection = await world.authorize()
    world.answer(connection, status, body)
    with pytest.raises(GatewayNonsense):
        await world.verify(connection.id)
    assert await world.connection(connection.id) == connection


# ── gone at Nango ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_is_gone_at_nango_is_disconnected_and_says_so(world: World) -> None:
    connection = await world.authorize()
    world.gateway.forget(nango_id(connection))
    seen = await world.verify(connection.id)
    assert (seen.healthy, seen.connection.status) == (False, DISCONNECTED)
    assert "no longer exists at Nango" in (seen.error or "")


async def test_what_is_deleted_at_nango_between_two_of_our_calls_is_disconnected(world: World) -> None:
    connection = await world.authorize()
    call, gate = await world.catch("call_provider", world.verify(connection.id), after=False)
    world.gateway.forget(nango_id(connection))
    gate.set()
    assert (await call).connection.status is DISCONNECTED


async def test_the_proxys_word_alone_that_it_is_gone_changes_nothing(world: World) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GrantNotFound(), ["call_provider"])
    with pytest.raises(GatewayUnavailable, match="could not use it"):
        await world.verify(connection.id)
    assert await world.connection(connection.id) == connection


async def test_what_is_gone_at_nango_can_be_authorized_again(world: World) -> None:
    connection = await world.authorize()
    world.gateway.forget(nango_id(connection))
    await world.verify(connection.id)
    again = await world.auth_url()
    assert (again.connection_id, again.is_new) == (connection.id, False)
    assert (await world.come_back(again.url)).outcome == "succeeded"


# ── Nango has no usable credentials: decided as a refresh ─────────────────────────────────────────────


async def test_where_nango_backs_off_a_refresh_that_works_is_healthy(world: World) -> None:
    connection = await world.authorize()
    world.gateway.change(nango_id(connection), backing_off=True)
    seen = await world.verify(connection.id)
    assert (seen.healthy, world.gateway.calls["refresh"]) == (True, 1)
    assert (await world.history(connection.id))[-1] == "refreshed"


async def test_where_nango_backs_off_a_refresh_that_is_refused_is_an_error(world: World) -> None:
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), "The external API returned an error")
    world.gateway.change(nango_id(connection), backing_off=True)
    seen = await world.verify(connection.id)
    assert (seen.connection.status, seen.error) == (ERROR, "The external API returned an error")


async def test_where_nango_backs_off_and_is_then_silent_nothing_changes(world: World) -> None:
    connection = await world.authorize()
    world.gateway.change(nango_id(connection), backing_off=True)
    world.gateway.fail_with(GatewayTimeout(), ["refresh"])
    with pytest.raises(GatewayTimeout):
        await world.verify(connection.id)
    assert await world.connection(connection.id) == connection


async def test_where_nango_has_given_up_the_connection_has_expired(world: World) -> None:
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), LIMIT, exhausted=True)
    seen = await world.verify(connection.id)
    assert seen.connection.status is EXPIRED
    assert LIMIT in (seen.error or "")


async def test_that_nango_has_given_up_counts_although_a_forced_refresh_does_not_say_so(
    world: World,
) -> None:
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), LIMIT, exhausted=True)
    world.gateway.fail_with(CredentialsUnusable("The external API returned an error"), ["refresh"])
    assert (await world.verify(connection.id)).connection.status is EXPIRED


# ── what is not looked at ─────────────────────────────────────────────────────────────────────────────


async def test_a_pending_connection_is_not_healthy_and_nobody_is_asked(world: World) -> None:
    started = await world.auth_url()
    calls = sum(world.gateway.calls.values())
    seen = await world.verify(started.connection_id)
    assert (seen.healthy, seen.error, seen.connection.status) == (False, NOT_YET, "pending")
    assert sum(world.gateway.calls.values()) == calls


async def test_a_disconnected_connection_is_not_healthy_and_nobody_is_asked(world: World) -> None:
    connection = await world.disconnected()
    calls = sum(world.gateway.calls.values())
    seen = await world.verify(connection.id)
    assert (seen.healthy, seen.error) == (False, connection.error_message)
    assert seen.error
    assert sum(world.gateway.calls.values()) == calls


async def test_a_connection_whose_first_authorization_failed_is_not_healthy(world: World) -> None:
    started = await world.auth_url()
    await world.deny(started.url)
    seen = await world.verify(started.connection_id)
    assert (seen.healthy, seen.error) == (False, "Authorization failed: access_denied")


async def test_another_companys_connection_is_not_found(world: World) -> None:
    theirs = await world.auth_url(company="other")
    with pytest.raises(ConnectionNotFound):
        await world.verify(theirs.connection_id)


# ── many at once, and meanwhile ───────────────────────────────────────────────────────────────────────


async def test_two_hundred_callers_in_two_processes_share_one_look(world: World) -> None:
    connection = await world.authorize()
    before = world.gateway.calls["call_provider"]
    other = world.another_process()
    answering = world.gateway.hold("call_provider")
    calls = [asyncio.ensure_future(each.verify(connection.id)) for _ in range(100) for each in (world, other)]
    await world.later(seconds=1)
    answering.set()
    assert all(verification.healthy for verification in await asyncio.gather(*calls))
    assert world.gateway.calls["call_provider"] == before + 1


async def test_the_trouble_of_one_look_is_every_callers(world: World) -> None:
    connection = await world.authorize()
    world.answer(connection, 503)
    results = await asyncio.gather(*(world.verify(connection.id) for _ in range(10)), return_exceptions=True)
    assert {type(result) for result in results} == {ProviderUnavailable}


async def test_a_look_that_began_before_a_new_authorization_says_nothing_of_its_credentials(
    world: World,
) -> None:
    connection = await world.in_error()
    world.refuse(connection)
    call, gate = await world.catch("call_provider", world.verify(connection.id), after=False)
    world.accept(connection)
    await world.later(seconds=1)
    await world.come_back((await world.auth_url()).url)
    gate.set()
    assert (await call).healthy
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_look_that_began_before_a_refresh_says_nothing_of_its_result(world: World) -> None:
    connection = await world.authorize()
    world.refuse(connection)
    call, gate = await world.catch("call_provider", world.verify(connection.id), after=False)
    world.accept(connection)
    await world.later(seconds=1)
    await world.refresh(connection.id)
    gate.set()
    assert (await call).healthy
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_look_that_began_before_a_new_authorization_does_not_bring_back_the_old_account(
    world: World,
) -> None:
    connection = await world.in_error()
    call, gate = await world.catch("call_provider", world.verify(connection.id), after=False)
    world.answer(connection, 200, {"id": "acct_2"})
    await world.later(seconds=1)
    await world.come_back((await world.auth_url()).url)
    gate.set()
    await call
    assert (await world.connection(connection.id)).external_account_id == "acct_2"


async def test_an_absence_seen_before_a_new_authorization_says_nothing_of_it(world: World) -> None:
    connection = await world.authorize()
    world.gateway.forget(nango_id(connection))
    call, gate = await world.catch("has_grant", world.verify(connection.id))
    await world.disconnect(connection.id)
    await world.come_back((await world.auth_url()).url)
    gate.set()
    assert (await call).healthy
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_look_that_ends_while_somebody_authorizes_again_leaves_it_pending(world: World) -> None:
    connection = await world.in_error()
    call, gate = await world.catch("call_provider", world.verify(connection.id), after=False)
    await world.auth_url()
    gate.set()
    assert (await call).error == NOT_YET
    assert (await world.connection(connection.id)).status is PENDING


@pytest.mark.parametrize("verb", ["disconnect", "delete"])
async def test_a_look_that_ends_after_a_removal_brings_nothing_back(world: World, verb: str) -> None:
    connection = await world.authorize()
    call, gate = await world.catch("call_provider", world.verify(connection.id), after=False)
    await getattr(world, verb)(connection.id)
    gate.set()
    if verb == "delete":
        with pytest.raises(ConnectionNotFound):
            await call
    else:
        assert (await call).connection.status is DISCONNECTED
