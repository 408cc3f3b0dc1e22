"""What the database's errors mean to the core: the one table (docs/operations.md tells it to operators).

Mapped by class or SQLSTATE and never by asyncpg's bases: its DataError and ConnectionDoesNotExistError both
derive from PostgresError, its InternalClientError from neither PostgresError nor InterfaceError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
from asyncpg.exceptions import InternalClientError

from domain.errors import (
    ConcurrentChange,
    ConnectionNotFound,
    DomainError,
    InvalidInput,
    StoreRefused,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    InternalClientError,
    OSError,
    UnicodeEncodeError,
)
"""Everything that talking to the database may raise; TimeoutError is an OSError."""

_UNSTORABLE = frozenset({"22021", "22P05", "22P02", "22003", "54001"})
_DUPLICATE = "23505"
_GAVE_WAY = frozenset({"40001", "40P01"})
_TOO_SLOW = frozenset({"55P03", "57014"})
_OUTAGE = frozenset({"57P01", "57P02", "57P03", "53300", "25006", "25P03"})
_FOREIGN_KEY = "23503"
_NOT_MIGRATED = (
    "Is `connections migrate` done with this release, and may the role use the schema? If so, report this."
)
_NOT_LET_IN = (
    "Check the user, password and database in CONNECTIONS_DATABASE_URL, pg_hba.conf, and the role's grants."
)
_IN_NEED = (
    "The database's host lacks disk, memory or locks, or its disk fails: see its log, and mend it there."
)
_REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("42P01", "42P10", "42703", "42883", "3F000"), _NOT_MIGRATED),
    **dict.fromkeys(("28000", "28P01", "3D000", "42501"), _NOT_LET_IN),
}
"""It answers, but not us: what an operator is to do."""
_NEEDS: Final = ("53", "58")
"""SQLSTATE's classes of insufficient resources and of system errors (docs/adr/0008-a-database-in-need.md)."""


class StoreFault(Exception):
    """The database refused a statement for a reason that is our mistake.

    It names the SQLSTATE and the constraint, and not the row, which PostgreSQL would print with its values.
    """


def is_outage(error: BaseException) -> bool:
    """Whether no connection of the pool can be trusted after this error: all of them are to be made anew."""
    if isinstance(error, asyncpg.DataError | TimeoutError):
        return False
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith("08") or error.sqlstate in _OUTAGE
    return isinstance(error, asyncpg.InterfaceError | InternalClientError | OSError)


def gave_way(error: BaseException) -> bool:
    """Whether PostgreSQL undid a statement because it conflicted with another: a second try may succeed."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _GAVE_WAY


def translate(error: BaseException) -> Exception:
    """Give the core's word for an error of the driver; raise it `from None`, as drivers echo arguments."""
    if is_outage(error) or isinstance(error, TimeoutError):
        return StoreUnavailable(why=_why(error))
    if isinstance(error, asyncpg.DataError | UnicodeEncodeError):
        return unstorable()
    if isinstance(error, asyncpg.PostgresError):
        return _by_sqlstate(error)
    return StoreFault(type(error).__name__)


def _by_sqlstate(error: asyncpg.PostgresError) -> Exception:
    state = error.sqlstate or ""
    constraint = getattr(error, "constraint_name", None)
    answer: DomainError
    if state in _UNSTORABLE:
        answer = unstorable()
    elif state == _DUPLICATE:
        answer = ConcurrentChange()
    elif state in _TOO_SLOW | _GAVE_WAY:
        answer = StoreUnavailable(why=_why(error))
    elif state in _REFUSED:
        answer = StoreRefused(why=f"{_why(error)}. {_REFUSED[state]}")
    elif state.startswith(_NEEDS):
        answer = StoreRefused(why=f"{_why(error)}. {_IN_NEED}")
    elif state == _FOREIGN_KEY and (constraint or "").endswith("_connection"):
        answer = ConnectionNotFound()
    else:
        return StoreFault(f"{state} {type(error).__name__}, constraint {constraint}: {error.args[0]}")
    return answer


def _why(error: BaseException) -> str:
    """Say what happened. PostgreSQL's message names tables and roles, and keeps the row for its detail.

    The driver's own messages may quote the database's address, password and all.
    """
    if isinstance(error, asyncpg.PostgresError):
        return f"{error.sqlstate}: {error.args[0]}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def unstorable() -> InvalidInput:
    """Say that a value is one that PostgreSQL has no place for; validation should have found it before."""
    return InvalidInput(("request", "holds a value that cannot be stored"))
