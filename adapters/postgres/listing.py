"""Lists of connections: newest first, by keyset, so that a page costs the same wherever it is.

Each filter has an index that ends in (created_at, id); `name` has none and is looked for along the way.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adapters.postgres.rows import SUMMARY_COLUMNS, VISIBLE, summary_of
from application.ports import Page
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from adapters.postgres.pool import Session
    from application.ports import ConnectionFilter, ConnectionSummary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# Milliseconds since 1970 have ten digits and more, the versions in a history's cursors nine at most: neither
# list takes the other's cursor for a place of its own.
_POSITION = re.compile(r"([1-9][0-9]{9,13})\.([A-Za-z0-9_-]{1,64})")
_MAX_CURSOR = 120


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
    milliseconds = (connection.created_at - _EPOCH) // _MILLISECOND
    return _encode(f"{milliseconds}.{connection.id}")


def _position(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = _POSITION.fullmatch(text)
    if match is None or len(cursor) > _MAX_CURSOR or _encode(text) != cursor:
        raise InvalidInput(("cursor", "must be a nextCursor of this list"))
    return _EPOCH + int(match[1]) * _MILLISECOND, match[2]


def _encode(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")
