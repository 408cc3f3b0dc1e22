"""One refresh and one verification per connection at a time, over all processes."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import field, frozen

from application import flight_outcome
from application.flight_outcome import interrupted
from application.single_flight import SingleFlight
from domain.errors import DomainError, StoreUnavailable, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from application.ports import Flight, FlightKind, Ids, Store

    Work = Callable[[], Awaitable[None]]

LEASE = timedelta(seconds=5)
"""A flight that has given no sign of life for this long has crashed: the process that led it has died."""

LONGEST = timedelta(seconds=40)
"""Longer than a refresh can take: probe, forced refresh (15 s), probe.

A flight that takes longer hangs: it gives no more signs of life, so that another one can take its place.
"""

ANSWERED_WITHIN = 15.5
"""Seconds until a caller is answered, whoever leads and however slow Nango is: 16 are promised."""

_SIGN_OF_LIFE = LEASE / 3
_LOOK_AGAIN = 0.05
"""Seconds between looks at a flight that another process leads."""

_TRY_AGAIN = 0.25
"""Seconds until the database is tried again that did not take a sign of life, or an outcome."""

_BOARDING = 3.5
"""Seconds for both tries to board: where the database is in trouble, callers are promised a 503 within 4."""


@frozen
class Flights:
    """Shares a call's outcome: the losers wait for the winner and get what it got."""

    _store: Store
    _ids: Ids
    _here: SingleFlight = field(init=False, factory=SingleFlight)
    _landing: set[asyncio.Task[None]] = field(init=False, factory=set)
    """Held here, as the loop holds tasks only weakly."""

    async def fly(self, kind: FlightKind, company_id: str, connection_id: str, work: Work) -> None:
        """Do the work, or wait for whoever does it; its DomainError is everybody's.

        Raises:
            Unavailable: it takes too long to wait for. It goes on, and the next caller may find it done.

        """
        here = self._here.join(
            (kind, company_id, connection_id), lambda: self._across(kind, company_id, connection_id, work)
        )
        try:
            async with asyncio.timeout(ANSWERED_WITHIN) as patience:
                await here
        except TimeoutError:
            if not patience.expired():
                raise
            raise Unavailable("This takes longer than it should. Try again.", retry_after=5) from None

    async def _across(self, kind: FlightKind, company_id: str, connection_id: str, work: Work) -> None:
        outcome: str | None = None
        while outcome is None:
            flight, ours = await self._board(kind, company_id, connection_id)
            if ours:
                await self._lead(flight.id, work)
                return
            # Without an outcome, who led it has died: it is ours now, or that of another who has waited.
            outcome = await self._follow(flight.id)
        if problem := flight_outcome.read(outcome):
            raise problem

    async def _board(self, kind: FlightKind, company_id: str, connection_id: str) -> tuple[Flight, bool]:
        """Board, and try it a second time where the database does not answer.

        If only its reply was lost, the flight that is found then has our id, so we know that it is ours.
        """
        flight_id = self._ids.random_id()

        async def board() -> tuple[Flight, bool]:
            return await self._store.board(company_id, connection_id, kind, flight_id=flight_id, lease=LEASE)

        try:
            async with asyncio.timeout(_BOARDING):
                try:
                    return await board()
                except StoreUnavailable:
                    return await board()
        except TimeoutError:
            raise StoreUnavailable from None

    async def _lead(self, flight_id: str, work: Work) -> None:
        alive = asyncio.create_task(self._keep_up(flight_id))
        try:
            await work()
        except DomainError as problem:
            await self._land(flight_id, flight_outcome.write(problem))
            raise
        except BaseException:
            await self._land(flight_id, flight_outcome.write(interrupted()))
            raise
        else:
            await self._land(flight_id, flight_outcome.write(None))
        finally:
            alive.cancel()

    async def _keep_up(self, flight_id: str) -> None:
        pause = _SIGN_OF_LIFE.total_seconds()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST.total_seconds()):
                while True:
                    await asyncio.sleep(pause)
                    try:
                        await self._store.keep_up(flight_id, lease=LEASE)
                        pause = _SIGN_OF_LIFE.total_seconds()
                    except StoreUnavailable:
                        pause = _TRY_AGAIN

    async def _land(self, flight_id: str, outcome: str) -> None:
        """Tell those who wait how it ended.

        Where the database does not answer now, they are told later. Otherwise they would wait until the lease
        has ended.
        """
        try:
            await self._store.land(flight_id, outcome)
        except StoreUnavailable:
            task = asyncio.create_task(self._land_later(flight_id, outcome))
            self._landing.add(task)
            task.add_done_callback(self._landing.discard)

    async def _land_later(self, flight_id: str, outcome: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST.total_seconds()):
                while True:
                    await asyncio.sleep(_TRY_AGAIN)
                    with contextlib.suppress(StoreUnavailable):
                        await self._store.land(flight_id, outcome)
                        return

    async def _follow(self, flight_id: str) -> str | None:
        """Wait for the outcome; None where there will be none."""
        # What is waited for happens in another process: there is no event to wait on.
        while (flight := await self._store.flight(flight_id)) and flight.outcome is None:
            if flight.crashed:
                return None
            await asyncio.sleep(_LOOK_AGAIN)
        return flight.outcome if flight else None
