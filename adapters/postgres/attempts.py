"""Attempts to authorize, inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.postgres.rows import ATTEMPT_COLUMNS, attempt_of, attempt_values
from application.ports import Attempts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from adapters.postgres.pool import Session
    from domain.authorization import Attempt, Outcome

_SELECT = f"SELECT {ATTEMPT_COLUMNS} FROM attempts"  # noqa: S608 - constants

_ADD = f"""
INSERT INTO attempts ({ATTEMPT_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
"""  # noqa: S608 - constants

_COUNT_OPEN = """
SELECT count(*) FILTER (WHERE connection_id = $2) AS connection, count(*) AS company FROM attempts
WHERE company_id = $1 AND closed_at IS NULL AND expires_at > clock()
"""

_UPDATE = """
UPDATE attempts SET nango_id = $4, mode = $5, nango_state = $6, nango_cookie = $7, check_at = $8
WHERE company_id = $1 AND connection_id = $2 AND id = $3 AND closed_at IS NULL RETURNING true
"""

_HURRY = """
UPDATE attempts SET check_at = $2 WHERE id = $1 AND closed_at IS NULL
"""

# A closed attempt has no check_at.
_CHECKED = """
UPDATE attempts SET check_at = $5, checks = checks + 1
WHERE company_id = $1 AND connection_id = $2 AND id = $3 AND check_at = $4 RETURNING true
"""

_CLAIM = f"""
UPDATE attempts SET claimed_at = $2, check_at = $3
WHERE id = $1 AND claimed_at IS NULL AND closed_at IS NULL AND expires_at > clock()
RETURNING {ATTEMPT_COLUMNS}
"""  # noqa: S608 - constants

_RELEASE = """
UPDATE attempts SET claimed_at = NULL, check_at = $2 WHERE id = $1 AND closed_at IS NULL
"""

_CLOSE = """
UPDATE attempts SET closed_at = $4, outcome = $2, error = $3, check_at = NULL
WHERE id = $1 AND closed_at IS NULL RETURNING true
"""


@frozen
class PostgresAttempts(Attempts):
    """Rows of `attempts`. A callback knows no company: ids and states are random and unique."""

    _session: Session

    async def add(self, attempt: Attempt) -> None:
        """See the port.

        Raises:
            ConnectionNotFound: the company has no such connection.

        """
        await self._session.run(_ADD, *attempt_values(attempt))

    async def get(self, attempt_id: str) -> Attempt | None:
        """See the port."""
        row = await self._session.row(f"{_SELECT} WHERE id = $1", attempt_id)
        return attempt_of(row) if row else None

    async def by_state(self, state_hash: bytes) -> Attempt | None:
        """See the port."""
        row = await self._session.row(f"{_SELECT} WHERE state_hash = $1", state_hash)
        return attempt_of(row) if row else None

    async def of(self, company_id: str, connection_id: str) -> Sequence[Attempt]:
        """See the port."""
        rows = await self._session.rows(
            f"{_SELECT} WHERE company_id = $1 AND connection_id = $2 ORDER BY created_at, id",
            company_id,
            connection_id,
        )
        return [attempt_of(row) for row in rows]

    async def count_open(self, company_id: str, connection_id: str) -> tuple[int, int]:
        """See the port; one that has expired is no longer open, even before the worker closes it."""
        row = await self._session.row(_COUNT_OPEN, company_id, connection_id)
        return (row["connection"], row["company"]) if row else (0, 0)

    async def update(self, attempt: Attempt) -> bool:
        """See the port."""
        row = await self._session.row(
            _UPDATE,
            attempt.company_id,
            attempt.connection_id,
            attempt.id,
            attempt.nango_id,
            attempt.mode,
            attempt.nango_state,
            attempt.nango_cookie,
            attempt.check_at,
        )
        return row is not None

    async def hurry(self, attempt_id: str, *, check_at: datetime) -> None:
        """See the port."""
        await self._session.run(_HURRY, attempt_id, check_at)

    async def checked(self, attempt: Attempt, *, check_at: datetime) -> bool:
        """See the port."""
        row = await self._session.row(
            _CHECKED, attempt.company_id, attempt.connection_id, attempt.id, attempt.check_at, check_at
        )
        return row is not None

    async def claim(self, attempt_id: str, *, at: datetime, check_at: datetime) -> Attempt | None:
        """See the port."""
        row = await self._session.row(_CLAIM, attempt_id, at, check_at)
        return attempt_of(row) if row else None

    async def release(self, attempt_id: str, *, check_at: datetime) -> None:
        """See the port."""
        await self._session.run(_RELEASE, attempt_id, check_at)

    async def close(self, attempt_id: str, outcome: Outcome, error: str | None, *, at: datetime) -> bool:
        """See the port."""
        return await self._session.row(_CLOSE, attempt_id, outcome, error, at) is not None
