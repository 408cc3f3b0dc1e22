"""A look that nobody waits for: what it finds out, when it is repeated, and when it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.system.ids import SystemIds
from application.owed import owe_a_look
from application.ports import JobKind
from domain.connection import ACTIVE, DISCONNECTED, ERROR, EXPIRED, Connection
from domain.errors import GatewayUnavailable, ProviderUnavailable, RefreshRefused
from tests.application.watch import WatchWorld
from tests.application.world import nango_id


@pytest.fixture
async def world() -> WatchWorld:
    return WatchWorld()


async def look_at(world: WatchWorld, connection: Connection) -> Connection:
    """Owe the connection a look, and let the worker have it."""
    async with world.store.begin() as tx:
        await owe_a_look(tx, connection, SystemIds(), delay=timedelta(0))
    await world.work()
    return await world.connection(connection.id)


def end_token(world: WatchWorld, connection: Connection, why: str = "invalid_grant") -> None:
    """Let the token end, and its renewal be refused."""
    world.gateway.change(nango_id(connection), expires_at=world.now())
    world.gateway.refuse_refresh(nango_id(connection), why)


async def test_a_revoked_token_is_found(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.refuse(connection, "Revoked by the user")
    found = await look_at(world, connection)
    assert (found.status, found.error_message) == (ERROR, "Revoked by the user")


async def test_what_works_again_is_put_right(world: WatchWorld) -> None:
    connection = await world.in_error()
    assert (await look_at(world, connection)).status is ACTIVE


async def test_what_is_gone_at_nango_is_disconnected(world: WatchWorld) -> None:
    connection, _ = await world.authorize(), await world.authorize("hubspot")
    world.gateway.forget(nango_id(connection))
    assert (await look_at(world, connection)).status is DISCONNECTED


async def test_an_absence_is_believed_after_one_small_question(world: WatchWorld) -> None:
    connection, _ = await world.authorize(), await world.authorize("hubspot")
    world.gateway.forget(nango_id(connection))
    listed = world.gateway.calls["find_grants"] + world.gateway.calls["grants"]
    await look_at(world, connection)
    assert world.gateway.calls["any_grant"] == 1
    assert world.gateway.calls["find_grants"] + world.gateway.calls["grants"] == listed


async def test_in_an_environment_without_anything_of_ours_nothing_is_gone(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.gateway.forget(nango_id(connection))
    assert (await look_at(world, connection)).status is ACTIVE


async def test_a_provider_in_trouble_changes_nothing_and_is_asked_again_later(world: WatchWorld) -> None:
    connection = await world.authorize()
    history = await world.history(connection.id)
    world.gateway.answers[nango_id(connection)] = ProviderUnavailable("down")
    await look_at(world, connection)
    assert await world.history(connection.id) == history
    world.refuse(connection)
    await world.work_for(seconds=61)
    assert (await world.connection(connection.id)).status is ERROR


async def test_a_look_that_never_succeeds_is_given_up(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GatewayUnavailable(), ["has_grant"], times=None)
    await look_at(world, connection)
    await world.work_for(hours=1)
    assert world.gateway.calls["has_grant"] == 5
    assert world.owed() == []


async def test_a_refresh_that_is_refused_during_a_look_is_looked_at_once_more(world: WatchWorld) -> None:
    connection = await world.authorize()
    end_token(world, connection)
    assert (await look_at(world, connection)).status is ERROR
    world.gateway.accept_refresh(nango_id(connection))
    world.gateway.end_backoff(nango_id(connection))
    await world.work_for(seconds=30)
    assert (await world.connection(connection.id)).status is ERROR
    await world.work_for(seconds=6)
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_refresh_that_stays_refused_is_no_reason_to_look_for_ever(world: WatchWorld) -> None:
    connection = await world.authorize()
    end_token(world, connection)
    await look_at(world, connection)
    await world.work_for(minutes=5)
    asked = world.gateway.calls["refresh"]
    await world.work_for(hours=1)
    assert (world.gateway.calls["refresh"], world.owed()) == (asked, [])
    assert asked <= 2


async def test_a_look_during_nangos_back_off_does_not_take_the_place_of_the_one_after_it(
    world: WatchWorld,
) -> None:
    connection = await world.authorize()
    end_token(world, connection)
    with pytest.raises(RefreshRefused):
        await world.refresh(connection.id)
    await look_at(world, connection)
    world.gateway.accept_refresh(nango_id(connection))
    world.gateway.end_backoff(nango_id(connection))
    await world.work_for(seconds=40)
    assert (await world.connection(connection.id)).status is ACTIVE


async def test_a_look_owed_during_a_look_is_had(world: WatchWorld) -> None:
    connection = await world.authorize()
    async with world.store.begin() as tx:
        await owe_a_look(tx, connection, SystemIds(), delay=timedelta(0))
    look, gate = await world.catch("call_provider", world.work())
    async with world.store.begin() as tx:
        await owe_a_look(tx, connection, SystemIds(), delay=timedelta(0))
    gate.set()
    await look
    assert [job.kind for job in world.owed()] == [JobKind.RECHECK]


@pytest.mark.parametrize("failed_before", [0, 4], ids=["the first try", "the last try"])
async def test_a_look_owed_during_one_that_fails_is_had_at_once(
    world: WatchWorld, failed_before: int
) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GatewayUnavailable(), ["has_grant"], times=failed_before + 1)
    async with world.store.begin() as tx:
        await owe_a_look(tx, connection, SystemIds(), delay=timedelta(0))
    for tries in range(failed_before):
        await world.work()
        await world.later(minutes=2**tries)
    look, gate = await world.catch("has_grant", world.work(), after=False)
    world.refuse(connection)
    async with world.store.begin() as tx:
        await owe_a_look(tx, connection, SystemIds(), delay=timedelta(0))
    gate.set()
    await look
    await world.work()
    assert (await world.connection(connection.id)).status is ERROR


async def test_what_expired_stays_expired_while_it_does_not_work(world: WatchWorld) -> None:
    connection = await world.expired()
    world.refuse(connection, "The token has expired")
    assert (await look_at(world, connection)).status is EXPIRED


async def test_what_expired_and_works_again_is_active(world: WatchWorld) -> None:
    connection = await world.expired()
    assert (await look_at(world, connection)).status is ACTIVE


async def test_what_nango_has_given_up_is_expired(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.gateway.refuse_refresh(nango_id(connection), "The refresh limit has been reached.", exhausted=True)
    assert (await look_at(world, connection)).status is EXPIRED


async def test_a_deleted_connection_is_not_looked_at(world: WatchWorld) -> None:
    connection = await world.authorize()
    async with world.store.begin() as tx:
        await owe_a_look(tx, connection, SystemIds(), delay=timedelta(0))
    await world.delete(connection.id)
    await world.work()
    assert (world.gateway.calls["has_grant"], world.owed()) == (0, [])


async def test_a_connection_that_is_being_authorized_again_is_not_looked_at(world: WatchWorld) -> None:
    connection = await world.in_error()
    await world.auth_url()
    calls = world.gateway.calls["has_grant"]
    await look_at(world, connection)
    assert world.gateway.calls["has_grant"] == calls


async def test_an_api_key_that_was_revoked_is_found(world: WatchWorld) -> None:
    connection = await world.connection((await world.by_key()).connection_id)
    world.refuse(connection)
    assert (await look_at(world, connection)).status is ERROR


async def test_what_the_worker_found_says_so(world: WatchWorld) -> None:
    connection = await world.authorize()
    world.refuse(connection)
    await look_at(world, connection)
    assert [event.actor for event in await world.events(connection.id)][-1] == "worker"
