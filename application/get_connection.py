"""Get connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from application.ports import Store
    from domain.connection import Connection


@frozen
class GetConnection:
    """Read one connection."""

    _store: Store

    async def __call__(self, *, company_id: str, connection_id: str) -> Connection:
        """Give it.

        Raises:
            ConnectionNotFound: absent, deleted, or another company's.

        """
        return await self._store.find(company_id, connection_id)
