"""Nango's webhooks: who may send them, what they make us look at, and that they prove nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from domain.connection import ACTIVE, DISCONNECTED, ERROR, EXPIRED, PENDING
from domain.errors import ConnectionNotFound, RefreshRefused, WebhookRefused
from tests.application.watch import NEW_KEY, OLD_KEY, WatchWorld, sign
from tests.application.world import nango_id

if TYPE_CHECKING:
    from domain.connection import Connection

DIRECT = "https://api.nango.dev/oauth/callback"
REFRESH_FAILED = (
    b'{"type":"auth","operation":"refresh","success":false,"connectionId":"a","providerConfigKey":"b"}'
)


@pytest.fixture
async def world() -> WatchWorld:
    return WatchWorld()


@pytest.fixture
async def direct() -> WatchWorld:
    """A service whose browsers end at Nango."""
    return WatchWorld(nango_callback=DIRECT)


def refuse_renewal(world: WatchWorld, connection: Connection) -> None:
    world.gateway.change(nango_id(connection), expires_at=world.now())
    world.gateway.refuse_refresh(nango_id(connection), "invalid_grant")


# ── who may send them ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", [OLD_KEY, NEW_KEY])
async def test_each_current_key_may_sign(world: WatchWorld, key: str) -> None:
    connection = await world.authorize()
    world.refuse(connection)
    body = await world.webhook("refresh", world.grant_of(connection), success=False)
    await world.use_cases.receive_webhook(body=body, signature=sign(body, key))


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "0" * 64,
        sign(REFRESH_FAILED, "another key"),
        sign(REFRESH_FAILED + b" ", NEW_KEY),
        sign(REFRESH_FAILED, NEW_KEY).upper(),
        sign(REFRESH_FAILED, NEW_KEY) + " ",
        sign(REFRESH_FAILED, NEW_KEY)[:-1],
        "\udcff" * 64,
        "é" * 64,
    ],
)
async def test_any_other_signature_is_refused(world: WatchWorld, signature: str | None) -> None:
    with pytest.raises(WebhookRefused):
        await world.use_cases.receive_webhook(body=REFRESH_FAILED, signature=signature)


async def test_without_a_key_every_webhook_is_refused() -> None:
    world = WatchWorld(webhook_keys=())
    for key in ("", NEW_KEY):
        with pytest.raises(WebhookRefused):
            await world.send(REFRESH_FAILED, key=key)


async def test_a_forged_webhook_makes_nobody_look(world: WatchWorld) -> None:
    connection = await world.authorize()
    body = await world.webhook("deletion", world.grant_of(connection))
    async with world.store.begin() as tx:
        for job in world.owed():
            await tx.jobs.finish(job.id)
    with pytest.raises(WebhookRefused):
        await world.send(body, key="forged")
    assert world.owed() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"type":"auth"}',
        b'{"type":"forward","payload":{"a":1}}',
        b"\xff\x00",
        b"[" * 9999,
    ],
)
async def test_what_is_signed_and_not_understood_is_accepted(world: WatchWorld, body: bytes) -> None:
    await world.send(body)
    assert world.owed() == []


async def test_nango_is_not_asked_while_it_waits_for_our_answer(world: WatchWorld) -> None:
    connection = await world.authorize()
    before = world.gateway.calls.total()
    await world.webhook("refresh", world.grant_of(connection), success=False)
    assert world.gateway.calls.total() == before


async def test_a_connection_of_somebody_else_is_none_of_our_business(world: WatchWorld) -> None:
    await world.send(REFRESH_FAILED)
    assert world.owed() == []


# ── what they make us find ────────────────────────────────────────────────────────────────────────────


async def test_a_refused_refresh_is_an_error(world: WatchWorld) -> None:
    connection = await world.authorize()
    refuse_renewal(world, connection)
    await world.webhook("refresh", world.grant_of(connection), success=False)
    await world.work()
    assert (await world.connection(connection.id)).status is ERROR


async def test_a_refused_refresh_that_is_not_true_changes_nothing(world: WatchWorld) -> None:
    connection = await world.authorize()
    await world.webhook("refresh", world.grant_of(connection), success=False)
    await world.work()
    assert await world.connection(connection.id) == connection


async def test_a_recovered_refresh_puts_the_connection_right(world: WatchWorld) -> None:
    connection = await world.in_error()
    await world.webhook("refresh", world.grant_of(connection))
    await world.work()
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_recovered_refresh_that_is_not_true_changes_nothing(world: WatchWorld) -> None:
    connection = await world.in_error()
    world.refuse(connection)
    await world.webhook("refresh", world.grant_of(connection))
    await world.work()
    assert await world.connection(connection.id) == connection


async def test_a_good_refresh_of_an_active_connection_costs_nango_nothing(world: WatchWorld) -> None:
    connection = await world.authorize()
    await world.webhook("refresh", world.grant_of(connection))
    assert world.owed() == []


async def test_a_deletion_disconnects(world: WatchWorld) -> None:
    connection, _ = await world.authorize(), await world.authorize("hubspot")
    grant = world.grant_of(connection)
    world.gateway.forget(grant.nango_id)
    await world.webhook("deletion", grant)
    await world.work()
    assert (await world.connection(connection.id)).status is DISCONNECTED


async def test_a_deletion_that_is_not_true_changes_nothing(world: WatchWorld) -> None:
    connection = await world.authorize()
    await world.webhook("deletion", world.grant_of(connection))
    await world.work()
    assert await world.connection(connection.id) == connection


async def test_an_override_shows_another_account(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.answer(connection, 200, {"id": "acct_2", "business_profile": {"name": "Other"}})
    await world.webhook("override", world.grant_of(connection), tags=False)
    await world.work()
    assert (await world.connection(connection.id)).external_account_id == "acct_2"
    assert (await world.history(connection.id)).count("account_changed") == 1


async def test_an_unknown_operation_is_a_reason_to_look(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.refuse(connection)
    await world.webhook("something_new", world.grant_of(connection))
    await world.work()
    assert (await world.connection(connection.id)).status is ERROR


async def test_a_denied_reconnect_does_not_touch_an_active_connection(world: WatchWorld) -> None:
    connection = await world.authorize()
    await world.webhook("creation", world.grant_of(connection), success=False, tags=False)
    await world.work()
    assert await world.connection(connection.id) == connection


async def test_a_denied_reconnect_leaves_a_pending_connection_to_its_attempt(direct: WatchWorld) -> None:
    started = await direct.auth_url()
    await direct.finish_at_nango(started.url)
    await direct.work_for(seconds=6)
    active = await direct.connection(started.connection_id)
    direct.refuse(active)
    await direct.verify(active.id)
    await direct.auth_url()
    await direct.webhook("creation", direct.grant_of(active), success=False, tags=False)
    await direct.work()
    assert (await direct.connection(active.id)).status is PENDING
    await direct.work_for(minutes=61)
    assert (await direct.connection(active.id)).status is ERROR


# ── authorizations ────────────────────────────────────────────────────────────────────────────────────


async def complete_at_nango(direct: WatchWorld, url: str) -> None:
    """The flow ends at Nango, which tells us."""
    await direct.finish_at_nango(url)
    (grant,) = direct.gateway.stored.values()
    await direct.webhook("creation", grant)


async def test_a_creation_completes_a_flow_that_ended_at_nango_at_once(direct: WatchWorld) -> None:
    started = await direct.auth_url()
    await complete_at_nango(direct, started.url)
    await direct.work()
    assert (await direct.connection(started.connection_id)).status is ACTIVE


async def test_a_creation_that_comes_while_the_worker_asks_is_not_forgotten(direct: WatchWorld) -> None:
    started = await direct.auth_url()
    await direct.later(seconds=5)
    look, gate = await direct.catch("find_grants", direct.work())
    await complete_at_nango(direct, started.url)
    gate.set()
    await look
    await direct.work()
    assert (await direct.connection(started.connection_id)).status is ACTIVE


async def test_a_creation_that_comes_as_the_hour_ends_is_not_too_late(direct: WatchWorld) -> None:
    started = await direct.auth_url()
    await direct.later(minutes=60)
    look, gate = await direct.catch("find_grants", direct.work())
    await complete_at_nango(direct, started.url)
    gate.set()
    await look
    await direct.work()
    assert (await direct.connection(started.connection_id)).status is ACTIVE


async def test_a_creation_that_is_not_true_completes_nothing(direct: WatchWorld) -> None:
    started = await direct.auth_url()
    await direct.finish_at_nango(started.url)
    (grant,) = direct.gateway.stored.values()
    direct.gateway.forget(grant.nango_id)
    await direct.webhook("creation", grant)
    await direct.work()
    assert (await direct.connection(started.connection_id)).status is PENDING


async def test_a_reconnect_is_completed_by_its_override(direct: WatchWorld) -> None:
    started = await direct.auth_url()
    await direct.finish_at_nango(started.url)
    await direct.work_for(seconds=6)
    active = await direct.connection(started.connection_id)
    direct.refuse(active)
    await direct.verify(active.id)
    direct.accept(active)
    again = await direct.auth_url()
    await direct.finish_at_nango(again.url)
    await direct.webhook("override", direct.grant_of(active))
    await direct.work()
    assert (await direct.connection(active.id)).status is ACTIVE


async def test_callback_webhook_and_poll_at_once_are_one_transition(world: WatchWorld) -> None:
    started = await world.auth_url()
    relay, gate = await world.catch("relay_callback", world.come_back(started.url))
    (grant,) = world.gateway.stored.values()
    for _ in range(3):
        await world.webhook("creation", grant)
    await asyncio.gather(world.work(), world.another_worker().work())
    gate.set()
    assert (await relay).outcome == "succeeded"
    await world.work_for(minutes=2)
    assert (await world.history(started.connection_id)).count("authorized") == 1


async def test_a_webhook_after_the_callback_adds_nothing(world: WatchWorld) -> None:
    connection = await world.authorize()
    await world.webhook("creation", world.grant_of(connection))
    await world.webhook("override", world.grant_of(connection))
    await world.work_for(minutes=1)
    assert await world.history(connection.id) == ["created", "authorized", "account_identified"]


# ── replays and loops ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [ACTIVE, ERROR, EXPIRED])
async def test_replays_of_everything_change_nothing(world: WatchWorld, status: str) -> None:
    match status:
        case "active":
            connection = await world.authorize()
        case "error":
            connection = await world.in_error()
            world.refuse(connection)
        case _:
            connection = await world.expired()
            world.refuse(connection)
            connection = (await world.verify(connection.id)).connection
    grant = world.grant_of(connection)
    for _ in range(3):
        for operation in ("creation", "override", "refresh", "deletion", "unknown"):
            for success in (True, False):
                await world.webhook(operation, grant, success=success)
                await world.work()
    assert await world.connection(connection.id) == connection


async def test_replays_after_a_delete_resurrect_nothing(world: WatchWorld) -> None:
    connection = await world.authorize()
    grant = world.grant_of(connection)
    await world.delete(connection.id)
    for operation in ("creation", "override", "refresh", "deletion"):
        await world.webhook(operation, grant)
        await world.work()
    with pytest.raises(ConnectionNotFound):
        await world.connection(connection.id)
    assert world.grants() == set()


async def test_replays_after_a_disconnect_resurrect_nothing(world: WatchWorld) -> None:
    connection = await world.authorize()
    grant = world.grant_of(connection)
    disconnected = await world.disconnect(connection.id)
    await world.webhook("creation", grant)
    await world.work()
    assert await world.connection(connection.id) == disconnected


async def test_a_hundred_replays_are_one_look(world: WatchWorld) -> None:
    connection = await world.authorize()
    asked = len(world.gateway.asked)
    for _ in range(100):
        await world.webhook("override", world.grant_of(connection))
    await world.work()
    assert len(world.gateway.asked) == asked + 1


async def test_the_webhook_of_a_refusal_of_our_own_is_no_reason_to_ask_again(world: WatchWorld) -> None:
    connection = await world.authorize()
    refuse_renewal(world, connection)
    with pytest.raises(RefreshRefused):
        await world.refresh(connection.id)
    (owed,) = world.owed()
    await world.webhook("refresh", world.grant_of(connection), success=False)
    assert world.owed() == [owed]


async def test_webhooks_of_our_own_refusals_make_no_loop(world: WatchWorld) -> None:
    connection = await world.authorize()
    refuse_renewal(world, connection)
    # Each refusal sends one, and each outruns what we write of it.
    for _ in range(2):
        await world.webhook("refresh", world.grant_of(connection), success=False)
        await world.work()
        await world.webhook("refresh", world.grant_of(connection), success=False)
    await world.work_for(minutes=30)
    assert world.gateway.calls["refresh"] <= 3
    assert world.owed() == []
