"""What operators watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

HEARTBEAT = "schedule checks"
"""The name of the turn (`Store.take_turn`) that some worker takes at least once a minute, in any settings.

If nobody has taken it for longer, no worker runs.
"""


@frozen(kw_only=True)
class Overdue:
    """Work that a worker could begin now, and how long the oldest of it has waited."""

    count: int
    oldest: timedelta


@frozen(kw_only=True)
class Survey:
    """What the database holds, over all companies.

    `connections`: by provider and status; empty where counting them would have taken too long.
    `feed_held`: for how long one open transaction has kept later events out of the companies' feeds.
    `round_overdue`: for how long the `HEARTBEAT` has been due; if no worker ever ran, since the migration.
    """

    connections: Mapping[tuple[str, str], int]
    attempts: Overdue
    jobs: Overdue
    feed_held: timedelta
    round_overdue: timedelta


@frozen(kw_only=True)
class PoolState:
    """How the pool of connections to the database is doing; `waiting` counts those who wait for one."""

    size: int
    idle: int
    max_size: int
    waiting: int
