"""An import that a crash interrupted: complete it if Nango has it, else forget it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from application.owed import try_again
from application.settle_import import nango_id_of
from domain.connection import PENDING
from domain.errors import CredentialsRefused, GrantNotFound
from domain.events import WORKER

if TYPE_CHECKING:
    from application.import_credentials import ImportCredentials
    from application.ports import Job, Store
    from application.settle_import import SettleImport

TRIES = 10
"""How often the worker asks for an interrupted import, over two and a half hours, before it gives it up."""


@frozen
class FinishImport:
    """Does an IMPORT job.

    What nothing can be found out about is forgotten, too: the provider's description may be gone, or the
    credentials be such that Nango can never use them.
    """

    _store: Store
    _importing: ImportCredentials
    _settle: SettleImport

    async def __call__(self, job: Job) -> None:
        """Finish, and owe it no more.

        Raises:
            DomainError: it could not be found out now; the job stays.

        """
        async with self._store.begin() as tx:
            connection = await tx.connections.get(job.company_id, job.connection_id, deleted=True)
            if connection.status is not PENDING or connection.deleted_at is not None:
                await tx.jobs.finish(job.id)
                return
        imported = attrs.evolve(connection, nango_id=nango_id_of(connection))
        try:
            verdict = await self._importing.look(imported)
        except (CredentialsRefused, GrantNotFound):
            await self._settle.discard(connection, by=WORKER, intent=job)
        else:
            await self._settle.activate(connection, verdict, by=WORKER, intent=job)

    async def later(self, job: Job) -> None:
        """Try again with a growing delay, a few times; then leave nothing of it."""
        if await try_again(self._store, job, first=timedelta(minutes=1), tries=TRIES):
            return
        async with self._store.begin() as tx:
            connection = await tx.connections.get(job.company_id, job.connection_id, deleted=True)
        await self._settle.discard(connection, by=WORKER, intent=job)
