"""Remove at Nango what is no longer ours to keep: after a delete, a disconnect, or a lost race."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from application.owed import INLINE, owe_a_look, removal, try_again
from domain.authorization import HOLD, AttemptMode, Outcome
from domain.errors import DomainError, IntegrationMissing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from application.ports import AuthGateway, Ids, Job, Store, Transaction
    from domain.authorization import Attempt, Grant
    from domain.connection import Connection

PATIENT = 4.5
"""Seconds for a removal that a caller waits for."""

HURRIED = 0.4
"""Seconds for a removal if the caller has already waited for a Nango that does not answer.

It probably does not answer this either, and the caller should not wait much longer.
"""

_AT_ONCE = timedelta(0)


@frozen
class RemoveGrants:
    """Does a REMOVE job.

    A grant that is found by its tags is removed only if the deployment tag is ours and our database proves
    that it is over; see `is_over`. Otherwise good connections would look like orphans after a restored
    backup. A grant that the job names is removed even if it has lost its tags at Nango, but not if it is the
    connection's own, or if its tags are another deployment's. What any visible connection uses stays.

    A reconnect keeps its Nango id, so what one leaves that succeeds after its attempt has ended is the
    connection's own grant, with credentials that nobody has looked at. It stays, and a look is owed.
    """

    _store: Store
    _gateway: AuthGateway
    _ids: Ids

    async def __call__(self, job: Job) -> None:
        """Remove, and owe it no more.

        Raises:
            DomainError: Nango does not answer; the job stays.

        """
        deployment = await self._store.deployment()
        grants = await self._gateway.find_grants({"connection": job.connection_id})
        async with self._store.begin() as tx:
            # Locked: an authorization that is stored between the two reads would look like one that has lost.
            connection = await tx.connections.get(job.company_id, job.connection_id, lock=True, deleted=True)
            attempts = await tx.attempts.of(job.company_id, job.connection_id)
        closed = {attempt.id for attempt in attempts if attempt.closed_at is not None}
        doomed = {
            (grant.integration, grant.nango_id)
            for grant in grants
            if grant.tags.get("deployment") == deployment and is_over(grant, connection, closed)
        }
        if job.integration and job.nango_id and not _is_kept(job, connection, grants, deployment):
            doomed.add((job.integration, job.nango_id))
        # Tags are Nango's word, and anybody with its key can change them: what we use ourselves is not over.
        in_use = {(each.integration, each.nango_id) for each in await self._store.of_grants(sorted(doomed))}
        for integration, nango_id in sorted(doomed - in_use):
            # An integration that Nango has removed holds nothing; what moved to another is found by its tags.
            with suppress(IntegrationMissing):
                await self._gateway.delete(integration, nango_id)
        unseen = any(_is_unseen(grant, connection, attempts) for grant in grants)
        async with self._store.begin() as tx:
            await tx.jobs.finish(job.id)
            if unseen:
                await owe_a_look(tx, connection, self._ids, delay=_AT_ONCE)

    async def later(self, job: Job) -> None:
        """Try again with a growing delay, for as long as it takes."""
        await try_again(self._store, job, first=timedelta(seconds=15))


async def remove_now(remove: RemoveGrants, job: Job, *, within: float = PATIENT) -> None:
    """Try the removal while the caller waits, for so many seconds; what does not succeed is the worker's."""
    try:
        async with asyncio.timeout(within):
            await remove(job)
    except (DomainError, TimeoutError):
        pass


def is_over(grant: Grant, connection: Connection, closed: set[str]) -> bool:
    """Whether our database proves that a grant with our tags is no longer wanted.

    It does if the connection was deleted, or if it has another grant and the attempt of this one is closed.
    """
    if connection.deleted_at is not None:
        return True
    return grant.nango_id != connection.nango_id and grant.tags.get("attempt") in closed


def _is_unseen(grant: Grant, connection: Connection, attempts: Sequence[Attempt]) -> bool:
    """Whether an attempt that had ended without success has put new credentials into the connection's grant.

    They may work where those before did not, and they may be another account's.
    """
    lost = {attempt.id for attempt in attempts if attempt.outcome not in (None, Outcome.SUCCEEDED)}
    own = connection.deleted_at is None and grant.nango_id == connection.nango_id
    return own and grant.tags.get("attempt") in lost


def _is_kept(job: Job, connection: Connection, grants: Sequence[Grant], deployment: str) -> bool:
    """Whether the grant that a job names is in use: by the connection, or by a copy of this database."""
    if connection.deleted_at is None and job.nango_id == connection.nango_id:
        return True
    return any(
        (grant.integration, grant.nango_id) == (job.integration, job.nango_id)
        and grant.tags.get("deployment") != deployment
        for grant in grants
    )


async def end_authorizations(
    tx: Transaction, connection: Connection, ids: Ids, *, nango_id: str | None = None
) -> Job:
    """Close every open attempt of a connection and owe its removal at Nango; give the job to do at once.

    `nango_id` names the grant where the connection does not know it yet. A callback that Nango is still
    working on re-creates a connection that was deleted there. So where one may be, the removal is owed a
    second time, after the last moment at which the callback can end.
    """
    attempts = await tx.attempts.of(connection.company_id, connection.id)
    again = [due for attempt in attempts if (due := may_complete_until(attempt))]
    for attempt in attempts:
        await tx.attempts.close(attempt.id, Outcome.SUPERSEDED, "superseded", at=tx.now)
    named = {"integration": connection.integration, "nango_id": nango_id or connection.nango_id}
    job = removal(connection, ids, due_at=tx.now + INLINE, **named)
    await tx.jobs.add(job)
    if again:
        await tx.jobs.add(removal(connection, ids, due_at=max(again), **named))
    return job


def may_complete_until(attempt: Attempt) -> datetime | None:
    """Say how long an open attempt may still leave a grant at Nango once we have closed it, if at all."""
    if attempt.closed_at is not None:
        return None
    if attempt.claimed_at is not None:
        return attempt.claimed_at + HOLD
    return None if attempt.mode in (None, AttemptMode.RELAY) else attempt.expires_at
