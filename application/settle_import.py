"""Write down how an import ended: the connection is shown, or nothing is left of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from attrs import frozen

from application.owed import IMPORTING, removal
from application.remove_grants import HURRIED, PATIENT, end_authorizations, remove_now
from application.settle import identified
from domain.connection import PENDING
from domain.errors import ConcurrentChange, ConnectionNotFound

if TYPE_CHECKING:
    from application.idempotency import Reservation
    from application.ports import Ids, Job, Store, Verdict
    from application.remove_grants import RemoveGrants
    from domain.connection import Connection


@frozen
class SettleImport:
    """Ends a connection's first import, for the caller who began it or for the worker."""

    _store: Store
    _ids: Ids
    _remove: RemoveGrants

    async def activate(
        self,
        connection: Connection,
        verdict: Verdict,
        *,
        by: str,
        intent: Job | None,
        reservation: Reservation | None = None,
    ) -> Connection:
        """Show the connection, with its account; its intent is done.

        Raises:
            ConnectionNotFound: it was forgotten meanwhile.

        """
        async with self._store.begin() as tx:
            current = await tx.connections.get(connection.company_id, connection.id, lock=True, deleted=True)
            if current.deleted_at is not None:
                raise ConnectionNotFound
            if current.status is PENDING:
                authorized = current.authorize(
                    nango_id=nango_id_of(connection), integration=connection.integration, at=tx.now, by=by
                )
                await tx.connections.save(authorized)
                current = authorized.after
                if named := identified(verdict, by=by)(current, tx.now):
                    await tx.connections.save(named)
                    current = named.after
            if reservation:
                await reservation.answered(tx, "")
            if intent:
                await tx.jobs.finish(intent.id)
        return current

    async def discard(
        self,
        connection: Connection,
        *,
        by: str,
        intent: Job | None,
        reservation: Reservation | None = None,
        under_way: bool = False,
    ) -> None:
        """Leave nothing of a key that was refused, could not be tried, or was forgotten before.

        `under_way`: Nango may store it after we have removed it, so that is done once more.
        """
        with contextlib.suppress(ConnectionNotFound, ConcurrentChange):
            async with self._store.begin() as tx:
                current = await tx.connections.get(
                    connection.company_id, connection.id, lock=True, deleted=True
                )
                if current.deleted_at is None and current.status is not PENDING:
                    return
                nango_id = nango_id_of(connection)
                job = await end_authorizations(tx, current, self._ids, nango_id=nango_id)
                if under_way:
                    again = removal(
                        current,
                        self._ids,
                        due_at=tx.now + IMPORTING,
                        integration=current.integration,
                        nango_id=nango_id,
                    )
                    await tx.jobs.add(again)
                if intent:
                    await tx.jobs.finish(intent.id)
                if current.deleted_at is None:
                    await tx.connections.save(current.delete(at=tx.now, by=by))
                    if reservation:
                        await tx.idempotency.forget(connection.company_id, reservation.record.key_hash)
            await remove_now(self._remove, job, within=HURRIED if under_way else PATIENT)


def nango_id_of(connection: Connection) -> str:
    """Give the id under which a connection's first key is imported: its own UUID."""
    return connection.id.removeprefix("conn_")
