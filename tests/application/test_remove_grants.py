"""Delete and disconnect: gone here at once, and gone at Nango for good."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest

from adapters.system.ids import SystemIds
from application.owed import removal
from domain.connection import DISCONNECTED, ERROR
from domain.errors import (
    ConcurrentChange,
    ConnectionNotFound,
    GatewayNonsense,
    GatewayTimeout,
    GatewayUnavailable,
    IntegrationMissing,
)
from tests.application.world import COMPANY, World, nango_id

if TYPE_CHECKING:
    from domain.connection import Connection

VERBS = pytest.mark.parametrize("verb", ["delete", "disconnect"])


async def _nothing_is_owed(world: World) -> bool:
    await world.later(days=1)
    return not await world.store.take_due_jobs(limit=10, lease=timedelta(0))


# ── here ──────────────────────────────────────────────────────────────────────────────────────────────


async def _removed(world: World, connection: Connection, **named: str | None) -> None:
    """Have the worker do a removal that nothing here owes."""
    async with world.store.begin() as tx:
        await tx.jobs.add(removal(connection, SystemIds(), due_at=tx.now, **named))
    await world.work()


async def test_a_removal_that_names_the_grant_in_use_removes_nothing(world: World) -> None:
    connection = await world.authorize()
    await _removed(world, connection, integration=connection.integration, nango_id=connection.nango_id)
    assert world.grants() == {nango_id(connection)}


async def test_a_removal_that_finds_the_grant_as_it_was_authorized_owes_no_look(world: World) -> None:
    connection = await world.authorize()
    await _removed(world, connection)
    assert await _nothing_is_owed(world)


async def test_a_deleted_connection_is_not_found_and_not_listed(world: World) -> None:
    connection = await world.authorize()
    await world.delete(connection.id)
    with pytest.raises(ConnectionNotFound):
        await world.connection(connection.id)
    assert await world.connections() == []


async def test_deleting_twice_finds_nothing(world: World) -> None:
    connection = await world.authorize()
    await world.delete(connection.id)
    with pytest.raises(ConnectionNotFound):
        await world.delete(connection.id)


async def test_the_history_of_a_deleted_connection_stays_with_the_companys(world: World) -> None:
    connection = await world.authorize()
    await world.delete(connection.id)
    page = await world.use_cases.list_events(company_id=COMPANY, connection_id=None, limit=100, cursor=None)
    last = page.items[-1]
    assert (last.connection_id, last.type) == (connection.id, "deleted")


async def test_by_its_id_a_deleted_connection_has_no_history(world: World) -> None:
    connection = await world.authorize()
    await world.delete(connection.id)
    with pytest.raises(ConnectionNotFound):
        await world.events(connection.id)


async def test_a_disconnected_connection_stays_with_its_reason(world: World) -> None:
    connection = await world.authorize()
    gone = await world.disconnect(connection.id)
    assert (gone.status, gone.nango_id) == (DISCONNECTED, None)
    assert gone.error_message
    assert gone == await world.connection(connection.id)


async def test_a_disconnected_connection_keeps_what_is_known_of_its_account(world: World) -> None:
    connection = await world.authorize()
    assert (await world.disconnect(connection.id)).external_account_id == "acct_1"


async def test_disconnecting_twice_is_fine_and_one_fact(world: World) -> None:
    connection = await world.authorize()
    await world.disconnect(connection.id)
    await world.disconnect(connection.id)
    assert (await world.history(connection.id)).count("disconnected") == 1


async def test_a_disconnect_ends_what_a_denied_sibling_left_open(world: World) -> None:
    connection = await world.disconnected()
    denied, other = [await world.reauthorize(connection.id) for _ in range(2)]
    await world.deny(denied.url)
    await world.disconnect(connection.id)
    assert (await world.come_back(other.url)).error == "superseded"
    assert (await world.connection(connection.id)).status is DISCONNECTED


async def test_a_disconnect_ends_what_begins_to_connect_again(world: World) -> None:
    connection = await world.disconnected()
    starting, gate = await world.catch("start_flow", world.reauthorize(connection.id))
    await world.disconnect(connection.id)
    gate.set()
    with pytest.raises(ConcurrentChange):
        await starting
    assert (await world.connection(connection.id)).status is DISCONNECTED


async def test_disconnecting_what_is_disconnected_costs_nango_nothing(world: World) -> None:
    connection = await world.disconnected()
    before = world.gateway.calls.total()
    await world.disconnect(connection.id)
    assert world.gateway.calls.total() == before


async def test_a_pending_connection_can_be_disconnected(world: World) -> None:
    started = await world.auth_url()
    assert (await world.disconnect(started.connection_id)).status is DISCONNECTED


@VERBS
async def test_another_companys_connection_is_not_found(world: World, verb: str) -> None:
    theirs = await world.auth_url(company="other")
    with pytest.raises(ConnectionNotFound):
        await getattr(world, verb)(theirs.connection_id)


# ── at Nango ──────────────────────────────────────────────────────────────────────────────────────────


@VERBS
async def test_the_grant_is_gone_at_once(world: World, verb: str) -> None:
    connection = await world.authorize()
    await getattr(world, verb)(connection.id)
    assert world.grants() == set()
    assert await _nothing_is_owed(world)


@VERBS
async def test_a_grant_that_is_gone_already_is_fine(world: World, verb: str) -> None:
    connection = await world.authorize()
    world.gateway.forget(nango_id(connection))
    await getattr(world, verb)(connection.id)
    assert await _nothing_is_owed(world)


@VERBS
async def test_an_integration_that_nango_has_no_more_leaves_nothing_to_remove(
    world: World, verb: str
) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(IntegrationMissing("stripe-app"), ["delete"], times=None)
    await getattr(world, verb)(connection.id)
    assert await _nothing_is_owed(world)


@VERBS
async def test_other_connections_keep_their_grants(world: World, verb: str) -> None:
    connection, other = await world.authorize("stripe"), await world.authorize("hubspot")
    await getattr(world, verb)(connection.id)
    assert world.grants() == {other.nango_id}


@VERBS
@pytest.mark.parametrize("operation", ["find_grants", "delete"])
@pytest.mark.parametrize("trouble", [GatewayUnavailable(), GatewayTimeout(), GatewayNonsense()])
async def test_where_nango_does_not_answer_the_caller_is_done_and_the_worker_finishes(
    world: World, verb: str, operation: str, trouble: GatewayUnavailable
) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(trouble, [operation], times=2)
    await getattr(world, verb)(connection.id)
    assert world.grants() == {connection.nango_id}
    await world.work_for(minutes=2)
    assert world.grants() == set()
    assert await _nothing_is_owed(world)


@VERBS
async def test_where_nango_hangs_the_caller_waits_less_than_five_seconds(world: World, verb: str) -> None:
    connection = await world.authorize()
    hanging = world.gateway.hold("find_grants")
    before = world.now()
    await getattr(world, verb)(connection.id)
    assert world.now() - before < timedelta(seconds=5)
    hanging.set()
    await world.work_for(seconds=40)
    assert world.grants() == set()


async def test_the_worker_tries_ever_more_rarely_but_for_as_long_as_it_takes(world: World) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GatewayUnavailable(), times=None)
    await world.delete(connection.id)
    asked = world.gateway.calls["find_grants"]
    await world.work_for(minutes=10)
    first = world.gateway.calls["find_grants"] - asked
    await world.work_for(minutes=10)
    second = world.gateway.calls["find_grants"] - asked - first
    assert 1 <= second < first < 10
    await world.later(days=3)
    world.gateway.heal()
    await world.work()
    assert world.grants() == set()


async def test_a_process_that_dies_after_hiding_the_connection_leaves_the_rest_to_the_worker(
    world: World,
) -> None:
    connection = await world.authorize()
    dying = world.another_process(World().gateway)
    dying.gateway.hold("find_grants")
    await dying.delete(connection.id)
    assert world.grants() == {connection.nango_id}
    await world.work_for(seconds=40)
    assert world.grants() == set()


# ── what is not removed ───────────────────────────────────────────────────────────────────────────────


@VERBS
async def test_a_grant_of_another_deployment_is_never_removed(world: World, verb: str) -> None:
    # After a restored backup, the same connection ids live in two databases over one Nango.
    connection = await world.authorize()
    grant = world.gateway.grant(nango_id(connection))
    theirs = attrs.evolve(grant, nango_id="theirs", tags={**grant.tags, "deployment": "another"})
    world.gateway.stored[theirs.integration, "theirs"] = theirs
    await getattr(world, verb)(connection.id)
    await world.work_for(minutes=5)
    assert world.grants() == {"theirs"}


@VERBS
async def test_a_grant_without_our_tags_is_never_removed(world: World, verb: str) -> None:
    connection = await world.authorize()
    grant = world.gateway.grant(nango_id(connection))
    world.gateway.stored[grant.integration, "guest"] = attrs.evolve(grant, nango_id="guest", tags={})
    await getattr(world, verb)(connection.id)
    await world.work_for(minutes=5)
    assert world.grants() == {"guest"}


@VERBS
async def test_a_connections_own_grant_goes_even_where_its_tags_were_lost(world: World, verb: str) -> None:
    connection = await world.authorize()
    world.gateway.change(nango_id(connection), tags={})
    await getattr(world, verb)(connection.id)
    assert world.grants() == set()


@VERBS
async def test_a_copy_of_the_database_leaves_the_originals_grant(world: World, verb: str) -> None:
    connection = await world.authorize()
    tags = world.gateway.grant(nango_id(connection)).tags
    world.gateway.change(nango_id(connection), tags={**tags, "deployment": "the original"})
    await getattr(world, verb)(connection.id)
    await world.work_for(minutes=5)
    assert world.grants() == {connection.nango_id}


async def test_a_late_removal_leaves_what_was_authorized_since(world: World) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GatewayUnavailable(), ["find_grants"])
    await world.disconnect(connection.id)
    await world.come_back((await world.auth_url()).url)
    again = await world.connection(connection.id)
    assert world.grants() == {connection.nango_id, again.nango_id}
    await world.work_for(minutes=2)
    assert world.grants() == {again.nango_id}


async def test_a_late_removal_leaves_an_authorization_that_is_under_way(world: World) -> None:
    connection = await world.authorize()
    world.gateway.fail_with(GatewayUnavailable(), ["find_grants"])
    await world.disconnect(connection.id)
    started = await world.auth_url()
    await world.later(seconds=25)
    call, gate = await world.catch("relay_callback", world.come_back(started.url))
    await world.later(seconds=5)
    await world.work()
    assert connection.nango_id not in world.grants()
    gate.set()
    assert (await call).outcome == "succeeded"
    assert world.grants() == {(await world.connection(connection.id)).nango_id}


async def test_deleting_a_failed_reauthorization_removes_the_old_grant(world: World) -> None:
    connection = await world.in_error()
    await world.deny((await world.auth_url()).url)
    assert (await world.connection(connection.id)).status is ERROR
    await world.delete(connection.id)
    assert world.grants() == set()


async def test_a_session_finished_twice_leaves_one_grant_after_its_hour(world: World) -> None:
    created = await world.create()
    session = await world.open_session(created.connection_id)
    await world.finish_session(session)
    await world.report(created.connection_id)
    await world.work_for(minutes=10)
    await world.finish_session(session)
    assert len(world.gateway.stored) == 2
    await world.work_for(minutes=61)
    kept = (await world.connection(created.connection_id)).nango_id
    assert [
        grant.nango_id for grant in await world.gateway.find_grants({"connection": created.connection_id})
    ] == [kept]


async def test_what_a_session_left_is_removed_even_after_nango_was_away_for_days(world: World) -> None:
    created = await world.create()
    session = await world.open_session(created.connection_id)
    await world.finish_session(session)
    await world.report(created.connection_id)
    await world.finish_session(session)
    world.gateway.fail_with(GatewayUnavailable(), times=None)
    await world.later(days=3)
    await world.store.forget_old()
    world.gateway.heal()
    await world.work_for(minutes=1)
    assert world.grants() == {(await world.connection(created.connection_id)).nango_id}
