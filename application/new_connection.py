"""The birth of a connection that a caller asks for, however it is authorized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from domain.connection import AuthKind, Connection, Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.idempotency import Reservation
    from application.ports import Ids, Transaction


@frozen(kw_only=True)
class NewConnection:
    """What the caller wants, already checked."""

    company_id: str
    provider: str
    name: str
    metadata: Mapping[str, Any]
    parameters: Mapping[str, str]
    actor: str

    async def begin(
        self,
        tx: Transaction,
        ids: Ids,
        reservation: Reservation | None,
        *,
        auth_kind: AuthKind,
        integration: str,
    ) -> Connection:
        """Write it, pending; what an Idempotency-Key stands for is reserved in the same transaction."""
        if reservation:
            await reservation.reserve(tx)
        begun = Connection.begin(
            id=reservation.record.connection_id if reservation else ids.connection_id(),
            company_id=self.company_id,
            provider=self.provider,
            name=self.name,
            auth_kind=auth_kind,
            origin=Origin.CREATE,
            integration=integration,
            parameters=self.parameters,
            metadata=self.metadata,
            at=tx.now,
            by=self.actor,
        )
        await tx.connections.save(begun)
        return begun.after
