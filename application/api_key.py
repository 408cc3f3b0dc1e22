"""API keys: how they look, and how a caller is known by one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from time import monotonic
from typing import TYPE_CHECKING

from attrs import field, frozen

from application.ports import ApiKeyRecord, Scope
from domain.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable

    from application.ports import ApiKeys

MARK = "ck_"
"""Begins every key that we make."""

PREFIX_LENGTH = 11
"""What of a key is kept readable: the mark and 48 bits, enough to tell keys apart, useless to guess one."""

MAX_LENGTH = 256
SEEN_FOR = 1.0
"""Seconds for which a key needs no look at the database, and after which a revoked one is refused."""

_REMEMBERED = 10_000


@frozen(kw_only=True)
class Caller:
    """Who is calling: `actor` names the key in the history."""

    company_id: str
    scope: Scope
    actor: str


def make_key(secret: bytes) -> str:
    """Make a key of 256 random bits: mark, secret, and a checksum that tells a typo from a stranger."""
    body = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    return f"{MARK}{body}_{_checksum(body)}"


def well_formed(key: str) -> bool:
    """Whether a key could be one: visible ASCII, and the checksum right where it claims to be ours."""
    if not 32 <= len(key) <= MAX_LENGTH or not all("!" <= character <= "~" for character in key):  # noqa: PLR2004
        return False
    if not key.startswith(MARK):
        return True
    body, separator, checksum = key[len(MARK) :].rpartition("_")
    return bool(separator) and hmac.compare_digest(checksum.encode(), _checksum(body).encode())


def digest(key: str) -> bytes:
    """Give what is kept of a key."""
    return hashlib.sha256(key.encode()).digest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


@frozen
class Authenticate:
    """Knows a caller by the API key; the database is asked once a second per key at most."""

    _keys: ApiKeys
    _clock: Callable[[], float] = monotonic
    _seen: dict[bytes, tuple[float, Caller]] = field(init=False, factory=dict, repr=False)

    async def __call__(self, key: str | None) -> Caller:
        """Give the caller.

        Raises:
            Unauthenticated: no key, or none that is live.

        """
        if key is None or not well_formed(key):
            raise Unauthenticated
        fingerprint = digest(key)
        seen = self._seen.get(fingerprint)
        asked_at = self._clock()
        if seen is not None and asked_at - seen[0] < SEEN_FOR:
            return seen[1]
        record = await self._keys.find(fingerprint)
        if record is None or not hmac.compare_digest(record.digest, fingerprint):
            self._seen.pop(fingerprint, None)
            raise Unauthenticated
        caller = Caller(company_id=record.company_id, scope=record.scope, actor=f"api_key:{record.prefix}")
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        # Timed from before the look: the answer is no fresher than the question.
        self._seen[fingerprint] = (asked_at, caller)
        return caller


@frozen
class CreateApiKey:
    """Makes a key; it is shown once and kept only as its SHA-256."""

    _keys: ApiKeys

    async def __call__(self, *, company_id: str, scope: Scope, label: str | None, key: str) -> ApiKeyRecord:
        """Keep the key; the same key again changes nothing."""
        return await self._keys.add(
            company_id=company_id, scope=scope, prefix=key[:PREFIX_LENGTH], digest=digest(key), label=label
        )
