"""Know a caller by the API key."""

from __future__ import annotations

import hmac
from time import monotonic
from typing import TYPE_CHECKING

from attrs import field, frozen

from domain.api_key import digest, well_formed
from domain.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable

    from application.ports import ApiKeys, Scope

SEEN_FOR = 1.0
"""Seconds for which a key needs no look at the database, and after which a revoked one is refused."""

_REMEMBERED = 10_000
"""Keys that are remembered, at most; they are then forgotten all at once."""


@frozen(kw_only=True)
class Caller:
    """Who is calling: `actor` names the key in the history."""

    company_id: str
    scope: Scope
    actor: str


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
        if key is None:
            raise Unauthenticated
        fingerprint = digest(key)
        seen = self._seen.get(fingerprint)
        asked_at = self._clock()
        if seen is not None and asked_at - seen[0] < SEEN_FOR:
            return seen[1]
        # Only now: what was seen is well formed, and nearly every key has been seen.
        if not well_formed(key):
            raise Unauthenticated
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
