"""Where a list goes on, as a word that callers hand back: a number and the id of a connection.

Milliseconds since 1970 have ten digits and more, the versions in a history's cursors nine at most: neither
list takes the other's cursor for a place of its own.
"""

from __future__ import annotations

import base64
import binascii
import re

from domain.errors import InvalidInput

_PLACE = re.compile(r"([1-9][0-9]{0,13})\.([A-Za-z0-9_-]{1,64})")
_MAX = 120


def cursor_of(number: int, connection_id: str) -> str:
    """Write a place as a cursor."""
    return base64.urlsafe_b64encode(f"{number}.{connection_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str, digits: range) -> tuple[int, str]:
    """Read a place whose number has so many digits.

    Raises:
        InvalidInput: the cursor is none that we wrote.

    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    place = _PLACE.fullmatch(text)
    if place is None or len(place[1]) not in digits or len(cursor) > _MAX:
        raise not_ours()
    number, connection_id = int(place[1]), place[2]
    # Another spelling of the same bits.
    if cursor_of(number, connection_id) != cursor:
        raise not_ours()
    return number, connection_id


def not_ours() -> InvalidInput:
    """Say that a cursor is of another list."""
    return InvalidInput(("cursor", "must be a nextCursor of this list"))
