"""Work that is owed to a connection, how long the worker leaves it alone, and when it is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from application.ports import Job, JobKind

if TYPE_CHECKING:
    from datetime import datetime

    from application.ports import Ids, Store, Transaction
    from domain.connection import Connection

INLINE = timedelta(seconds=30)
"""How long the worker leaves alone what is being done while a caller waits."""

IMPORTING = timedelta(seconds=45)
"""How long the worker leaves an import alone: longer than it and its probe can take."""

LATE = timedelta(hours=1)
"""How long after we gave up on an import Nango may still finish it, at the worst."""

_LONGEST_WAIT = timedelta(minutes=30)
"""Between two tries of a job."""

_DOUBLINGS = 10
"""More doublings of any first wait would lead beyond the longest one, so the number need not grow further."""


async def owe_a_look(tx: Transaction, connection: Connection, ids: Ids, *, delay: timedelta) -> None:
    """Have the worker look at a connection after `delay`, unless it is going to do so sooner anyway."""
    await tx.jobs.add(
        Job(
            id=ids.random_id(),
            kind=JobKind.RECHECK,
            company_id=connection.company_id,
            connection_id=connection.id,
            due_at=tx.now + delay,
        )
    )


def removal(
    connection: Connection,
    ids: Ids,
    *,
    due_at: datetime,
    integration: str | None = None,
    nango_id: str | None = None,
) -> Job:
    """Give the job that removes at Nango what a connection's authorizations have left there.

    The worker finds the grants that are to go by their tags. `integration` and `nango_id` name one more, to
    go with them unless it is in use by then.
    """
    return Job(
        id=ids.random_id(),
        kind=JobKind.REMOVE,
        company_id=connection.company_id,
        connection_id=connection.id,
        due_at=due_at,
        integration=integration,
        nango_id=nango_id,
    )


async def try_again(store: Store, job: Job, *, first: timedelta, tries: int | None = None) -> bool:
    """Have a job that failed done later: after `first`, then twice as long each time, half an hour at most.

    Returns:
        False where it has been tried `tries` times. It is still owed then: the caller ends it.

    """
    if tries is not None and job.tries + 1 >= tries:
        return False
    async with store.begin() as tx:
        wait = min(first * (1 << min(job.tries, _DOUBLINGS)), _LONGEST_WAIT)
        await tx.jobs.reschedule(job, tx.now + wait)
    return True


async def try_a_few_times(store: Store, job: Job, *, first: timedelta, tries: int) -> None:
    """As `try_again`; after `tries`, the job is owed no more.

    What was asked for anew while the job was under way stays as it was asked for.
    """
    if not await try_again(store, job, first=first, tries=tries):
        async with store.begin() as tx:
            await tx.jobs.finish(job.id, due_at=job.due_at)
