"""Refreshes and verifications under way: one of a kind for each connection, over all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application.ports import Flight
from domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from datetime import timedelta

    from adapters.postgres.pool import Session
    from application.ports import FlightKind

# A flight that the database loses in a crash is just flown again. So no write here waits for the disk or for
# a standby, as a refresh would otherwise do three times.
_UNHURRIED = "set_config('synchronous_commit', 'off', true)"

# A flight whose lease is over has crashed: the next caller takes its row, under another id.
_BOARD = f"""
WITH mine AS (
    INSERT INTO flights (company_id, connection_id, kind, id, lease_until)
    VALUES ($1, $2, $3, $4, clock() + $5::interval)
    ON CONFLICT (company_id, connection_id, kind) WHERE landed_at IS NULL
    DO UPDATE SET id = excluded.id, lease_until = excluded.lease_until
        WHERE flights.lease_until <= clock() OR flights.id = excluded.id
    RETURNING id, {_UNHURRIED})
SELECT id, true AS ours FROM mine
UNION ALL
SELECT id, false FROM flights
WHERE company_id = $1 AND connection_id = $2 AND kind = $3 AND landed_at IS NULL
    AND NOT EXISTS (SELECT FROM mine)
"""  # noqa: S608 - constants
_KEEP_UP = f"""
UPDATE flights SET lease_until = clock() + $2::interval WHERE id = $1 RETURNING {_UNHURRIED}
"""  # noqa: S608 - constants
_LAND = f"""
UPDATE flights SET landed_at = clock(), outcome = $2 WHERE id = $1 AND landed_at IS NULL
RETURNING {_UNHURRIED}
"""  # noqa: S608 - constants
_LOOK = """
SELECT id, outcome, landed_at IS NULL AND lease_until <= clock() AS crashed FROM flights WHERE id = $1
"""
_TRIES = 10


async def board(
    session: Session,
    company_id: str,
    connection_id: str,
    kind: FlightKind,
    flight_id: str,
    lease: timedelta,
) -> tuple[Flight, bool]:
    """Join or start a flight."""
    # Another's flight may begin, or land, in the instant between our insert and our look.
    for _ in range(_TRIES):
        row = await session.row(_BOARD, company_id, connection_id, kind, flight_id, lease)
        if row is not None:
            return Flight(id=row["id"]), row["ours"]
    raise StoreUnavailable


async def keep_up(session: Session, flight_id: str, lease: timedelta) -> None:
    """Extend the lease; nothing happens where it was over and another took the flight."""
    await session.run(_KEEP_UP, flight_id, lease)


async def land(session: Session, flight_id: str, outcome: str) -> None:
    """Note the outcome; nothing happens where the lease was over and another took the flight."""
    await session.run(_LAND, flight_id, outcome)


async def look(session: Session, flight_id: str) -> Flight | None:
    """Give a flight by its id."""
    row = await session.row(_LOOK, flight_id)
    return Flight(**dict(row)) if row else None
