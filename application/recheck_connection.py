"""After a refused refresh and Nango's back-off: look whether the credentials work after all."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from domain.connection import ERROR

if TYPE_CHECKING:
    from application.ports import Job, Store
    from application.verify_connection import CheckHealth

ACTOR = "worker"
TRIES = 5


@frozen
class RecheckConnection:
    """Does a RECHECK job: an outage at the provider's token endpoint looks like a refusal at first."""

    _store: Store
    _check: CheckHealth

    async def __call__(self, job: Job) -> None:
        """Look once more, and owe it no more.

        Raises:
            DomainError: it could not be found out now; the job stays.

        """
        connection = await self._store.find(job.company_id, job.connection_id)
        if connection.status is ERROR:
            # One forced refresh more, not a chain of them: Nango gives up after failures on four days.
            await self._check(connection, by=ACTOR, recheck=False)
        async with self._store.begin() as tx:
            await tx.jobs.finish(job.id)

    async def later(self, job: Job) -> None:
        """Try again with a growing delay, a few times."""
        async with self._store.begin() as tx:
            if job.tries + 1 >= TRIES:
                await tx.jobs.finish(job.id)
            else:
                await tx.jobs.reschedule(job.id, tx.now + timedelta(seconds=60) * (1 << job.tries))
