"""One attempt to authorize a connection: single use, expires, remembers where to send the user."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.redirect import RedirectUrl

STATE_PREFIX = "cs_"
"""Tells our own states from those of other applications in the same Nango environment."""

LIFETIME = timedelta(minutes=60)
"""How long a user has; Nango was seen to accept a callback after 36 minutes."""

RELAY_DEADLINE = timedelta(seconds=15)
"""How long Nango may take to answer a callback that we relay to it."""

LOOKUP_DELAY = timedelta(seconds=20)
"""A claim without an outcome is looked up at Nango after this."""

HOLD = timedelta(seconds=60)
"""How long a claim without an outcome keeps its siblings waiting."""

GIVE_UP = timedelta(minutes=5)
"""A claim that Nango knows nothing of after this has failed."""

PATIENCE = timedelta(minutes=15)
"""How long after its start a page waits for an attempt that we have not seen come back.

Where the browser ends at Nango, we cannot see it come back at all.
"""

KEPT = timedelta(hours=24)
"""How long a closed attempt still answers its callback with the first outcome."""

OPEN_PER_CONNECTION = 50
OPEN_PER_COMPANY = 1000
"""How many attempts may be open at once; what would be one more is refused with `TooManyAttempts`."""

POLL_DELAYS = (5, 15, 30, 60)
"""Seconds between looks at Nango where the browser does not come back through us; the last one repeats."""


class AttemptMode(StrEnum):
    """How the browser comes back: through our relay, or only to Nango (its callback, its frontend SDK)."""

    RELAY = "relay"
    DIRECT = "direct"
    SESSION = "session"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABANDONED = "abandoned"
    SUPERSEDED = "superseded"


@frozen(kw_only=True)
class Grant:
    """A connection as Nango has it: the credentials live there under `nango_id`.

    `tags` are what we gave the session (Nango lower-cases their keys); `auth_error` is Nango's sign that
    its last refresh failed, which outages cause too.
    """

    nango_id: str
    integration: str
    tags: Mapping[str, str] = field(factory=dict)
    auth_error: bool = False


@frozen(kw_only=True)
class Attempt:
    """One authorization under way.

    Attributes:
        nango_id: the id that a reconnect keeps at Nango; None where Nango chooses a new one.
        parameters: what this attempt was started with, such as NetSuite's accountId; they become the
            connection's with its success.
        state_hash: SHA-256 of our own state, which stands in the provider's URL; never the state itself.
        nango_state, nango_cookie: Nango's own, put back before the relay.
        check_at: when the worker looks at this attempt next; None once closed.
        error: the OAuth error code of a failure, `[a-z_]{1,64}`.

    """

    id: str
    company_id: str
    connection_id: str
    provider: str
    integration: str
    nango_id: str | None = None
    parameters: Mapping[str, str] = field(factory=dict)
    mode: AttemptMode | None = None
    state_hash: bytes
    nango_state: str | None = None
    nango_cookie: str | None = None
    redirect_url: RedirectUrl | None = None
    created_at: datetime
    expires_at: datetime
    check_at: datetime | None
    checks: int = 0
    claimed_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: Outcome | None = None
    error: str | None = None

    def tags(self, deployment: str) -> Mapping[str, str]:
        """Give what ties Nango's connection to this attempt."""
        return {
            "connection": self.connection_id,
            "company": self.company_id,
            "deployment": deployment,
            "attempt": self.id,
        }

    def confirmed_by(self, grant: Grant) -> bool:
        """Whether Nango's connection proves that exactly this attempt succeeded.

        A reconnect that was only opened, was denied or has failed leaves the tags of the authorization
        before it, so timestamps and the connection tag alone prove nothing. In relay mode, a grant that is
        there before the browser came back to us does not count, either: somebody else has then shown Nango
        its own state, which can be guessed in part.
        """
        if self.mode is AttemptMode.RELAY and self.claimed_at is None:
            return False
        return (
            grant.tags.get("attempt") == self.id
            and grant.tags.get("connection") == self.connection_id
            and grant.tags.get("company") == self.company_id
            and grant.integration == self.integration
            and self.nango_id in (None, grant.nango_id)
        )

    def holds(self, now: datetime) -> bool:
        """Whether a callback of this attempt is being relayed, so that its siblings wait."""
        return self.closed_at is None and self.claimed_at is not None and now < self.claimed_at + HOLD

    def may_succeed(self, now: datetime) -> bool:
        """Whether its outcome is open: a callback that came in time may take longer than the hour."""
        return self.closed_at is None and (self.claimed_at is not None or now < self.expires_at)

    def worth_waiting_for(self, now: datetime) -> bool:
        """Whether a page may keep a person waiting for the outcome, which mostly takes seconds.

        If it should have been there minutes ago, waiting does not help: an operator has to mend something.
        """
        if self.closed_at is not None:
            return False
        if self.claimed_at is not None:
            return now < self.claimed_at + GIVE_UP
        return now < self.created_at + PATIENCE

    def next_check(self, now: datetime) -> datetime:
        """When the worker looks again at an attempt that is still open.

        Claimed: after `LOOKUP_DELAY`, then twice as long each time, up to 16 times as long. In relay mode:
        when it expires, since the browser comes to us before that. Otherwise: by `POLL_DELAYS`.
        """
        if self.claimed_at is not None:
            return now + LOOKUP_DELAY * (1 << min(self.checks, 4))
        if self.mode is AttemptMode.RELAY:
            return self.expires_at
        delay = POLL_DELAYS[min(self.checks, len(POLL_DELAYS) - 1)]
        return min(now + timedelta(seconds=delay), self.expires_at)


def safe_error(error: str | None) -> str:
    """Pass on OAuth's error code only where it is one: nothing else of a query reaches a page or an app."""
    return error if error and re.fullmatch(r"[a-z_]{1,64}", error) else "unknown_error"
