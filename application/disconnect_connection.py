"""Disconnect: the credentials go at Nango, the record stays to be authorized again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from application.remove_grants import end_authorizations, remove_now
from domain.connection import DISCONNECTED

if TYPE_CHECKING:
    from application.ports import Ids, Store
    from application.remove_grants import RemoveGrants
    from domain.connection import Connection

REASON = "Disconnected on request. Authorize again to use it."


@frozen
class DisconnectConnection:
    """Remove the connection at Nango, as delete does, and keep its record.

    It may be disconnected twice: the second time ends the authorizations that were begun after the first.
    """

    _store: Store
    _ids: Ids
    _remove: RemoveGrants

    async def __call__(self, *, company_id: str, connection_id: str, actor: str) -> Connection:
        """Give the disconnected connection.

        Raises:
            ConnectionNotFound: no such connection in this company.

        """
        async with self._store.begin() as tx:
            connection = await tx.connections.get(company_id, connection_id, lock=True)
            attempts = await tx.attempts.of(company_id, connection_id)
            # A disconnected one may still have open attempts: one that is just being started, or one whose
            # sibling was denied, which gave the connection this status back.
            if connection.status is DISCONNECTED and all(attempt.closed_at for attempt in attempts):
                return connection
            job = await end_authorizations(tx, connection, self._ids)
            if connection.status is not DISCONNECTED:
                change = connection.disconnect(reason=REASON, at=tx.now, by=actor)
                await tx.connections.save(change)
                connection = change.after
        await remove_now(self._remove, job)
        return connection
