"""Delete connection: gone here at once, and gone at Nango for good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import frozen

from application.remove_grants import end_authorizations
from domain.errors import DomainError

if TYPE_CHECKING:
    from application.ports import Ids, Job, Store
    from application.remove_grants import RemoveGrants

PATIENT = 4.5
"""Seconds for a removal that a caller waits for."""

HURRIED = 0.4
"""Seconds for a removal by a caller who has waited for a silent Nango already: five are enough."""


@frozen
class DeleteConnection:
    """Hide the record, close its attempts, remove it at Nango; the worker finishes where Nango is silent."""

    _store: Store
    _ids: Ids
    _remove: RemoveGrants

    async def __call__(self, *, company_id: str, connection_id: str, actor: str) -> None:
        """Delete.

        Raises:
            ConnectionNotFound: no such connection in this company, or deleted before.

        """
        async with self._store.begin() as tx:
            connection = await tx.connections.get(company_id, connection_id, lock=True)
            job = await end_authorizations(tx, connection, self._ids)
            await tx.connections.save(connection.delete(at=tx.now, by=actor))
        await remove_now(self._remove, job)


async def remove_now(remove: RemoveGrants, job: Job, *, within: float = PATIENT) -> None:
    """Try the removal while the caller waits, for so many seconds; what does not succeed is the worker's."""
    try:
        async with asyncio.timeout(within):
            await remove(job)
    except (DomainError, TimeoutError):
        pass
