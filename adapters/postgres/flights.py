"""Refreshes and verifications under way: one of a kind for each connection, over all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application.ports import Flight
from domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from datetime import timedelta

    from adapters.postgres.pool import Session
    from application.ports import FlightKind

# A flight whose lease is over has crashed: the next caller takes its row, under another id.
_BOARD = """
WITH mine AS (
    INSERT INTO flights (company_id, connection_id, kind, lease_until)
    VALUES ($1, $2, $3, clock() + $4::interval)
    ON CONFLICT (company_id, connection_id, kind) WHERE landed_at IS NULL
    DO UPDATE SET id = excluded.id, lease_until = excluded.lease_until
        WHERE flights.lease_until <= clock()
    RETURNING id)
SELECT id, true AS ours FROM mine
UNION ALL
SELECT id, false FROM flights
WHERE company_id = $1 AND connection_id = $2 AND kind = $3 AND landed_at IS NULL
    AND NOT EXISTS (SELECT FROM mine)
"""
_TRIES = 10


async def board(
    session: Session, company_id: str, connection_id: str, kind: FlightKind, lease: timedelta
) -> tuple[Flight, bool]:
    """Join or start a flight.

    Raises:
        ConnectionNotFound: the company has no such connection.

    """
    # Another's flight may begin, or land, in the instant between our insert and our look.
    for _ in range(_TRIES):
        row = await session.row(_BOARD, company_id, connection_id, kind, lease)
        if row is not None:
            return Flight(id=row["id"]), row["ours"]
    raise StoreUnavailable


async def land(session: Session, flight_id: str, outcome: str) -> None:
    """Note the outcome; nothing happens where the lease was over and another took the flight."""
    await session.run(
        "UPDATE flights SET landed_at = clock(), outcome = $2 WHERE id = $1 AND landed_at IS NULL",
        flight_id,
        outcome,
    )


async def look(session: Session, flight_id: str) -> Flight | None:
    """Give a flight by its id."""
    row = await session.row("SELECT id, outcome FROM flights WHERE id = $1", flight_id)
    return Flight(id=row["id"], outcome=row["outcome"]) if row else None
