"""List connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from application.ports import ConnectionFilter, ConnectionSummary, Page, Store


@frozen
class ListConnections:
    """Read a company's connections, newest first."""

    _store: Store

    async def __call__(
        self, *, company_id: str, wanted: ConnectionFilter, limit: int, cursor: str | None
    ) -> Page[ConnectionSummary]:
        """Give a page; `next_cursor` is set where there is more.

        Raises:
            InvalidInput: the cursor is none of ours.

        """
        return await self._store.list(company_id, wanted, limit=limit, cursor=cursor)
