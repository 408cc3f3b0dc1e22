"""Lists of connections: order, pages, filters."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from application.ports import ConnectionFilter, ConnectionSummary
from domain.connection import ACTIVE, AuthKind
from domain.errors import InvalidInput
from tests.contract.store.base import ACME, RIVAL, StoreRules, a_birth, authorized, born, stepped

if TYPE_CHECKING:
    from application.ports import Store
    from domain.connection import Connection
    from tests.contract.store.base import Age

ALL = ConnectionFilter()


async def _walk(store: Store, wanted: ConnectionFilter, *, limit: int) -> list[str]:
    ids: list[str] = []
    cursor = None
    while True:
        page = await store.list(ACME, wanted, limit=limit, cursor=cursor)
        ids += [connection.id for connection in page.items]
        if page.next_cursor is None:
            return ids
        assert len(page.items) == limit
        cursor = page.next_cursor


async def _ids(store: Store, wanted: ConnectionFilter) -> list[str]:
    page = await store.list(ACME, wanted, limit=100, cursor=None)
    return [connection.id for connection in page.items]


class ListRules(StoreRules):
    async def test_a_company_without_connections_has_an_empty_list(self, store: Store) -> None:
        page = await store.list(ACME, ALL, limit=50, cursor=None)

        assert (list(page.items), page.next_cursor) == ([], None)

    async def test_the_newest_comes_first(self, store: Store, age: Age) -> None:
        older = await born(store)
        await age(timedelta(minutes=1))
        newer = await born(store)

        assert await _ids(store, ALL) == [newer.id, older.id]

    async def test_an_item_shows_its_connection(self, store: Store) -> None:
        connection = await authorized(store, metadata={"a": 1})

        page = await store.list(ACME, ALL, limit=1, cursor=None)

        assert list(page.items) == [ConnectionSummary.of(connection)]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    async def test_pages_miss_and_repeat_nothing_where_many_were_born_at_once(
        self, store: Store, limit: int
    ) -> None:
        async with store.begin() as tx:
            births = [a_birth(tx.now) for _ in range(7)]
            for birth in births:
                await tx.connections.save(birth)

        assert await _walk(store, ALL, limit=limit) == [birth.after.id for birth in reversed(births)]

    async def test_a_page_goes_on_where_it_ended_although_a_newer_one_was_born(
        self, store: Store, age: Age
    ) -> None:
        last, middle, _ = await born(store), await born(store), await born(store)
        first = await store.list(ACME, ALL, limit=1, cursor=None)
        await born(store)

        second = await store.list(ACME, ALL, limit=5, cursor=first.next_cursor)

        assert [connection.id for connection in second.items] == [middle.id, last.id]

    async def test_deleted_ones_are_not_listed(self, store: Store) -> None:
        await stepped(store, await born(store), "delete")

        assert await _ids(store, ALL) == []

    async def test_imports_that_are_not_finished_are_not_listed(self, store: Store) -> None:
        await born(store, auth_kind=AuthKind.API_KEY)
        finished = await authorized(store, auth_kind=AuthKind.API_KEY)

        assert await _ids(store, ALL) == [finished.id]

    async def test_a_list_by_provider_has_only_its_connections(self, store: Store) -> None:
        slack = await born(store, provider="slack")
        await born(store)

        assert await _ids(store, ConnectionFilter(provider="slack")) == [slack.id]

    async def test_a_list_by_status_has_only_connections_in_it(self, store: Store) -> None:
        await born(store)
        active = await authorized(store)

        assert await _ids(store, ConnectionFilter(status=ACTIVE)) == [active.id]

    async def test_a_list_by_account_has_only_its_connections(self, store: Store) -> None:
        await authorized(store)
        active = await _identified(store, "acct_1")

        assert await _ids(store, ConnectionFilter(external_account_id="acct_1")) == [active.id]

    async def test_a_list_by_part_of_the_name_ignores_case(self, store: Store) -> None:
        await born(store, name="HubSpot")
        wanted = await born(store, name="Stripe Production")

        assert await _ids(store, ConnectionFilter(name="prod")) == [wanted.id]

    @pytest.mark.parametrize("special", ["%", "_", "\\", "50%_\\"])
    async def test_nothing_in_a_name_is_a_wildcard(self, store: Store, special: str) -> None:
        await born(store, name="plain 50 name")
        wanted = await born(store, name=f"with {special} inside")

        assert await _ids(store, ConnectionFilter(name=special)) == [wanted.id]

    async def test_filters_narrow_each_other(self, store: Store) -> None:
        await authorized(store)
        await born(store, provider="slack", name="Team")
        wanted = await authorized(store, provider="slack", name="Team chat")

        both = ConnectionFilter(provider="slack", status=ACTIVE, name="team")
        assert await _ids(store, both) == [wanted.id]

    async def test_pages_of_a_filtered_list(self, store: Store) -> None:
        wanted = [await born(store, provider="slack") for _ in range(5)]
        await born(store)

        ids = await _walk(store, ConnectionFilter(provider="slack"), limit=2)

        assert ids == [connection.id for connection in reversed(wanted)]

    @pytest.mark.parametrize(
        "cursor",
        [
            "",
            "x",
            "é",
            "\0",
            "MQ",
            "====",
            "a" * 5000,
            base64.b64encode(b"99999999999999999.conn_1").decode(),
        ],
    )
    async def test_a_list_refuses_a_cursor_that_is_not_ours(self, store: Store, cursor: str) -> None:
        await born(store)
        with pytest.raises(InvalidInput) as refused:
            await store.list(ACME, ALL, limit=1, cursor=cursor)

        assert [field for field, _ in refused.value.details] == ["cursor"]

    @pytest.mark.parametrize("of_one", [True, False])
    async def test_a_history_s_cursor_is_refused(self, store: Store, of_one: bool) -> None:
        connection = await authorized(store)
        of = connection.id if of_one else None
        history = await store.events(ACME, of, limit=1, cursor=None)

        with pytest.raises(InvalidInput):
            await store.list(ACME, ALL, limit=1, cursor=history.next_cursor)

    async def test_a_cursor_survives_a_url(self, store: Store) -> None:
        await born(store)
        await born(store)

        cursor = (await store.list(ACME, ALL, limit=1, cursor=None)).next_cursor

        assert cursor is not None
        assert cursor.replace("-", "").replace("_", "").isalnum()

    async def test_another_companys_connections_are_not_listed(self, store: Store) -> None:
        await born(store, company_id=RIVAL)

        assert await _ids(store, ALL) == []


async def _identified(store: Store, account: str) -> Connection:
    active = await authorized(store)
    async with store.begin() as tx:
        change = active.identify(account, None, at=tx.now, by="tests")
        assert change is not None
        await tx.connections.save(change)
    return change.after
