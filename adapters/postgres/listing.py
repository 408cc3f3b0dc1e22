"""Lists of connections: newest first, by keyset, so that a page costs the same wherever it is.

Each filter has an index that ends in (created_at, id); `name` has none and is looked for along the way.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adapters.postgres.cursors import cursor_of, read_cursor
from adapters.postgres.rows import SUMMARY_COLUMNS, VISIBLE, summary_of
from application.ports import Page

if TYPE_CHECKING:
    from adapters.postgres.pool import Session
    from application.ports import ConnectionFilter, ConnectionSummary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DIGITS = range(10, 15)
"""Of the milliseconds since 1970."""


async def list_connections(
    session: Session, company_id: str, wanted: ConnectionFilter, *, limit: int, cursor: str | None
) -> Page[ConnectionSummary]:
    """Give one page.

    Raises:
        InvalidInput: the cursor is none of ours.

    """
    sql, args = _statement(company_id, wanted, limit, cursor)
    rows = await session.rows(sql, *args)
    items = [summary_of(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items=items, has_more=more, next_cursor=_cursor_after(items[-1]) if more else None)


def _statement(
    company_id: str, wanted: ConnectionFilter, limit: int, cursor: str | None
) -> tuple[str, list[object]]:
    conditions = ["company_id = $1", VISIBLE]
    args: list[object] = [company_id]

    def where(condition: str, *values: object) -> None:
        places = [f"${len(args) + n}" for n in range(1, len(values) + 1)]
        conditions.append(condition.format(*places))
        args.extend(values)

    if wanted.provider is not None:
        where("provider = {}", wanted.provider)
    if wanted.status is not None:
        where("status = {}", wanted.status)
    if wanted.external_account_id is not None:
        where("external_account_id = {}", wanted.external_account_id)
    if wanted.name is not None:
        where("name ILIKE {}", f"%{_literally(wanted.name)}%")
    if cursor is not None:
        where("(created_at, id) < ({}, {})", *_position(cursor))
    # One more than wanted tells whether there is more.
    args.append(limit + 1)
    sql = (
        f"SELECT {SUMMARY_COLUMNS} FROM connections WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants
        f"ORDER BY created_at DESC, id DESC LIMIT ${len(args)}"
    )
    return sql, args


def _literally(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _cursor_after(connection: ConnectionSummary) -> str:
    return cursor_of((connection.created_at - _EPOCH) // _MILLISECOND, connection.id)


def _position(cursor: str) -> tuple[datetime, str]:
    milliseconds, connection_id = read_cursor(cursor, _DIGITS)
    return _EPOCH + milliseconds * _MILLISECOND, connection_id
