"""Get, list, update and history: what a company sees, and that it sees nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from application.ports import ConnectionFilter
from domain.connection import ConnectionStatus
from domain.errors import ConnectionNotFound, InvalidInput
from tests.application.world import ACTOR, COMPANY, World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.ports import ConnectionSummary, Page
    from domain.connection import Connection


async def _list(
    world: World, *, limit: int = 50, cursor: str | None = None, company: str = COMPANY, **wanted: Any
) -> Page[ConnectionSummary]:
    return await world.use_cases.list_connections(
        company_id=company, wanted=ConnectionFilter(**wanted), limit=limit, cursor=cursor
    )


async def _update(
    world: World, connection_id: str, *, name: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Connection:
    return await world.use_cases.update_connection(
        company_id=COMPANY, connection_id=connection_id, name=name, metadata=metadata, actor=ACTOR
    )


async def _ten(world: World) -> list[str]:
    """Ten connections, the newest first."""
    ids = []
    for n in range(10):
        ids.append((await world.create("slack" if n % 2 else "stripe", name=f"Number {n}")).connection_id)
        await world.later(seconds=1)
    return ids[::-1]


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_list_is_newest_first(world: World) -> None:
    ids = await _ten(world)
    assert [each.id for each in (await _list(world)).items] == ids


async def test_a_cursor_walks_through_everything_once(world: World) -> None:
    ids = await _ten(world)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await _list(world, limit=3, cursor=cursor)
        seen += [each.id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids


async def test_a_list_that_just_fits_says_that_there_is_no_more(world: World) -> None:
    await _ten(world)
    assert (await _list(world, limit=10)).next_cursor is None
    assert (await _list(world, limit=9)).next_cursor is not None


async def test_what_begins_during_a_walk_does_not_disturb_it(world: World) -> None:
    ids = await _ten(world)
    first = await _list(world, limit=5)
    await world.create()
    second = await _list(world, limit=5, cursor=first.next_cursor)
    assert [each.id for each in second.items] == ids[5:]


async def test_a_foreign_cursor_is_refused_by_name(world: World) -> None:
    await _ten(world)
    with pytest.raises(InvalidInput, match="cursor"):
        await _list(world, cursor="nonsense")


async def test_a_list_can_be_filtered(world: World) -> None:
    active = await world.authorize("hubspot")
    await world.create("hubspot", name="Marketing EU")
    await world.create("stripe")
    assert len((await _list(world, provider="hubspot")).items) == 2
    assert [each.id for each in (await _list(world, status=ConnectionStatus.ACTIVE)).items] == [active.id]
    assert [each.name for each in (await _list(world, name="marketing")).items] == ["Marketing EU"]


async def test_a_list_can_be_filtered_by_account(world: World) -> None:
    connection = await world.authorize("stripe")
    await world.create("stripe")
    assert [each.id for each in (await _list(world, external_account_id="acct_1")).items] == [connection.id]


async def test_a_company_lists_its_own_connections_only(world: World) -> None:
    mine, theirs = await world.create(), await world.create(company="other")
    assert [each.id for each in (await _list(world)).items] == [mine.connection_id]
    assert [each.id for each in (await _list(world, company="other")).items] == [theirs.connection_id]


# ── one connection ────────────────────────────────────────────────────────────────────────────────────


async def test_another_companys_connection_and_none_at_all_look_the_same(world: World) -> None:
    theirs = await world.create(company="other")
    answers = []
    for connection_id in (theirs.connection_id, "conn_550e8400-e29b-41d4-a716-446655440000"):
        with pytest.raises(ConnectionNotFound) as raised:
            await world.connection(connection_id)
        answers.append(str(raised.value))
    assert answers == ["Connection not found"] * 2


async def test_a_connection_can_be_renamed_and_its_metadata_replaced(world: World) -> None:
    created = await world.create(metadata={"a": 1})
    await _update(world, created.connection_id, name="Renamed")
    await _update(world, created.connection_id, metadata={"b": 2})
    connection = await world.connection(created.connection_id)
    assert (connection.name, connection.metadata) == ("Renamed", {"b": 2})


async def test_an_update_that_changes_nothing_is_no_fact(world: World) -> None:
    created = await world.create(name="Same")
    await _update(world, created.connection_id, name="Same")
    assert await world.history(created.connection_id) == ["created"]


async def test_another_companys_connection_cannot_be_updated(world: World) -> None:
    theirs = await world.create(company="other", name="Theirs")
    with pytest.raises(ConnectionNotFound):
        await _update(world, theirs.connection_id, name="Mine")
    assert (await world.connection(theirs.connection_id, company="other")).name == "Theirs"


# ── history ───────────────────────────────────────────────────────────────────────────────────────────


async def test_history_tells_a_life_in_order(world: World) -> None:
    connection = await world.in_error()
    await world.deny((await world.auth_url()).url)
    await world.come_back((await world.auth_url()).url)
    await world.disconnect(connection.id)
    assert await world.history(connection.id) == [
        "created",
        "authorized",
        "account_identified",
        "found_unhealthy",
        "authorization_restarted",
        "authorization_failed",
        "authorization_restarted",
        "authorized",
        "disconnected",
    ]


async def test_history_replays_to_the_connection(world: World) -> None:
    connection = await world.in_error()
    await world.deny((await world.auth_url(name="Renamed")).url)
    await world.refresh(connection.id)
    now = await world.connection(connection.id)
    assert type(now).replay(await world.events(connection.id)) == now


async def test_a_reader_of_the_companys_history_comes_back_for_more(world: World) -> None:
    read = world.use_cases.list_events
    first = await world.create()
    page = await read(company_id=COMPANY, connection_id=None, limit=10, cursor=None)
    assert [event.connection_id for event in page.items] == [first.connection_id]
    assert not (await read(company_id=COMPANY, connection_id=None, limit=10, cursor=page.next_cursor)).items
    second = await world.create()
    more = await read(company_id=COMPANY, connection_id=None, limit=10, cursor=page.next_cursor)
    assert [event.connection_id for event in more.items] == [second.connection_id]


async def test_another_companys_history_is_not_found(world: World) -> None:
    theirs = await world.create(company="other")
    with pytest.raises(ConnectionNotFound):
        await world.events(theirs.connection_id)


# ── reauthorize ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_any_connection_that_is_not_active_can_be_authorized_again_by_its_id(
    world: World, condition: str
) -> None:
    connection = await getattr(world, condition)()
    started = await world.reauthorize(connection.id)
    assert (started.connection_id, started.is_new) == (connection.id, False)
    assert (await world.come_back(started.url)).outcome == "succeeded"


async def test_a_pending_connection_can_be_given_another_url(world: World) -> None:
    created = await world.create()
    started = await world.reauthorize(created.connection_id)
    assert (await world.come_back(started.url)).outcome == "succeeded"
