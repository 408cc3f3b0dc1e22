"""The companies' API keys in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import attrs
from attrs import define, field

from adapters.memory.store import now_in_milliseconds
from application.ports import ApiKeyRecord, ApiKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from application.ports import Scope


@define(eq=False)
class MemoryApiKeys(ApiKeys):
    """API keys as a dictionary by digest."""

    _clock: Callable[[], datetime] = now_in_milliseconds
    _records: dict[bytes, ApiKeyRecord] = field(factory=dict, init=False)

    async def find(self, digest: bytes) -> ApiKeyRecord | None:
        """See the port."""
        record = self._records.get(digest)
        return record if record and record.revoked_at is None else None

    async def add(
        self, *, company_id: str, scope: Scope, prefix: str, digest: bytes, label: str | None
    ) -> ApiKeyRecord:
        """See the port."""
        if digest not in self._records:
            self._records[digest] = ApiKeyRecord(
                id=str(uuid4()),
                company_id=company_id,
                scope=scope,
                prefix=prefix,
                digest=digest,
                label=label,
                created_at=self._clock(),
            )
        return self._records[digest]

    async def list(self, company_id: str | None) -> Sequence[ApiKeyRecord]:
        """See the port."""
        return [record for record in self._records.values() if company_id in (None, record.company_id)]

    async def revoke(self, prefix_or_id: str) -> Sequence[ApiKeyRecord]:
        """See the port."""
        revoked = [
            attrs.evolve(record, revoked_at=self._clock())
            for record in self._records.values()
            if prefix_or_id in (record.id, record.prefix) and record.revoked_at is None
        ]
        self._records.update({record.digest: record for record in revoked})
        return revoked
