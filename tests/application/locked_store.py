"""A store in memory that insists on locks.

Memory has one transaction at a time, so that nothing goes wrong there without a lock. PostgreSQL has many:
whoever changes a connection, or decides about its attempts, holds its row, or two of them decide at once.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
from attrs import define, frozen

from adapters.memory.store import MemoryStore
from adapters.memory.transaction import MemoryAttempts, MemoryConnections, MemoryTransaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from domain.authorization import Attempt, Outcome
    from domain.connection import Connection
    from domain.history import Change


@frozen
class LockedConnections(MemoryConnections):
    """Notes whose row a transaction has read, and whose it holds."""

    _seen: set[str]
    _held: set[str]

    async def get(
        self, company_id: str, connection_id: str, *, lock: bool = False, deleted: bool = False
    ) -> Connection:
        connection = await super().get(company_id, connection_id, lock=lock, deleted=deleted)
        (self._held if lock else self._seen).add(connection_id)
        return connection

    async def find_for_auth_url(self, company_id: str, provider: str) -> Connection | None:
        connection = await super().find_for_auth_url(company_id, provider)
        if connection is not None:
            self._held.add(connection.id)
        return connection

    async def save(self, change: Change) -> bool:
        if change.before is None:
            self._held.add(change.after.id)
        assert change.after.id in self._held, "a connection was changed without its row's lock"
        return await super().save(change)


@frozen
class LockedAttempts(MemoryAttempts):
    """Lets nobody begin, claim or end an attempt who does not hold the connection's row.

    Nor read row and attempts apart: what is stored between the two reads would be seen in one of them only.
    """

    _seen: set[str]
    _held: set[str]

    async def of(self, company_id: str, connection_id: str) -> Sequence[Attempt]:
        assert connection_id not in self._seen - self._held, "row and attempts were read without the lock"
        return await super().of(company_id, connection_id)

    async def add(self, attempt: Attempt) -> None:
        assert attempt.connection_id in self._held, "an attempt was begun without the row's lock"
        await super().add(attempt)

    async def claim(self, attempt_id: str, *, at: datetime, check_at: datetime) -> Attempt | None:
        await self._insist(attempt_id)
        return await super().claim(attempt_id, at=at, check_at=check_at)

    async def close(self, attempt_id: str, outcome: Outcome, error: str | None, *, at: datetime) -> bool:
        await self._insist(attempt_id)
        return await super().close(attempt_id, outcome, error, at=at)

    async def _insist(self, attempt_id: str) -> None:
        attempt = await self.get(attempt_id)
        assert attempt is None or attempt.connection_id in self._held, "an attempt was ended without the lock"


@define(eq=False)
class LockedStore(MemoryStore):
    """The store in memory, for use cases that must also be right where there are many processes."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryTransaction]:
        seen: set[str] = set()
        held: set[str] = set()
        async with MemoryStore.begin(self) as tx:
            yield attrs.evolve(
                tx,
                connections=LockedConnections(tx.connections._state, seen, held),
                attempts=LockedAttempts(tx.attempts._state, tx.attempts._clock, seen, held),
            )
