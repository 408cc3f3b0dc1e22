"""A company's connections, inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.postgres.rows import (
    CONNECTION_COLUMNS,
    EVENT_COLUMNS,
    VISIBLE,
    connection_of,
    connection_values,
    to_json,
)
from application.ports import Connections
from domain.errors import ConcurrentChange, ConnectionNotFound

if TYPE_CHECKING:
    from adapters.postgres.pool import Session
    from domain.connection import Connection
    from domain.events import Event
    from domain.history import Change

_GET = f"SELECT {CONNECTION_COLUMNS} FROM connections WHERE company_id = $1 AND id = $2"  # noqa: S608 - constants

# An active one is looked up by an index: a company may have very many, and auth-url is to be as fast for it.
_OF_PROVIDER = "company_id = $1 AND provider = $2 AND auth_kind = 'oauth' AND deleted_at IS NULL"
_FOR_AUTH_URL = f"""
SELECT {CONNECTION_COLUMNS} FROM connections
WHERE {_OF_PROVIDER} AND id = coalesce(
    (SELECT id FROM connections WHERE {_OF_PROVIDER} AND status = 'active'
     ORDER BY created_at DESC, id DESC LIMIT 1),
    (SELECT id FROM connections
     WHERE {_OF_PROVIDER} AND status IN ('pending', 'error', 'expired', 'disconnected')
     ORDER BY status = 'pending' DESC, updated_at DESC, id DESC LIMIT 1))
FOR UPDATE
"""  # noqa: S608 - constants

_PLACES = ", ".join(f"${n}" for n in range(1, 23))

_EVENT = f"""
INSERT INTO events ({EVENT_COLUMNS})
SELECT company_id, id, $23::integer, $24, $25::timestamptz, $26, $27, $28, $29, $30::json FROM written
RETURNING true
"""  # noqa: S608 - constants

_BIRTH = f"""
WITH written AS (
    INSERT INTO connections ({CONNECTION_COLUMNS})
    VALUES ({_PLACES})
    ON CONFLICT (company_id, provider)
        WHERE status = 'pending' AND origin = 'auth_url' AND deleted_at IS NULL DO NOTHING
    RETURNING company_id, id)
{_EVENT}
"""  # noqa: S608 - constants

_STEP = f"""
WITH written AS (
    UPDATE connections SET ({CONNECTION_COLUMNS}) = ({_PLACES})
    WHERE company_id = $1 AND id = $2 AND version = $31 AND status = $32 AND deleted_at IS NULL
    RETURNING company_id, id)
{_EVENT}
"""  # noqa: S608 - constants


@frozen
class PostgresConnections(Connections):
    """Rows of `connections` and the events that explain them."""

    _session: Session

    async def get(
        self, company_id: str, connection_id: str, *, lock: bool = False, deleted: bool = False
    ) -> Connection:
        """See the port."""
        sql = _GET + ("" if deleted else f" AND {VISIBLE}") + (" FOR UPDATE" if lock else "")
        row = await self._session.row(sql, company_id, connection_id)
        if row is None:
            raise ConnectionNotFound
        return connection_of(row)

    async def find_for_auth_url(self, company_id: str, provider: str) -> Connection | None:
        """See the port."""
        # Where the chosen row is deleted while we wait for its lock, the statement finds nothing at all.
        for _ in range(2):
            row = await self._session.row(_FOR_AUTH_URL, company_id, provider)
            if row is not None:
                return connection_of(row)
        return None

    async def save(self, change: Change) -> bool:
        """See the port: one statement writes the row and its event, or neither."""
        values = (*connection_values(change.after), *_event_values(change.event))
        if change.before is None:
            return await self._session.row(_BIRTH, *values) is not None
        if await self._session.row(_STEP, *values, change.before.version, change.before.status) is None:
            raise ConcurrentChange
        return True


def _event_values(event: Event) -> tuple[object, ...]:
    return (
        event.version,
        event.type,
        event.at,
        event.actor,
        event.status_before,
        event.status,
        event.reason,
        to_json(event.changes),
    )
