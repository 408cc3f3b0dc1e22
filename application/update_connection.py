"""Update connection: its name and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from application.ports import Store
    from domain.connection import Connection


@frozen
class UpdateConnection:
    """Rename a connection, or replace its metadata."""

    _store: Store

    async def __call__(
        self,
        *,
        company_id: str,
        connection_id: str,
        name: str | None,
        metadata: Mapping[str, Any] | None,
        actor: str,
    ) -> Connection:
        """Give the connection as it is then; None leaves a field as it is.

        Raises:
            ConnectionNotFound: no such connection in this company.

        """
        async with self._store.begin() as tx:
            connection = await tx.connections.get(company_id, connection_id, lock=True)
            change = connection.update(name=name, metadata=metadata, at=tx.now, by=actor)
            if change is None:
                return connection
            await tx.connections.save(change)
            return change.after
