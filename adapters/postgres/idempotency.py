"""Used Idempotency-Keys, inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.postgres.rows import RECORD_COLUMNS, record_of
from application.ports import IdempotencyRecords

if TYPE_CHECKING:
    from adapters.postgres.pool import Session
    from application.ports import IdempotencyRecord

# A record past its keep is free for use again, whether or not it was swept yet.
_PUT = f"""
INSERT INTO idempotency_records (company_id, {RECORD_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (company_id, key_hash) DO UPDATE SET fingerprint = excluded.fingerprint, salt = excluded.salt,
    connection_id = excluded.connection_id, authorization_url = excluded.authorization_url,
    created_at = excluded.created_at
WHERE idempotency_records.created_at <= clock() - interval '24 hours'
RETURNING true
"""  # noqa: S608 - constants

_COMPLETE = """
UPDATE idempotency_records SET authorization_url = $4 WHERE company_id = $1 AND key_hash = $2 AND salt = $3
"""

_RESUME = """
UPDATE idempotency_records SET salt = $4, created_at = clock()
WHERE company_id = $1 AND key_hash = $2 AND salt = $3 AND authorization_url IS NULL RETURNING true
"""

_KEPT = f"""
SELECT {RECORD_COLUMNS}, clock() - created_at AS age FROM idempotency_records
WHERE company_id = $1 AND key_hash = $2
"""  # noqa: S608 - constants


@frozen
class PostgresIdempotencyRecords(IdempotencyRecords):
    """Rows of `idempotency_records`, kept for 24 hours."""

    _session: Session

    async def put(self, company_id: str, record: IdempotencyRecord) -> IdempotencyRecord | None:
        """See the port; waits for another transaction that is reserving the same key."""
        values = (
            record.key_hash,
            record.fingerprint,
            record.connection_id,
            record.salt,
            record.authorization_url,
        )
        if await self._session.row(_PUT, company_id, *values) is not None:
            return None
        row = await self._session.row(_KEPT, company_id, record.key_hash)
        # Swept between the two statements: nobody has it now.
        return record_of(row) if row else await self.put(company_id, record)

    async def complete(
        self, company_id: str, key_hash: bytes, *, salt: bytes, authorization_url: str
    ) -> None:
        """See the port."""
        await self._session.run(_COMPLETE, company_id, key_hash, salt, authorization_url)

    async def resume(self, company_id: str, record: IdempotencyRecord, *, salt: bytes) -> bool:
        """See the port."""
        values = (company_id, record.key_hash, record.salt, salt)
        return await self._session.row(_RESUME, *values) is not None

    async def forget(self, company_id: str, key_hash: bytes) -> None:
        """See the port."""
        await self._session.run(
            "DELETE FROM idempotency_records WHERE company_id = $1 AND key_hash = $2", company_id, key_hash
        )
