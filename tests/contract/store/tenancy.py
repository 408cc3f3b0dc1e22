"""Each method that takes a company, asked by the wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from application.ports import ConnectionFilter, IdempotencyRecord
from domain.errors import ConcurrentChange, ConnectionNotFound
from tests.contract.store.base import ACME, RIVAL, StoreRules, authorized, born, stepped, tried

if TYPE_CHECKING:
    from application.ports import Store


class TenancyRules(StoreRules):
    async def test_another_company_does_not_find_a_connection(self, store: Store) -> None:
        connection = await born(store)

        with pytest.raises(ConnectionNotFound):
            await store.find(RIVAL, connection.id)

    async def test_another_company_is_not_shown_a_connection(self, store: Store) -> None:
        connection = await born(store)

        with pytest.raises(ConnectionNotFound):
            await store.show(RIVAL, connection.id)

    @pytest.mark.parametrize("lock", [False, True])
    @pytest.mark.parametrize("deleted", [False, True])
    async def test_another_company_does_not_get_a_connection_in_a_transaction(
        self, store: Store, lock: bool, deleted: bool
    ) -> None:
        connection = await born(store)
        async with store.begin() as tx:
            with pytest.raises(ConnectionNotFound):
                await tx.connections.get(RIVAL, connection.id, lock=lock, deleted=deleted)

    async def test_another_company_does_not_change_a_connection(self, store: Store) -> None:
        connection = await born(store)
        posing = attrs.evolve(connection, company_id=RIVAL)
        with pytest.raises(ConcurrentChange):
            async with store.begin() as tx:
                await tx.connections.save(posing.disconnect(reason="x", at=tx.now, by="tests"))

        assert await store.find(ACME, connection.id) == connection

    async def test_auth_url_does_not_address_another_companys_connection(self, store: Store) -> None:
        await authorized(store)

        async with store.begin() as tx:
            assert await tx.connections.find_for_auth_url(RIVAL, "stripe") is None

    async def test_a_list_has_no_other_companys_connections(self, store: Store) -> None:
        await born(store)

        assert not (await store.list(RIVAL, ConnectionFilter(), limit=10, cursor=None)).items

    async def test_another_company_does_not_read_a_connections_history(self, store: Store) -> None:
        connection = await born(store)

        with pytest.raises(ConnectionNotFound):
            await store.events(RIVAL, connection.id, limit=10, cursor=None)

    async def test_a_feed_has_no_other_companys_events(self, store: Store) -> None:
        await born(store)

        assert not (await store.events(RIVAL, None, limit=10, cursor=None)).items

    async def test_a_feed_has_no_other_companys_events_behind_a_cursor(self, store: Store) -> None:
        ours = await born(store)
        cursor = (await store.events(ACME, None, limit=10, cursor=None)).next_cursor
        await born(store, company_id=RIVAL)
        again = await stepped(store, ours, "update", name="Other", metadata=None)

        page = await store.events(ACME, None, limit=10, cursor=cursor)

        assert [(event.connection_id, event.version) for event in page.items] == [(ours.id, again.version)]

    async def test_another_company_does_not_see_a_connections_attempts(self, store: Store) -> None:
        connection = await born(store)
        await tried(store, connection)

        async with store.begin() as tx:
            assert not await tx.attempts.of(RIVAL, connection.id)

    async def test_another_companys_attempts_are_not_counted(self, store: Store) -> None:
        connection = await born(store)
        await tried(store, connection)

        async with store.begin() as tx:
            assert await tx.attempts.count_open(RIVAL, connection.id) == (0, 0)

    async def test_another_company_does_not_rewrite_an_attempt(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        async with store.begin() as tx:
            assert not await tx.attempts.update(attrs.evolve(attempt, company_id=RIVAL, nango_id="theirs"))

        async with store.begin() as tx:
            assert await tx.attempts.get(attempt.id) == attempt

    async def test_another_company_does_not_note_a_look_at_an_attempt(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        theirs = attrs.evolve(attempt, company_id=RIVAL)
        async with store.begin() as tx:
            assert not await tx.attempts.checked(theirs, check_at=tx.now)

        async with store.begin() as tx:
            assert await tx.attempts.get(attempt.id) == attempt

    async def test_two_companies_may_use_the_same_idempotency_key(self, store: Store) -> None:
        ours, theirs = await born(store), await born(store, company_id=RIVAL)
        async with store.begin() as tx:
            for company_id, connection in ((ACME, ours), (RIVAL, theirs)):
                record = IdempotencyRecord(
                    key_hash=b"key", fingerprint=b"f", connection_id=connection.id, salt=b"s"
                )
                assert await tx.idempotency.put(company_id, record) is None

    async def test_the_same_idempotency_key_has_a_record_of_each_company(self, store: Store) -> None:
        records = {}
        for company_id in (RIVAL, ACME):
            connection = await born(store, company_id=company_id)
            records[company_id] = IdempotencyRecord(
                key_hash=b"key", fingerprint=b"f", connection_id=connection.id, salt=b"s"
            )
            async with store.begin() as tx:
                await tx.idempotency.put(company_id, records[company_id])

        async with store.begin() as tx:
            for company_id, record in records.items():
                assert await tx.idempotency.put(company_id, record) == record

    async def test_another_company_does_not_touch_an_idempotency_record(self, store: Store) -> None:
        connection = await born(store)
        record = IdempotencyRecord(key_hash=b"key", fingerprint=b"f", connection_id=connection.id, salt=b"s")
        async with store.begin() as tx:
            await tx.idempotency.put(ACME, record)
            await tx.idempotency.complete(RIVAL, b"key", salt=b"s", authorization_url="https://a")
            assert not await tx.idempotency.resume(RIVAL, record, salt=b"x")
            await tx.idempotency.forget(RIVAL, b"key")

        async with store.begin() as tx:
            assert await tx.idempotency.put(ACME, record) == record
