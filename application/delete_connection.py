"""Delete connection: gone here at once, and gone at Nango for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from application.remove_grants import end_authorizations, remove_now

if TYPE_CHECKING:
    from application.ports import Ids, Store
    from application.remove_grants import RemoveGrants


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
