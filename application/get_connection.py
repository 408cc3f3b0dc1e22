"""Get connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from application.ports import ConnectionDetails, Store


@frozen
class GetConnection:
    """Read one connection."""

    _store: Store

    async def __call__(self, *, company_id: str, connection_id: str) -> ConnectionDetails:
        """Give what it shows.

        Raises:
            ConnectionNotFound: absent, deleted, or another company's.

        """
        return await self._store.show(company_id, connection_id)
