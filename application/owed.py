"""Owe a connection a look, and try again what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application.ports import Job, JobKind

if TYPE_CHECKING:
    from datetime import timedelta

    from application.ports import Ids, Store, Transaction
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


async def try_again(store: Store, job: Job, *, first: timedelta, tries: int) -> None:
    """Owe a job that failed for longer, `first` and then twice as long each time; after `tries`, no more.

    What was asked for anew while the job was under way stays as it was asked for.
    """
    async with store.begin() as tx:
        if job.tries + 1 >= tries:
            await tx.jobs.finish(job.id, due_at=job.due_at)
        else:
            await tx.jobs.reschedule(job, tx.now + first * (1 << job.tries))
