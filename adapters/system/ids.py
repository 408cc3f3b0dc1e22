"""Randomness from the operating system."""

from __future__ import annotations

import secrets
import time
import uuid

from application.ports import Ids
from domain.authorization import STATE_PREFIX


class SystemIds(Ids):
    """Ids for the real world."""

    def connection_id(self) -> str:
        """Give `conn_` and a UUIDv7 (RFC 9562 §5.7), so that ids made together lie together in an index."""
        milliseconds = time.time_ns() // 1_000_000
        value = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
        return f"conn_{uuid.UUID(int=value)}"

    def random_id(self) -> str:
        """Give a UUIDv4."""
        return str(uuid.uuid4())

    def state(self) -> str:
        """Give 256 bits behind our prefix."""
        return STATE_PREFIX + secrets.token_urlsafe(32)
