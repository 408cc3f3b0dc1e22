"""After authorization: find out which account the credentials reach."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from application.owed import try_a_few_times
from application.ports import Health
from application.settle import found, identified, settle
from domain.connection import ACTIVE
from domain.errors import ConnectionNotFound
from domain.events import AUTHORIZATION

if TYPE_CHECKING:
    from application.ports import AuthGateway, Job, Store
    from application.probe_account import ProbeAccount

TRIES = 6


@frozen
class IdentifyAccount:
    """Does an IDENTIFY job: fills externalAccountId and the account's name."""

    _store: Store
    _gateway: AuthGateway
    _probe: ProbeAccount

    async def __call__(self, job: Job) -> None:
        """Identify, and owe it no more.

        Raises:
            DomainError: it could not be found out now; the job stays.

        """
        try:
            connection = await self._store.find(job.company_id, job.connection_id)
        except ConnectionNotFound:
            connection = None
        if connection is not None and connection.status is ACTIVE and connection.nango_id is not None:
            details = await self._gateway.fetch(connection.integration, connection.nango_id)
            verdict = await self._probe(connection, details)
            steps = [identified(verdict, by=AUTHORIZATION)]
            if verdict.health is Health.DEAD:
                steps = [found(verdict, seen=connection, by=AUTHORIZATION)]
            await settle(self._store, connection, *steps)
        async with self._store.begin() as tx:
            await tx.jobs.finish(job.id)

    async def later(self, job: Job) -> None:
        """Try again with a growing delay, a few times."""
        await try_a_few_times(self._store, job, first=timedelta(seconds=15), tries=TRIES)
