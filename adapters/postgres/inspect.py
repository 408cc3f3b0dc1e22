"""Look at a database from outside the pool, for whoever has to find out what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
from attrs import frozen

from adapters.postgres.errors import DRIVER_ERRORS
from adapters.postgres.hosts import connect
from adapters.postgres.migrate import current, shipped
from adapters.postgres.pool import SERVER_TIMEOUTS
from application.ports import HEARTBEAT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

DEADLINE = 5.0

_LOOK = """
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS called,
    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS read_only,
    clock_timestamp() AS now,
    ARRAY(SELECT name FROM unnest($1::text[]) AS name WHERE current_setting(name) = '0') AS unlimited
"""


_OVERDUE = "SELECT clock() - next_at FROM turns WHERE name = $1"


class NoDatabase(Exception):
    """The database cannot be looked at; the message says why, without the address or the password."""


@frozen(kw_only=True)
class DatabaseFacts:
    """What was seen.

    Attributes:
        version: 180001 for 18.1, as PostgreSQL numbers it.
        revision: of the schema; 0 where it was never migrated. `shipped` is the one of this release.
        read_only: a standby, or set so.
        ahead: this host's clock minus the database's. It is wrong by at most half of the time that the look
            took.
        overdue: how long ago the worker should have begun its next round. Below zero, that round is still to
            come; None says that no worker has ever run, or that the schema is not this release's.
        unlimited: the timeouts that a session of our role does not have unless it asks for them.

    """

    version: int
    called: str
    revision: int
    shipped: int
    read_only: bool
    ahead: timedelta
    overdue: timedelta | None
    unlimited: Sequence[str]


async def inspect(url: str) -> DatabaseFacts:
    """Look at the database, also through pgbouncer.

    Raises:
        NoDatabase: it does not answer, or does not let us in.

    """
    try:
        connection = await connect(url, timeout=DEADLINE, command_timeout=DEADLINE, statement_cache_size=0)
        try:
            before = datetime.now(UTC)
            row = await connection.fetchrow(_LOOK, list(SERVER_TIMEOUTS))
            after = datetime.now(UTC)
            revision, known = await current(connection), len(shipped())
            overdue = await connection.fetchval(_OVERDUE, HEARTBEAT) if revision >= known else None
        finally:
            connection.terminate()
    except (*DRIVER_ERRORS, ValueError) as error:
        raise NoDatabase(_why(error)) from None
    assert row is not None  # noqa: S101 - a SELECT without FROM gives one row
    return DatabaseFacts(
        version=row["version"],
        called=row["called"],
        revision=revision,
        shipped=known,
        read_only=row["read_only"],
        ahead=before + (after - before) / 2 - row["now"],
        overdue=overdue,
        unlimited=row["unlimited"],
    )


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"It does not answer within {DEADLINE:.0f} s."
    if isinstance(error, asyncpg.PostgresError):
        return f"It says: {error.args[0]}."
    if isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return "None of the hosts is of the kind that target_session_attrs asks for."
    if isinstance(error, OSError):
        return f"It cannot be reached: {error.strerror or type(error).__name__}."
    # What the driver says of an address that it cannot read quotes it, password and all.
    return f"Its address cannot be understood, or leads to something else ({type(error).__name__})."
