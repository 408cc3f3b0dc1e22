"""What is found out right after an authorization."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from application.ports import ProviderAnswer
from domain.connection import ACTIVE, ERROR
from domain.errors import DomainError, GatewayNonsense, GatewayUnavailable, ProviderUnavailable
from tests.application.world import World, nango_id

STRIPE = ProviderAnswer(status=200, body={"id": "acct_42", "business_profile": {"name": "Juniper & Fern"}})


async def test_the_account_is_known_as_soon_as_the_browser_is_back(world: World) -> None:
    world.gateway.answer = STRIPE
    connection = await world.authorize()
    assert (connection.external_account_id, connection.external_account_name) == ("acct_42", "Juniper & Fern")


async def test_what_nango_was_told_by_the_provider_may_name_the_account(world: World) -> None:
    started = await world.auth_url("stripe")
    relaying = world.gateway.hold("find_grants")
    call = asyncio.ensure_future(world.come_back(started.url))
    await relaying.reached.wait()
    (grant_id,) = world.grants()
    world.gateway.change(grant_id, token={"stripe_user_id": "acct_7"})
    relaying.set()
    await call
    assert (await world.connection(started.connection_id)).external_account_id == "acct_7"


async def test_a_slow_identity_call_does_not_keep_the_user_waiting(world: World) -> None:
    started = await world.auth_url()
    world.gateway.hold("call_provider")
    before = world.now()
    assert (await world.come_back(started.url)).outcome == "succeeded"
    assert world.now() - before <= timedelta(seconds=3)
    connection = await world.connection(started.connection_id)
    assert (connection.status, connection.external_account_id) == (ACTIVE, None)


async def test_a_slow_identity_call_is_made_again_by_the_worker(world: World) -> None:
    slow = world.gateway.hold("call_provider")
    connection = await world.authorize()
    slow.set()
    await world.work_for(seconds=20)
    assert (await world.connection(connection.id)).external_account_id is None
    await world.work_for(seconds=10)
    assert (await world.connection(connection.id)).external_account_id == "acct_1"


@pytest.mark.parametrize(
    "trouble",
    [ProviderUnavailable("Stripe is unavailable now."), GatewayUnavailable(), GatewayNonsense()],
    ids=["provider", "gateway", "nonsense"],
)
async def test_where_the_identity_call_fails_the_worker_finds_the_account_later(
    world: World, trouble: DomainError
) -> None:
    world.gateway.answer = STRIPE
    world.gateway.fail_with(trouble, ["call_provider"], times=2)
    connection = await world.authorize()
    assert (connection.status, connection.external_account_id) == (ACTIVE, None)
    await world.work_for(minutes=2)
    assert (await world.connection(connection.id)).external_account_id == "acct_42"


async def test_the_worker_does_not_ask_for_ever(world: World) -> None:
    world.gateway.fail_with(GatewayUnavailable(), ["call_provider"], times=None)
    connection = await world.authorize()
    await world.work_for(hours=1)
    calls = world.gateway.calls["call_provider"]
    assert 2 < calls < 10
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_provider_that_forbids_the_question_leaves_the_account_unknown(world: World) -> None:
    world.gateway.answer = ProviderAnswer(status=403, body={"error": {"message": "restricted key"}})
    connection = await world.authorize()
    assert (connection.status, connection.external_account_id) == (ACTIVE, None)


async def test_a_credential_that_is_dead_right_after_the_authorization_is_an_error(world: World) -> None:
    world.gateway.answer = ProviderAnswer(status=401, body={"error": {"message": "Account closed"}})
    connection = await world.authorize()
    assert (connection.status, connection.error_message) == (ERROR, "Account closed")


async def test_another_account_than_before_is_recorded_with_both_ids(world: World) -> None:
    world.gateway.answer = STRIPE
    connection = await world.in_error()
    world.gateway.answers[nango_id(connection)] = ProviderAnswer(status=200, body={"id": "acct_43"})
    await world.come_back((await world.auth_url()).url)
    assert (await world.connection(connection.id)).external_account_id == "acct_43"
    event = (await world.events(connection.id))[-1]
    assert (event.type, event.reason) == ("account_changed", "The account changed from acct_42 to acct_43")


async def test_the_same_account_again_is_no_news(world: World) -> None:
    world.gateway.answer = STRIPE
    connection = await world.in_error()
    await world.come_back((await world.auth_url()).url)
    assert (await world.history(connection.id)).count("account_identified") == 1
    assert "account_changed" not in await world.history(connection.id)


async def test_a_connection_deleted_meanwhile_is_owed_nothing_more(world: World) -> None:
    world.gateway.fail_with(GatewayUnavailable(), ["call_provider"])
    connection = await world.authorize()
    await world.delete(connection.id)
    await world.work_for(seconds=40)
    await world.later(hours=2)
    assert await world.store.take_due_jobs(limit=10, lease=timedelta(0)) == []
