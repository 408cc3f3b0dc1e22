"""Create an API key for a company."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from domain.api_key import digest, readable_prefix

if TYPE_CHECKING:
    from application.ports import ApiKeyRecord, ApiKeys, Scope


@frozen
class CreateApiKey:
    """Makes a key; it is shown once and kept only as its SHA-256."""

    _keys: ApiKeys

    async def __call__(self, *, company_id: str, scope: Scope, label: str | None, key: str) -> ApiKeyRecord:
        """Keep the key; the same key again changes nothing."""
        return await self._keys.add(
            company_id=company_id, scope=scope, prefix=readable_prefix(key), digest=digest(key), label=label
        )
