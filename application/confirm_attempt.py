"""The one way an attempt ends, whoever noticed first: relay, callback route, webhook or worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import frozen

from application.owed import INLINE, removal
from application.ports import Job, JobKind
from application.remove_grants import may_complete_until
from domain.authorization import HOLD, Outcome, safe_error
from domain.connection import DISCONNECTED, PENDING
from domain.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from application.identify_account import IdentifyAccount
    from application.ports import AuthGateway, Ids, Store, Transaction
    from application.remove_grants import RemoveGrants
    from domain.authorization import Attempt, Grant
    from domain.connection import Connection

_DO_NOW_DEADLINE = 3.0
"""Seconds for what a success owes, while its browser waits: the account's name, or a removal."""


@frozen
class ConfirmAttempt:
    """Asks Nango whether an attempt succeeded, and moves the connection accordingly, once.

    Only a grant that carries exactly the attempt's tags proves success (`Attempt.confirmed_by`).
    """

    _store: Store
    _gateway: AuthGateway
    _ids: Ids
    _identify: IdentifyAccount
    _remove: RemoveGrants

    async def __call__(self, attempt: Attempt, *, by: str) -> bool:
        """Look at Nango; True where the attempt is settled now: it succeeded, or had ended before."""
        return await self._settle([attempt], await self._gateway.find_grants({"attempt": attempt.id}), by=by)

    async def any_of(self, attempts: Sequence[Attempt], *, by: str) -> bool:
        """Look at Nango once for several attempts of one connection, the newest first."""
        grants = await self._gateway.find_grants({"connection": attempts[0].connection_id})
        return await self._settle(attempts[::-1], grants, by=by)

    async def _settle(self, attempts: Sequence[Attempt], grants: Sequence[Grant], *, by: str) -> bool:
        for attempt in attempts:
            proofs = [grant for grant in grants if attempt.confirmed_by(grant)]
            if free := await self._free(proofs, attempt):
                for job in await self._succeed(attempt, free[0], several=len(free) > 1, by=by):
                    await self._do_now(job)
                return True
        return False

    async def _free(self, proofs: Sequence[Grant], attempt: Attempt) -> Sequence[Grant]:
        """Leave out what another connection uses: it was there before, and tags are Nango's word.

        To try to take it would fail each time, and the attempt would never end.
        """
        if not proofs:
            return proofs
        users = await self._store.of_grants([(grant.integration, grant.nango_id) for grant in proofs])
        taken = {(each.integration, each.nango_id) for each in users if each.id != attempt.connection_id}
        return [grant for grant in proofs if (grant.integration, grant.nango_id) not in taken]

    async def fail(self, attempt: Attempt, error: str | None, *, by: str) -> None:
        """End the attempt without success; a pending connection gets back what it had, or an error."""
        error = safe_error(error)
        async with self._store.begin() as tx:
            connection = await self._lock(tx, attempt)
            closed = await tx.attempts.close(attempt.id, Outcome.FAILED, error, at=tx.now)
            if closed and connection.status is PENDING and connection.deleted_at is None:
                await tx.connections.save(connection.fail_authorization(error=error, at=tx.now, by=by))

    async def abandon(self, attempt: Attempt, *, by: str) -> None:
        """End an attempt whose time is over; see the function `abandon`."""
        async with self._store.begin() as tx:
            await abandon(tx, await self._lock(tx, attempt), attempt, by=by)

    async def _succeed(self, attempt: Attempt, proof: Grant, *, several: bool, by: str) -> list[Job]:
        async with self._store.begin() as tx:
            connection = await self._lock(tx, attempt)
            if not await tx.attempts.close(attempt.id, Outcome.SUCCEEDED, None, at=tx.now):
                return await self._came_late(tx, connection, attempt, proof)
            connection = await ready_to_authorize(tx, connection, by=by)
            previous = connection.nango_id
            authorized = connection.authorize(
                nango_id=proof.nango_id,
                integration=proof.integration,
                # This attempt's, as a sibling may have given the connection others since.
                parameters=attempt.parameters,
                at=tx.now,
                by=by,
            )
            await tx.connections.save(authorized)
            siblings = [
                other
                for other in await tx.attempts.of(attempt.company_id, attempt.connection_id)
                if other.id != attempt.id
            ]
            # Of the winner, too: its connect session can be finished a second time while its token lives.
            ends = [until for other in (attempt, *siblings) if (until := may_complete_until(other))]
            for sibling in siblings:
                await tx.attempts.close(sibling.id, Outcome.SUPERSEDED, "superseded", at=tx.now)
            identify = self._identification(tx, connection)
            await tx.jobs.add(identify)
            if siblings or several or previous not in (None, proof.nango_id):
                # A sibling whose relay timed out may still complete inside Nango: look once more after that.
                await tx.jobs.add(removal(connection, self._ids, due_at=tx.now + HOLD))
            if ends and max(ends) > tx.now + HOLD:
                # And after the last moment at which one that ends at Nango, without us, may still complete.
                await tx.jobs.add(removal(connection, self._ids, due_at=max(ends)))
            return [identify]

    async def _came_late(
        self, tx: Transaction, connection: Connection, attempt: Attempt, proof: Grant
    ) -> list[Job]:
        """Remove what a closed attempt left at Nango; its own earlier success leaves nothing.

        A reconnect leaves the connection's own grant: the removal spares it, and owes it a look.
        """
        ended = await tx.attempts.get(attempt.id)
        if ended is None or ended.outcome is Outcome.SUCCEEDED:
            return []
        job = removal(
            connection,
            self._ids,
            due_at=tx.now + INLINE,
            integration=proof.integration,
            nango_id=proof.nango_id,
        )
        await tx.jobs.add(job)
        return [job]

    async def _do_now(self, job: Job) -> None:
        try:
            async with asyncio.timeout(_DO_NOW_DEADLINE):
                await (self._identify if job.kind is JobKind.IDENTIFY else self._remove)(job)
        except (DomainError, TimeoutError):
            pass  # the worker has the job

    async def _lock(self, tx: Transaction, attempt: Attempt) -> Connection:
        return await tx.connections.get(attempt.company_id, attempt.connection_id, lock=True, deleted=True)

    def _identification(self, tx: Transaction, connection: Connection) -> Job:
        return Job(
            id=self._ids.random_id(),
            kind=JobKind.IDENTIFY,
            company_id=connection.company_id,
            connection_id=connection.id,
            due_at=tx.now + INLINE,
        )


async def abandon(tx: Transaction, connection: Connection, attempt: Attempt, *, by: str) -> None:
    """Close an attempt whose time is over.

    A pending connection goes on waiting for its other attempts. If none of them can succeed any more, it gets
    back the status that it had, or an error.
    """
    await tx.attempts.close(attempt.id, Outcome.ABANDONED, "authorization_expired", at=tx.now)
    others = await tx.attempts.of(attempt.company_id, attempt.connection_id)
    open_here = any(other.may_succeed(tx.now) for other in others)
    if connection.status is PENDING and connection.deleted_at is None and not open_here:
        await tx.connections.save(connection.abandon_authorization(at=tx.now, by=by))


async def ready_to_authorize(tx: Transaction, connection: Connection, *, by: str) -> Connection:
    """Make a disconnected connection pending again, since that status alone cannot be authorized directly.

    The connection may be disconnected because another attempt has failed and has given it that status back.
    Or somebody gives new credentials for a connection that was disconnected before.
    """
    if connection.status is not DISCONNECTED:
        return connection
    reopened = connection.reopen(at=tx.now, by=by)
    await tx.connections.save(reopened)
    return reopened.after
