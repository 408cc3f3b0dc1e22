"""The history of a connection, and a company's feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from application.ports import ConnectionFilter
from domain.connection import Connection
from domain.errors import ConnectionNotFound, InvalidInput
from tests.contract.store.base import ACME, RIVAL, StoreRules, authorized, born, stepped
from tests.contract.store.walks import take, walks

if TYPE_CHECKING:
    from application.ports import Store
    from tests.contract.store.walks import Walk


async def _feed(store: Store, company_id: str = ACME, *, limit: int = 100) -> list[tuple[str, int]]:
    """Follow the feed to its end; give the connection and version of each event."""
    seen: list[tuple[str, int]] = []
    cursor = None
    while (page := await store.events(company_id, None, limit=limit, cursor=cursor)).items:
        seen += [(event.connection_id, event.version) for event in page.items]
        cursor = page.next_cursor
    return seen


class HistoryRules(StoreRules):
    @given(walk=walks())
    # Each example begins a connection of its own, and each subclass is a test of its own.
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    async def test_a_history_replays_to_the_row(self, store: Store, walk: Walk) -> None:
        connection = await take(store, walk)

        history = await store.events(ACME, connection.id, limit=100, cursor=None)
        assert Connection.replay(history.items) == connection
        async with store.begin() as tx:
            assert await tx.connections.get(ACME, connection.id, deleted=True) == connection

    async def test_a_history_is_told_oldest_first_and_in_pages(self, store: Store) -> None:
        connection = await authorized(store)
        connection = await stepped(store, connection, "expire", reason="The refresh token is too old")

        first = await store.events(ACME, connection.id, limit=2, cursor=None)
        second = await store.events(ACME, connection.id, limit=2, cursor=first.next_cursor)

        assert [event.version for event in (*first.items, *second.items)] == [1, 2, 3]

    async def test_an_event_says_who_did_what_and_why(self, store: Store) -> None:
        connection = await authorized(store)
        await stepped(store, connection, "expire", reason="The refresh token is too old")

        event = (await store.events(ACME, connection.id, limit=10, cursor=None)).items[-1]

        assert (event.actor, event.type, event.reason) == (
            "tests",
            "expired",
            "The refresh token is too old",
        )

    async def test_a_deleted_connection_keeps_its_history(self, store: Store) -> None:
        gone = await stepped(store, await born(store), "delete")

        history = await store.events(ACME, gone.id, limit=10, cursor=None)

        assert [event.type for event in history.items] == ["created", "deleted"]

    async def test_an_unknown_connection_has_no_history(self, store: Store) -> None:
        with pytest.raises(ConnectionNotFound):
            await store.events(ACME, "conn_unknown", limit=10, cursor=None)

    async def test_past_the_end_of_a_history_there_is_an_empty_page(self, store: Store) -> None:
        connection = await born(store)
        page = await store.events(ACME, connection.id, limit=10, cursor=None)

        assert not (await store.events(ACME, connection.id, limit=10, cursor=page.next_cursor)).items

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_the_feed_tells_everything_in_the_order_it_happened(self, store: Store, limit: int) -> None:
        first = await born(store)
        second = await authorized(store)
        await stepped(store, first, "disconnect", reason="x")

        told = await _feed(store, limit=limit)

        assert told == [(first.id, 1), (second.id, 1), (second.id, 2), (first.id, 2)]

    @pytest.mark.parametrize(("limit", "more"), [(1, True), (2, False), (3, False)])
    async def test_a_history_says_whether_there_is_more(
        self, store: Store, limit: int, *, more: bool
    ) -> None:
        connection = await authorized(store)

        page = await store.events(ACME, connection.id, limit=limit, cursor=None)

        assert page.has_more is more

    @pytest.mark.parametrize("begun", [True, False], ids=["after a cursor", "from the start"])
    @pytest.mark.parametrize(("left", "more"), [(2, True), (1, False), (0, False)])
    async def test_the_feed_says_whether_there_is_more(
        self, store: Store, left: int, *, more: bool, begun: bool
    ) -> None:
        await born(store)
        cursor = (await store.events(ACME, None, limit=1, cursor=None)).next_cursor if begun else None
        for _ in range(left if begun else left - 1):
            await born(store)

        page = await store.events(ACME, None, limit=1, cursor=cursor)

        assert page.has_more is more

    async def test_a_reader_of_the_feed_can_come_back_for_more(self, store: Store) -> None:
        await born(store)
        page = await store.events(ACME, None, limit=10, cursor=None)
        later = await born(store)

        page = await store.events(ACME, None, limit=10, cursor=page.next_cursor)

        assert [event.connection_id for event in page.items] == [later.id]

    async def test_the_feed_of_a_company_without_connections_is_empty(self, store: Store) -> None:
        await born(store, company_id=RIVAL)

        page = await store.events(ACME, None, limit=10, cursor=None)

        assert (list(page.items), page.next_cursor) == ([], None)

    @pytest.mark.parametrize("cursor", ["", "x", "é", "\0", "MQ", "a" * 5000, "MS5jb25uX3Vua25vd24"])
    async def test_a_feed_refuses_a_cursor_that_is_not_ours(self, store: Store, cursor: str) -> None:
        await born(store)
        with pytest.raises(InvalidInput):
            await store.events(ACME, None, limit=10, cursor=cursor)

    @pytest.mark.parametrize("of_one", [True, False])
    async def test_a_cursor_of_the_connections_is_refused(self, store: Store, of_one: bool) -> None:
        await born(store)
        connection = await born(store)
        listed = await store.list(ACME, ConnectionFilter(), limit=1, cursor=None)
        assert listed.next_cursor is not None

        with pytest.raises(InvalidInput):
            await store.events(ACME, connection.id if of_one else None, limit=1, cursor=listed.next_cursor)

    async def test_a_cursor_of_another_connection_is_refused(self, store: Store) -> None:
        first, second = await born(store), await born(store)
        cursor = (await store.events(ACME, first.id, limit=1, cursor=None)).next_cursor

        with pytest.raises(InvalidInput):
            await store.events(ACME, second.id, limit=1, cursor=cursor)

    async def test_a_cursor_of_another_company_is_refused(self, store: Store) -> None:
        await born(store, company_id=RIVAL)
        await born(store)
        cursor = (await store.events(RIVAL, None, limit=1, cursor=None)).next_cursor

        with pytest.raises(InvalidInput):
            await store.events(ACME, None, limit=1, cursor=cursor)
