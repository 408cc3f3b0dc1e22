"""List events: what happened to a connection, or to any of a company's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from application.ports import Page, Store
    from domain.events import Event


@frozen
class ListEvents:
    """Read the history, oldest first."""

    _store: Store

    async def __call__(
        self, *, company_id: str, connection_id: str | None, limit: int, cursor: str | None
    ) -> Page[Event]:
        """Give a page. The cursor of the last page goes on from there, also to what happens later.

        A deleted connection is not found by its id any more, but its events stay in the company's history.

        Raises:
            ConnectionNotFound: no such connection in this company (any more).
            InvalidInput: the cursor is none of ours.

        """
        if connection_id is not None:
            await self._store.find(company_id, connection_id)
        return await self._store.events(company_id, connection_id, limit=limit, cursor=cursor)
