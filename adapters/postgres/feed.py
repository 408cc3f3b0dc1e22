"""The history: of one connection, and of a whole company as a feed that a reader can follow.

Identity values are handed out when a row is written and seen when its transaction commits, in another order.
A reader who remembers the last one it saw would miss a slower transaction's rows. So the feed is ordered by
(transaction id, identity) and stops before the oldest transaction that is still running: nothing can appear
behind a reader any more. A transaction that has written and does not end, in any database of the cluster,
holds up every feed; ours end by `idle_in_transaction_session_timeout`, and `survey` tells of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.postgres.cursors import cursor_of, not_ours, read_cursor
from adapters.postgres.rows import EVENT_COLUMNS, event_of
from application.ports import Page
from domain.errors import ConnectionNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from adapters.postgres.pool import Session
    from domain.events import Event

_OF_CONNECTION = f"""
SELECT {EVENT_COLUMNS} FROM events WHERE company_id = $1 AND connection_id = $2 AND version > $3
ORDER BY version LIMIT $4
"""  # noqa: S608 - constants

_EXISTS = "SELECT true FROM connections WHERE company_id = $1 AND id = $2"

# The cursor names an event, and not its place: a restored dump has its places renumbered.
_OF_COMPANY = f"""
SELECT {EVENT_COLUMNS} FROM events
WHERE company_id = $1 AND txid < pg_snapshot_xmin(pg_current_snapshot())
    AND (txid, seq) > (SELECT txid, seq FROM events
                       WHERE company_id = $1 AND connection_id = $2 AND version = $3)
ORDER BY txid, seq LIMIT $4
"""  # noqa: S608 - constants

_OF_COMPANY_FROM_THE_START = f"""
SELECT {EVENT_COLUMNS} FROM events
WHERE company_id = $1 AND txid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY txid, seq LIMIT $2
"""  # noqa: S608 - constants

_IS_EVENT = "SELECT true FROM events WHERE company_id = $1 AND connection_id = $2 AND version = $3"

_DIGITS = range(1, 10)
"""Of a version."""


async def connection_events(
    session: Session, company_id: str, connection_id: str, *, limit: int, cursor: str | None
) -> Page[Event]:
    """Give a connection's history, oldest first.

    Raises:
        ConnectionNotFound: no such connection in this company.
        InvalidInput: the cursor is none of this connection's.

    """
    after = 0
    if cursor is not None:
        after, of = read_cursor(cursor, _DIGITS)
        if of != connection_id:
            raise not_ours()
    rows = await session.rows(_OF_CONNECTION, company_id, connection_id, after, limit + 1)
    if not rows and await session.row(_EXISTS, company_id, connection_id) is None:
        raise ConnectionNotFound
    return _page(rows, limit)


async def company_events(session: Session, company_id: str, *, limit: int, cursor: str | None) -> Page[Event]:
    """Give a company's history, oldest first.

    Raises:
        InvalidInput: the cursor is none of this company's.

    """
    if cursor is None:
        rows = await session.rows(_OF_COMPANY_FROM_THE_START, company_id, limit + 1)
        return _page(rows, limit)
    version, connection_id = read_cursor(cursor, _DIGITS)
    rows = await session.rows(_OF_COMPANY, company_id, connection_id, version, limit + 1)
    if not rows and await session.row(_IS_EVENT, company_id, connection_id, version) is None:
        raise not_ours()
    return _page(rows, limit)


def _page(rows: Sequence[asyncpg.Record], limit: int) -> Page[Event]:
    # One more than wanted tells whether there is more.
    items = [event_of(row) for row in rows[:limit]]
    cursor = cursor_of(items[-1].version, items[-1].connection_id) if items else None
    return Page(items=items, has_more=len(rows) > limit, next_cursor=cursor)
