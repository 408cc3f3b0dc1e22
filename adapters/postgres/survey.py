"""Numbers for operators: what the database holds, and how the pool is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.postgres.pool import session
from adapters.postgres.rows import VISIBLE
from application.ports import Overdue, PoolState, Survey

if TYPE_CHECKING:
    import asyncpg

    from adapters.postgres.pool import Pool

_CONNECTIONS = f"SELECT provider, status, count(*) AS number FROM connections WHERE {VISIBLE} GROUP BY 1, 2"  # noqa: S608 - a constant

# The clock is read once: a volatile function beside the column would keep the index out.
_OVERDUE = """
SELECT count(*) AS count, coalesce((SELECT clock()) - min({due}), interval '0') AS oldest
FROM {table} WHERE {due} <= (SELECT clock())
"""
_ATTEMPTS = _OVERDUE.format(table="attempts", due="check_at")
_JOBS = _OVERDUE.format(table="jobs", due="due_at")


@frozen
class PostgresSurvey:
    """Looks at the pool, and through it at the database."""

    _pool: Pool

    async def __call__(self) -> Survey:
        """Count what the database holds.

        Raises:
            StoreUnavailable: no answer; the statement timeout bounds what a large table may cost.

        """
        async with session(self._pool) as work:
            return Survey(
                connections={
                    (row["provider"], row["status"]): row["number"] for row in await work.rows(_CONNECTIONS)
                },
                attempts=_overdue(await work.row(_ATTEMPTS)),
                jobs=_overdue(await work.row(_JOBS)),
            )

    def pool(self) -> PoolState:
        """Look at the pool."""
        return PoolState(
            size=self._pool.get_size(),
            idle=self._pool.get_idle_size(),
            max_size=self._pool.get_max_size(),
            waiting=self._pool.turns.waiting,
        )


def _overdue(row: asyncpg.Record | None) -> Overdue:
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return Overdue(count=row["count"], oldest=row["oldest"])
