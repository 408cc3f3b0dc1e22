"""Owe a connection a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application.ports import Job, JobKind

if TYPE_CHECKING:
    from datetime import timedelta

    from application.ports import Ids, Transaction
    from domain.connection import Connection


async def owe_a_look(tx: Transaction, connection: Connection, ids: Ids, *, delay: timedelta) -> None:
    """Have the worker look at a connection, if it is not going to sooner."""
    await tx.jobs.add(
        Job(
            id=ids.random_id(),
            kind=JobKind.RECHECK,
            company_id=connection.company_id,
            connection_id=connection.id,
            due_at=tx.now + delay,
        )
    )
