"""What the worker needs to see of all companies to keep connections true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.postgres.rows import CONNECTION_COLUMNS, VISIBLE, connection_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from adapters.postgres.pool import Session
    from domain.connection import Connection

_OF_GRANTS = f"""
SELECT {CONNECTION_COLUMNS} FROM connections
WHERE (integration, nango_id) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND {VISIBLE}
"""  # noqa: S608 - constants

_AUTHORIZED = f"""
SELECT {CONNECTION_COLUMNS} FROM connections
WHERE nango_id IS NOT NULL AND {VISIBLE} AND id > $1 ORDER BY id LIMIT $2
"""  # noqa: S608 - constants

_LOOKED_AT = "status = 'active' AND deleted_at IS NULL"

# Steps from company to company by connections_stale: the cost grows with the number of companies walked
# through, and not with that of their connections.
_WALK = f"""
WITH RECURSIVE walk (company_id, step) AS (
    SELECT $1::text, 0
    UNION ALL
    SELECT (SELECT company_id FROM connections
            WHERE {_LOOKED_AT} AND company_id > walk.company_id
            ORDER BY company_id, last_synced_at LIMIT 1), step + 1
    FROM walk WHERE company_id IS NOT NULL AND step < $2)
SELECT company_id FROM walk WHERE company_id IS NOT NULL AND step > 0 ORDER BY step
"""  # noqa: S608 - constants

# In each company from the oldest on, by connections_stale too. The clock is read once, since a column that is
# compared with a volatile function cannot be looked up in an index. OFFSET 0 keeps PostgreSQL from reading
# all jobs for each company.
_STALE = f"""
WITH picked AS (
    SELECT company_id, id, place, step, last_synced_at
    FROM unnest($2::text[]) WITH ORDINALITY AS walked (company_id, step) CROSS JOIN LATERAL (
        SELECT id, last_synced_at, row_number() OVER (ORDER BY last_synced_at) AS place
        FROM connections
        WHERE {_LOOKED_AT} AND connections.company_id = walked.company_id
            AND last_synced_at < (SELECT clock()) - $1::interval
            AND NOT EXISTS (
                SELECT FROM jobs WHERE kind = 'recheck'
                    AND (jobs.company_id, jobs.connection_id) = (connections.company_id, connections.id)
                OFFSET 0)
        ORDER BY last_synced_at LIMIT $4) AS oldest
    ORDER BY place, CASE WHEN place = 1 THEN step END, last_synced_at LIMIT $3)
SELECT {CONNECTION_COLUMNS} FROM picked JOIN connections USING (company_id, id, last_synced_at)
ORDER BY place, CASE WHEN place = 1 THEN step END, last_synced_at
"""  # noqa: S608 - constants

_PLACE = "SELECT place FROM turns WHERE name = $1"

_REMEMBER = """
INSERT INTO turns (name, next_at, place) VALUES ($1, clock(), $2)
ON CONFLICT (name) DO UPDATE SET place = excluded.place
"""

_TURN = """
INSERT INTO turns (name, next_at) VALUES ($1, clock() + $2::interval)
ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at WHERE turns.next_at <= clock()
RETURNING true
"""


async def of_grants(session: Session, grants: Sequence[tuple[str, str]]) -> Sequence[Connection]:
    """See the port."""
    # They are Nango's words. One with a NUL is none of ours, and PostgreSQL would refuse all of them for it.
    storable = [grant for grant in grants if "\0" not in "".join(grant)]
    integrations = [integration for integration, _ in storable]
    nango_ids = [nango_id for _, nango_id in storable]
    return [connection_of(row) for row in await session.rows(_OF_GRANTS, integrations, nango_ids)]


async def authorized(session: Session, after: str | None, limit: int) -> Sequence[Connection]:
    """See the port."""
    return [connection_of(row) for row in await session.rows(_AUTHORIZED, after or "", limit)]


async def stale(
    session: Session, older_than: timedelta, turn: str, companies: int, limit: int, per_company: int
) -> Sequence[Connection]:
    """See the port."""
    row = await session.row(_PLACE, turn)
    walked = await _walk(session, (row and row["place"]) or "", companies)
    if not walked:
        return []
    rows = await session.rows(_STALE, older_than, walked, limit, per_company)
    # A full page with one connection of each company may have left no room for the companies behind the last.
    cut = len({row["company_id"] for row in rows}) == limit
    await session.run(_REMEMBER, turn, rows[-1]["company_id"] if cut else walked[-1])
    return [connection_of(row) for row in rows]


async def _walk(session: Session, after: str, companies: int) -> list[str]:
    """Name the next companies in their order, and after the last the first ones, each once."""
    ahead = [row["company_id"] for row in await session.rows(_WALK, after, companies)]
    if len(ahead) < companies:
        ahead += [row["company_id"] for row in await session.rows(_WALK, "", companies - len(ahead))]
    return list(dict.fromkeys(ahead))


async def take_turn(session: Session, name: str, every: timedelta) -> bool:
    """See the port."""
    return await session.row(_TURN, name, every) is not None
