"""The companies' API keys in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, define, field

from adapters.postgres.loader import Loader
from adapters.postgres.pool import session
from adapters.postgres.rows import API_KEY_COLUMNS, api_key_of
from application.ports import ApiKeys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapters.postgres.pool import Pool
    from application.ports import ApiKeyRecord, Scope

_SELECT = f"SELECT {API_KEY_COLUMNS} FROM api_keys"  # noqa: S608 - constants

_ADD = f"""
WITH added AS (
    INSERT INTO api_keys (company_id, scope, prefix, digest, label) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (digest) DO NOTHING RETURNING {API_KEY_COLUMNS})
SELECT {API_KEY_COLUMNS} FROM added UNION ALL {_SELECT} WHERE digest = $4
"""  # noqa: S608 - constants

_REVOKE = f"""
UPDATE api_keys SET revoked_at = clock() WHERE (id = $1 OR prefix = $1) AND revoked_at IS NULL
RETURNING {API_KEY_COLUMNS}
"""  # noqa: S608 - constants


@define(eq=False)
class PostgresApiKeys(ApiKeys):
    """Rows of `api_keys`; only digests, which are good for nothing else."""

    _pool: Pool
    _loader: Loader[bytes, ApiKeyRecord] = field(
        init=False, default=Factory(lambda self: Loader(self._fetch), takes_self=True)
    )

    async def find(self, digest: bytes) -> ApiKeyRecord | None:
        """See the port; all who come with a key when its second is over share one look."""
        return await self._loader.load(digest)

    async def add(
        self, *, company_id: str, scope: Scope, prefix: str, digest: bytes, label: str | None
    ) -> ApiKeyRecord:
        """See the port."""
        row = None
        async with session(self._pool) as work:
            # Another's insert of the same digest may commit between our two looks.
            while row is None:
                row = await work.row(_ADD, company_id, scope, prefix, digest, label)
        return api_key_of(row)

    async def list(self, company_id: str | None) -> Sequence[ApiKeyRecord]:
        """See the port."""
        async with session(self._pool) as work:
            rows = await work.rows(
                f"{_SELECT} WHERE $1::text IS NULL OR company_id = $1 ORDER BY created_at, id", company_id
            )
        return [api_key_of(row) for row in rows]

    async def revoke(self, prefix_or_id: str) -> Sequence[ApiKeyRecord]:
        """See the port."""
        async with session(self._pool) as work:
            return [api_key_of(row) for row in await work.rows(_REVOKE, prefix_or_id)]

    async def _fetch(self, digests: Sequence[bytes]) -> Mapping[bytes, ApiKeyRecord]:
        async with session(self._pool) as work:
            rows = await work.rows(f"{_SELECT} WHERE digest = ANY($1) AND revoked_at IS NULL", digests)
        return {row["digest"]: api_key_of(row) for row in rows}
