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

# From company to company, and in each from the oldest on, by connections_stale: the cost grows
# with the companies and not with what they have. The clock is read once: a volatile function beside the
# column would keep the index out.
_STALE = f"""
WITH RECURSIVE companies (company_id) AS (
    (SELECT company_id FROM connections WHERE {_LOOKED_AT} ORDER BY company_id LIMIT 1)
    UNION ALL
    SELECT (SELECT company_id FROM connections
            WHERE {_LOOKED_AT} AND company_id > companies.company_id ORDER BY company_id LIMIT 1)
    FROM companies WHERE companies.company_id IS NOT NULL),
picked AS (
    SELECT company_id, id, place, last_synced_at FROM companies CROSS JOIN LATERAL (
        SELECT id, last_synced_at, row_number() OVER (ORDER BY last_synced_at) AS place
        FROM connections
        WHERE {_LOOKED_AT} AND connections.company_id = companies.company_id
            AND last_synced_at < (SELECT clock()) - $1::interval
            AND NOT EXISTS (
                SELECT FROM jobs WHERE kind = 'recheck'
                    AND (jobs.company_id, jobs.connection_id) = (connections.company_id, connections.id))
        ORDER BY last_synced_at LIMIT $3) AS oldest
    ORDER BY place, last_synced_at LIMIT $2)
SELECT {CONNECTION_COLUMNS} FROM picked JOIN connections USING (company_id, id, last_synced_at)
ORDER BY place, last_synced_at
"""  # noqa: S608 - constants

_TURN = """
INSERT INTO turns (name, next_at) VALUES ($1, clock() + $2::interval)
ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at WHERE turns.next_at <= clock()
RETURNING true
"""


async def of_grants(session: Session, grants: Sequence[tuple[str, str]]) -> Sequence[Connection]:
    """See the port."""
    # They are Nango's words: with a NUL among them PostgreSQL would look none of them up.
    storable = [grant for grant in grants if "\0" not in "".join(grant)]
    integrations = [integration for integration, _ in storable]
    nango_ids = [nango_id for _, nango_id in storable]
    return [connection_of(row) for row in await session.rows(_OF_GRANTS, integrations, nango_ids)]


async def authorized(session: Session, after: str | None, limit: int) -> Sequence[Connection]:
    """See the port."""
    return [connection_of(row) for row in await session.rows(_AUTHORIZED, after or "", limit)]


async def stale(
    session: Session, older_than: timedelta, limit: int, per_company: int
) -> Sequence[Connection]:
    """See the port."""
    rows = await session.rows(_STALE, older_than, limit, per_company)
    return [connection_of(row) for row in rows]


async def take_turn(session: Session, name: str, every: timedelta) -> bool:
    """See the port."""
    return await session.row(_TURN, name, every) is not None
