"""Connections: births, steps, races."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest

from application.ports import ConnectionDetails
from domain.connection import ACTIVE, ERROR, PENDING, AuthKind, Origin
from domain.errors import ConcurrentChange, ConnectionNotFound
from tests.contract.store.base import (
    ACME,
    RIVAL,
    StoreRules,
    a_birth,
    an_attempt,
    authorized,
    born,
    stepped,
    together,
    undone,
)

if TYPE_CHECKING:
    from application.ports import Store
    from tests.contract.store.base import Age


class ConnectionRules(StoreRules):
    async def test_a_birth_is_found_as_it_was_written(self, store: Store) -> None:
        connection = await born(store, metadata={"a": [1, 1.5, None, {"b": "ö"}]}, parameters={"x": "y"})

        assert await store.find(ACME, connection.id) == connection

    async def test_what_a_connection_shows_is_as_it_was_written(self, store: Store) -> None:
        connection = await authorized(store, metadata={"a": [1, 1.5, None, {"b": "ö"}]})

        assert await store.show(ACME, connection.id) == ConnectionDetails.of(connection)

    async def test_an_unknown_connection_is_not_found(self, store: Store) -> None:
        with pytest.raises(ConnectionNotFound):
            await store.find(ACME, "conn_unknown")

    @pytest.mark.parametrize("strange", ["", "conn_\0", "conn_\ud800", "conn_é", "%", "x" * 10_000])
    async def test_a_strange_id_is_not_found(self, store: Store, strange: str) -> None:
        with pytest.raises(ConnectionNotFound):
            await store.find(ACME, strange)

    @pytest.mark.parametrize("strange", ["conn_unknown", "conn_\0", "conn_\ud800", "conn_é"])
    async def test_of_a_strange_id_nothing_is_shown(self, store: Store, strange: str) -> None:
        with pytest.raises(ConnectionNotFound):
            await store.show(ACME, strange)

    async def test_the_time_of_a_transaction_has_milliseconds_and_utc(self, store: Store) -> None:
        async with store.begin() as tx:
            assert tx.now.microsecond % 1000 == 0
            assert tx.now.tzinfo == UTC

    async def test_the_time_is_that_of_transactions(self, store: Store) -> None:
        async with store.begin() as tx:
            before = tx.now
        now = await store.now()

        assert now >= before
        assert (now.microsecond % 1000, now.tzinfo) == (0, UTC)

    async def test_a_step_is_seen_by_the_next_read(self, store: Store) -> None:
        active = await authorized(store)

        assert await store.find(ACME, active.id) == active
        assert await store.show(ACME, active.id) == ConnectionDetails.of(active)

    async def test_an_open_transaction_is_not_seen_by_others(self, store: Store) -> None:
        async with store.begin() as tx:
            change = a_birth(tx.now)
            await tx.connections.save(change)
            with pytest.raises(ConnectionNotFound):
                await store.find(ACME, change.after.id)

    async def test_a_block_that_fails_leaves_the_connection_as_it_was(self, store: Store) -> None:
        connection = await born(store)
        async with undone(store) as tx:
            await tx.connections.save(connection.disconnect(reason="x", at=tx.now, by="tests"))

        assert await store.find(ACME, connection.id) == connection

    async def test_a_block_that_fails_leaves_no_event(self, store: Store) -> None:
        connection = await born(store)
        async with undone(store) as tx:
            await tx.connections.save(connection.disconnect(reason="x", at=tx.now, by="tests"))

        history = await store.events(ACME, connection.id, limit=10, cursor=None)
        assert [event.version for event in history.items] == [1]

    async def test_a_step_from_an_older_version_is_refused(self, store: Store) -> None:
        old = await born(store)
        await stepped(store, old, "update", name="New name", metadata=None)

        with pytest.raises(ConcurrentChange):
            await stepped(store, old, "disconnect", reason="x")

    async def test_a_step_from_another_status_is_refused(self, store: Store) -> None:
        connection = await born(store)
        mistaken = attrs.evolve(connection, status=ERROR, error_message="Never happened")

        with pytest.raises(ConcurrentChange):
            await stepped(store, mistaken, "update", name="New name", metadata=None)

    async def test_a_step_of_a_connection_that_was_never_born_is_refused(self, store: Store) -> None:
        async with undone(store) as tx:
            unborn = a_birth(tx.now).after

        with pytest.raises(ConcurrentChange):
            await stepped(store, unborn, "disconnect", reason="x")

    async def test_of_twenty_parallel_writers_one_wins(self, store: Store) -> None:
        connection = await born(store)

        results = await together(
            20, lambda n: stepped(store, connection, "update", name=f"Name {n}", metadata=None)
        )

        winners = [result for result in results if not isinstance(result, Exception)]
        losers = [result for result in results if isinstance(result, ConcurrentChange)]
        assert (len(winners), len(losers)) == (1, 19)
        assert await store.find(ACME, connection.id) == winners[0]

    async def test_writers_who_lock_first_all_win(self, store: Store) -> None:
        connection = await born(store)

        async def rename(number: int) -> None:
            async with store.begin() as tx:
                there = await tx.connections.get(ACME, connection.id, lock=True)
                change = there.update(name=f"Name {number}", metadata=None, at=tx.now, by="tests")
                assert change is not None
                await tx.connections.save(change)

        assert list(await together(20, rename)) == [None] * 20
        assert (await store.find(ACME, connection.id)).version == 21

    async def test_of_fifty_parallel_births_from_auth_url_one_is_stored(self, store: Store) -> None:
        async def begin(_: int) -> bool:
            async with store.begin() as tx:
                return await tx.connections.save(a_birth(tx.now, origin=Origin.AUTH_URL))

        assert sorted(await together(50, begin)) == [False] * 49 + [True]

    async def test_after_a_birth_that_met_another_the_transaction_goes_on(self, store: Store) -> None:
        first = await born(store, origin=Origin.AUTH_URL)
        async with store.begin() as tx:
            assert not await tx.connections.save(a_birth(tx.now, origin=Origin.AUTH_URL))
            await tx.attempts.add(an_attempt(first, tx.now))

        async with store.begin() as tx:
            assert len(await tx.attempts.of(ACME, first.id)) == 1

    async def test_writers_who_address_it_first_all_win(self, store: Store) -> None:
        connection = await born(store)

        async def rename(number: int) -> None:
            async with store.begin() as tx:
                there = await tx.connections.find_for_auth_url(ACME, "stripe")
                assert there is not None
                change = there.update(name=f"Name {number}", metadata=None, at=tx.now, by="tests")
                assert change is not None
                await tx.connections.save(change)

        assert list(await together(20, rename)) == [None] * 20
        assert (await store.find(ACME, connection.id)).version == 21

    @pytest.mark.parametrize(
        "other", [{"company_id": RIVAL}, {"provider": "slack"}, {"origin": Origin.CREATE}]
    )
    async def test_a_pending_one_elsewhere_does_not_stop_a_birth(
        self, store: Store, other: dict[str, object]
    ) -> None:
        await born(store, **{"origin": Origin.AUTH_URL, **other})

        await born(store, origin=Origin.AUTH_URL)

    async def test_a_restart_that_meets_another_pending_one_is_refused(self, store: Store) -> None:
        failed = await born(store, origin=Origin.AUTH_URL)
        failed = await stepped(store, failed, "fail_authorization", error="access_denied")
        await born(store, origin=Origin.AUTH_URL)

        with pytest.raises(ConcurrentChange):
            await stepped(store, failed, "restart_authorization", parameters={}, integration="stripe")

    async def test_a_grant_serves_one_connection_only(self, store: Store) -> None:
        first = await authorized(store)
        second = await born(store)

        with pytest.raises(ConcurrentChange):
            await stepped(store, second, "authorize", nango_id=first.nango_id, integration="stripe")

    async def test_the_grant_of_a_deleted_connection_is_free(self, store: Store) -> None:
        first = await authorized(store)
        await stepped(store, first, "delete")
        second = await born(store)

        active = await stepped(store, second, "authorize", nango_id=first.nango_id, integration="stripe")

        assert active.status is ACTIVE

    async def test_an_id_is_born_once(self, store: Store) -> None:
        connection = await born(store)

        with pytest.raises(ConcurrentChange):
            await born(store, id=connection.id, company_id=RIVAL)

    async def test_a_deleted_connection_is_not_found(self, store: Store) -> None:
        connection = await born(store)
        await stepped(store, connection, "delete")

        with pytest.raises(ConnectionNotFound):
            await store.find(ACME, connection.id)
        with pytest.raises(ConnectionNotFound):
            await store.show(ACME, connection.id)

    async def test_a_transaction_gets_a_deleted_connection_only_where_it_asks_for_it(
        self, store: Store
    ) -> None:
        gone = await stepped(store, await born(store), "delete")
        async with store.begin() as tx:
            assert await tx.connections.get(ACME, gone.id, deleted=True) == gone
            with pytest.raises(ConnectionNotFound):
                await tx.connections.get(ACME, gone.id)

    async def test_a_deleted_connection_is_never_changed_again(self, store: Store) -> None:
        gone = await stepped(store, await born(store), "delete")

        with pytest.raises(ConcurrentChange):
            await stepped(store, gone, "update", name="Lazarus", metadata=None)

    async def test_a_connection_names_its_company_until_it_is_deleted(self, store: Store) -> None:
        connection = await born(store)
        assert await store.company_of(connection.id) == ACME

        await stepped(store, connection, "delete")

        assert await store.company_of(connection.id) is None


class AuthUrlRules(StoreRules):
    async def test_auth_url_addresses_nothing_where_there_is_nothing(self, store: Store) -> None:
        async with store.begin() as tx:
            assert await tx.connections.find_for_auth_url(ACME, "stripe") is None

    async def test_an_active_connection_comes_before_a_pending_one(self, store: Store) -> None:
        active = await authorized(store)
        await born(store)

        async with store.begin() as tx:
            assert await tx.connections.find_for_auth_url(ACME, "stripe") == active

    async def test_a_pending_connection_comes_before_a_failed_one(self, store: Store, age: Age) -> None:
        pending = await born(store)
        await age(timedelta(minutes=1))
        await stepped(store, await born(store), "fail_authorization", error="access_denied")

        async with store.begin() as tx:
            found = await tx.connections.find_for_auth_url(ACME, "stripe")
        assert found is not None
        assert (found.id, found.status) == (pending.id, PENDING)

    async def test_of_the_rest_the_most_recently_updated_comes_first(self, store: Store, age: Age) -> None:
        first, second = await born(store), await born(store)
        await stepped(store, second, "fail_authorization", error="access_denied")
        await age(timedelta(minutes=1))
        async with store.begin() as tx:
            first = await tx.connections.get(ACME, first.id)
        updated = await stepped(store, first, "disconnect", reason="x")

        async with store.begin() as tx:
            assert await tx.connections.find_for_auth_url(ACME, "stripe") == updated

    @pytest.mark.parametrize(
        "other", [{"company_id": RIVAL}, {"provider": "slack"}, {"auth_kind": AuthKind.API_KEY}]
    )
    async def test_auth_url_addresses_none_of_another_company_provider_or_kind(
        self, store: Store, other: dict[str, object]
    ) -> None:
        await born(store, **other)

        async with store.begin() as tx:
            assert await tx.connections.find_for_auth_url(ACME, "stripe") is None

    async def test_deleted_ones_are_not_addressed(self, store: Store) -> None:
        await stepped(store, await born(store), "delete")

        async with store.begin() as tx:
            assert await tx.connections.find_for_auth_url(ACME, "stripe") is None
