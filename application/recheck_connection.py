"""Look at a connection again because something gave us a reason: a refusal, a webhook, the schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from application.owed import try_a_few_times
from application.ports import FlightKind
from application.renew_credentials import BACK_OFF
from application.settle import AUTHORIZED
from domain.connection import ACTIVE
from domain.errors import ConnectionNotFound
from domain.events import WORKER

if TYPE_CHECKING:
    from datetime import datetime

    from application.flights import Flights
    from application.ports import Job, Store
    from application.verify_connection import CheckHealth
    from domain.connection import Connection

TRIES = 5


@frozen
class RecheckConnection:
    """Does a RECHECK job. A refused refresh is one reason: a provider's outage looks like it at first."""

    _store: Store
    _flights: Flights
    _check: CheckHealth

    async def __call__(self, job: Job) -> None:
        """Look once more, and owe it no more.

        Raises:
            DomainError: it could not be found out now; the job stays.

        """
        async with self._store.begin() as tx:
            try:
                connection = await tx.connections.get(job.company_id, job.connection_id)
            except ConnectionNotFound:
                connection = None
            now = tx.now
        if connection is not None and connection.status in AUTHORIZED:
            await self._look(connection, now)
        async with self._store.begin() as tx:
            # A look that was refused owes another one, which is merged with this one.
            await tx.jobs.finish(job.id, due_at=job.due_at)

    async def _look(self, connection: Connection, now: datetime) -> None:
        # After the first refusal one more look is owed, and not one after each: every look at credentials
        # like these is a failure to Nango, which gives up after four days of them. A look during Nango's
        # back-off does not count as the one more: its webhook may come before we have written the refusal.
        first = connection.status is ACTIVE or now < connection.updated_at + BACK_OFF

        async def look() -> None:
            await self._check(connection, by=WORKER, recheck=first, cautious=True)

        await self._flights.fly(FlightKind.VERIFY, connection.company_id, connection.id, look)

    async def later(self, job: Job) -> None:
        """Try again with a growing delay, a few times."""
        await try_a_few_times(self._store, job, first=timedelta(seconds=60), tries=TRIES)
