"""Refreshes and verifications under way: one of a kind for each connection."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from application.ports import Flight, FlightKind
from domain.errors import ConnectionNotFound
from tests.contract.store.base import ACME, RIVAL, StoreRules, born, together

if TYPE_CHECKING:
    from application.ports import Store
    from domain.connection import Connection
    from tests.contract.store.base import Age

MINUTE = timedelta(minutes=1)
DAY = timedelta(hours=24)


async def board(
    store: Store,
    connection: Connection,
    flight_id: str | None = None,
    *,
    company: str = ACME,
    kind: FlightKind = FlightKind.REFRESH,
) -> tuple[Flight, bool]:
    """Board for a minute, under an id of one's own."""
    return await store.board(company, connection.id, kind, flight_id=flight_id or str(uuid4()), lease=MINUTE)


class FlightRules(StoreRules):
    async def test_of_twenty_who_board_at_once_one_flies(self, store: Store) -> None:
        connection = await born(store)

        boarded = await together(20, lambda _: board(store, connection))

        assert sum(ours for _, ours in boarded) == 1
        assert len({flight.id for flight, _ in boarded}) == 1

    async def test_those_who_wait_read_the_outcome(self, store: Store) -> None:
        connection = await born(store)
        flight, _ = await board(store, connection)
        seen = await store.flight(flight.id)
        assert seen is not None
        assert seen.outcome is None

        await store.land(flight.id, "refreshed")

        seen = await store.flight(flight.id)
        assert seen is not None
        assert seen.outcome == "refreshed"

    async def test_after_a_landing_the_next_one_flies(self, store: Store) -> None:
        connection = await born(store)
        first, _ = await board(store, connection)
        await store.land(first.id, "refreshed")

        second, ours = await board(store, connection)

        assert ours
        assert second.id != first.id
        seen = await store.flight(first.id)
        assert seen is not None
        assert seen.outcome == "refreshed"

    async def test_who_comes_after_a_landing_joins_the_next_flight(self, store: Store) -> None:
        connection = await born(store)
        first, _ = await board(store, connection)
        await store.land(first.id, "refreshed")
        second, _ = await board(store, connection)

        assert await board(store, connection) == (second, False)

    async def test_a_flight_lands_once(self, store: Store) -> None:
        flight, _ = await board(store, await born(store))
        await store.land(flight.id, "refreshed")
        await store.land(flight.id, "refused")

        assert await store.flight(flight.id) == Flight(id=flight.id, outcome="refreshed")

    async def test_a_flight_that_crashed_is_replaced_when_its_lease_is_over(
        self, store: Store, age: Age
    ) -> None:
        connection = await born(store)
        crashed, _ = await board(store, connection)
        await age(MINUTE)

        _, ours = await board(store, connection)

        assert ours
        assert await store.flight(crashed.id) is None

    async def test_who_lands_after_the_lease_changes_nothing_for_the_next(
        self, store: Store, age: Age
    ) -> None:
        connection = await born(store)
        crashed, _ = await board(store, connection)
        await age(MINUTE)
        replacement, _ = await board(store, connection)

        await store.land(crashed.id, "late")

        assert await store.flight(replacement.id) == replacement

    async def test_kinds_and_connections_do_not_share_flights(self, store: Store) -> None:
        connection, other = await born(store), await born(store)
        await board(store, connection)

        _, another_kind = await board(store, connection, kind=FlightKind.VERIFY)
        _, another_connection = await board(store, other)

        assert another_kind
        assert another_connection

    async def test_another_companys_connection_has_no_flights(self, store: Store) -> None:
        connection = await born(store)

        with pytest.raises(ConnectionNotFound):
            await board(store, connection, company=RIVAL)

    async def test_an_unknown_flight_is_forgotten(self, store: Store) -> None:
        assert await store.flight("unknown") is None

    async def test_an_old_flight_is_swept(self, store: Store, age: Age) -> None:
        connection = await born(store)
        flight, _ = await board(store, connection)
        await store.land(flight.id, "refreshed")
        await age(DAY + MINUTE)
        await store.forget_old()

        assert await store.flight(flight.id) is None

    async def test_whoever_boards_again_under_the_same_id_still_flies(self, store: Store) -> None:
        connection = await born(store)
        flight, _ = await board(store, connection, "mine")

        assert await board(store, connection, "mine") == (flight, True)
        assert await board(store, connection) == (flight, False)

    async def test_a_flight_has_crashed_when_its_lease_is_over(self, store: Store, age: Age) -> None:
        flight, _ = await board(store, await born(store))
        await age(MINUTE)

        assert await store.flight(flight.id) == Flight(id=flight.id, crashed=True)

    async def test_a_flight_that_has_landed_has_not_crashed(self, store: Store, age: Age) -> None:
        flight, _ = await board(store, await born(store))
        await store.land(flight.id, "refreshed")
        await age(MINUTE)

        assert await store.flight(flight.id) == Flight(id=flight.id, outcome="refreshed")

    async def test_a_sign_of_life_extends_the_lease(self, store: Store, age: Age) -> None:
        connection = await born(store)
        flight, _ = await board(store, connection)
        await age(MINUTE / 2)
        await store.keep_up(flight.id, lease=MINUTE)
        await age(MINUTE / 2)

        assert await board(store, connection) == (flight, False)

    async def test_a_sign_of_life_does_not_win_back_what_another_has_taken(
        self, store: Store, age: Age
    ) -> None:
        connection = await born(store)
        crashed, _ = await board(store, connection)
        await age(MINUTE)
        replacement, _ = await board(store, connection)

        await store.keep_up(crashed.id, lease=DAY)

        assert await store.flight(crashed.id) is None
        assert await store.flight(replacement.id) == replacement
