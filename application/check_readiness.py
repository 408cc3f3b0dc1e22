"""Readiness: whether this process can serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from application.ports import Store


@frozen
class CheckReadiness:
    """The database is what we cannot do without; Nango's absence leaves reads working."""

    _store: Store

    async def __call__(self) -> None:
        """Pass where the database answers at the schema this code needs.

        Raises:
            StoreUnavailable: it does not.

        """
        await self._store.ping()
