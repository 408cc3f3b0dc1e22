"""The companies' API keys."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Scope(StrEnum):
    """What an API key may do."""

    READ = "read"
    WRITE = "write"


@frozen(kw_only=True)
class ApiKeyRecord:
    """An API key as we keep it: `digest` is its SHA-256, `prefix` its readable beginning."""

    id: str
    company_id: str
    scope: Scope
    prefix: str
    digest: bytes
    label: str | None = None
    created_at: datetime
    revoked_at: datetime | None = None


class ApiKeys(Protocol):
    """The companies' API keys."""

    @abstractmethod
    async def find(self, digest: bytes) -> ApiKeyRecord | None:
        """Give a live key by its digest."""

    @abstractmethod
    async def add(
        self, *, company_id: str, scope: Scope, prefix: str, digest: bytes, label: str | None
    ) -> ApiKeyRecord:
        """Keep a new key; the same digest again gives the record that is there."""

    @abstractmethod
    async def list(self, company_id: str | None) -> Sequence[ApiKeyRecord]:
        """Give a company's keys, or all, oldest first, revoked ones included."""

    @abstractmethod
    async def revoke(self, prefix_or_id: str) -> Sequence[ApiKeyRecord]:
        """Revoke every live key with this id or exact prefix; give what was revoked."""
