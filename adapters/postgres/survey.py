"""Numbers for operators: what the database holds, and how the pool is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from adapters.postgres.pool import session
from adapters.postgres.rows import VISIBLE
from application.ports import HEARTBEAT, Overdue, PoolState, Survey
from domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    import asyncpg

    from adapters.postgres.pool import Pool, Session

_CONNECTIONS = f"SELECT provider, status, count(*) AS number FROM connections WHERE {VISIBLE} GROUP BY 1, 2"  # noqa: S608 - a constant

# The clock is read once: compared with a volatile function, the column could not be looked up in the index.
_OVERDUE = """
SELECT count(*) AS count, coalesce((SELECT clock()) - min({due}), interval '0') AS oldest
FROM {table} WHERE {due} <= (SELECT clock())
"""
_ATTEMPTS = _OVERDUE.format(table="attempts", due="check_at")
_JOBS = _OVERDUE.format(table="jobs", due="due_at")

# xmin is the oldest transaction that is still open, and all from xmax on have not ended, either. If xmin is
# before xmax, a later one has ended, and xmin keeps its events out of the feeds. Only a role that may see
# everybody's activity is told when xmin began, so its time is counted from our first look at it.
_HORIZON = """
SELECT clock() AS now, pg_snapshot_xmin(seen)::text AS oldest,
    pg_snapshot_xmin(seen) < pg_snapshot_xmax(seen) AS holding
FROM pg_current_snapshot() AS seen
"""

_ROUND = """
SELECT greatest(interval '0', clock() - coalesce(
    (SELECT next_at FROM turns WHERE name = $1), (SELECT max(applied_at) FROM schema_migrations))) AS overdue
"""


@define
class PostgresSurvey:
    """Looks at the pool, and through it at the database; remembers since when the feeds are held up."""

    _pool: Pool
    _held_by: str | None = field(init=False, default=None)
    _held_since: datetime | None = field(init=False, default=None)

    async def __call__(self) -> Survey:
        """Count what the database holds.

        Raises:
            StoreUnavailable: no answer.

        """
        async with session(self._pool) as work:
            return Survey(
                attempts=_overdue(await work.row(_ATTEMPTS)),
                jobs=_overdue(await work.row(_JOBS)),
                feed_held=self._held(await work.row(_HORIZON)),
                round_overdue=await _round_overdue(work),
                connections=await _count(work),
            )

    def pool(self) -> PoolState:
        """Look at the pool."""
        return PoolState(
            size=self._pool.get_size(),
            idle=self._pool.get_idle_size(),
            max_size=self._pool.get_max_size(),
            waiting=self._pool.turns.waiting,
        )

    def _held(self, row: asyncpg.Record | None) -> timedelta:
        assert row is not None  # noqa: S101 - a function always gives a row
        now: datetime = row["now"]
        if self._held_since is None or not row["holding"] or row["oldest"] != self._held_by:
            self._held_by, self._held_since = row["oldest"], now
        return now - self._held_since


async def _round_overdue(work: Session) -> timedelta:
    row = await work.row(_ROUND, HEARTBEAT)
    assert row is not None  # noqa: S101 - a SELECT without FROM gives one row
    overdue: timedelta = row["overdue"]
    return overdue


async def _count(work: Session) -> Mapping[tuple[str, str], int]:
    # The one statement that reads a whole table: where that takes too long, the database still serves.
    try:
        rows = await work.rows(_CONNECTIONS)
    except StoreUnavailable:
        return {}
    return {(row["provider"], row["status"]): row["number"] for row in rows}


def _overdue(row: asyncpg.Record | None) -> Overdue:
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return Overdue(count=row["count"], oldest=row["oldest"])
