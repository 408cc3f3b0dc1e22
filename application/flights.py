"""One refresh and one verification per connection at a time, over all processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import field, frozen

from application.single_flight import SingleFlight
from domain.errors import (
    ConnectionNotFound,
    DomainError,
    GatewayNonsense,
    RefreshRefused,
    StoreUnavailable,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from application.ports import FlightKind, Store

LEASE = timedelta(seconds=40)
"""Longer than a refresh can take: probe, forced refresh (15 s), probe."""

PATIENCE = timedelta(seconds=25)
"""Who waits for another's flight is answered before a balancer gives up, and no earlier than one can take."""

_LOOK_AGAIN = 0.05
_LAND_AGAIN = 0.25
_INTERRUPTED = "The call was interrupted. Try again."


@frozen
class Flights:
    """Shares a call's outcome: the losers wait for the winner and get what it got."""

    _store: Store
    _here: SingleFlight = field(init=False, factory=SingleFlight)
    _landing: set[asyncio.Task[None]] = field(init=False, factory=set)
    """Held here, as the loop holds tasks only weakly."""

    async def fly(
        self, kind: FlightKind, company_id: str, connection_id: str, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Do the work, or wait for whoever does it; its DomainError is everybody's."""
        await self._here.join(
            (kind, company_id, connection_id), lambda: self._across(kind, company_id, connection_id, work)
        )

    async def _across(
        self, kind: FlightKind, company_id: str, connection_id: str, work: Callable[[], Awaitable[None]]
    ) -> None:
        flight, ours = await self._store.board(company_id, connection_id, kind, lease=LEASE)
        if ours:
            await self._lead(flight.id, work)
        else:
            await self._follow(flight.id)

    async def _lead(self, flight_id: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except DomainError as problem:
            await self._land(flight_id, _told(problem))
            raise
        except BaseException:
            await self._land(flight_id, _told(Unavailable(_INTERRUPTED)))
            raise
        await self._land(flight_id, "{}")

    async def _land(self, flight_id: str, outcome: str) -> None:
        """Tell those who wait; later where the database is away, or they would wait for the lease to end."""
        try:
            await self._store.land(flight_id, outcome)
        except StoreUnavailable:
            task = asyncio.create_task(self._land_later(flight_id, outcome))
            self._landing.add(task)
            task.add_done_callback(self._landing.discard)

    async def _land_later(self, flight_id: str, outcome: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEASE.total_seconds()):
                while True:
                    await asyncio.sleep(_LAND_AGAIN)
                    with contextlib.suppress(StoreUnavailable):
                        await self._store.land(flight_id, outcome)
                        return

    async def _follow(self, flight_id: str) -> None:
        outcome: str | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE.total_seconds()):
                # What is waited for happens in another process: there is no event to wait on.
                while (flight := await self._store.flight(flight_id)) and flight.outcome is None:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_AGAIN)
                outcome = flight.outcome if flight else None
        if outcome is None:
            raise Unavailable(_INTERRUPTED, retry_after=1)
        if problem := _heard(outcome):
            raise problem


def _told(problem: DomainError) -> str:
    if isinstance(problem, RefreshRefused):
        return json.dumps({"refused": problem.reason})
    if isinstance(problem, ConnectionNotFound):
        return json.dumps({"not_found": True})
    if isinstance(problem, Unavailable):
        return json.dumps({"unavailable": str(problem), "retry_after": problem.retry_after})
    return json.dumps({"nonsense": str(problem)})


def _heard(outcome: str) -> DomainError | None:
    told = json.loads(outcome)
    if "refused" in told:
        return RefreshRefused(told["refused"])
    if "not_found" in told:
        return ConnectionNotFound()
    if "unavailable" in told:
        return Unavailable(told["unavailable"], retry_after=told["retry_after"])
    if "nonsense" in told:
        return GatewayNonsense(told["nonsense"])
    return None
