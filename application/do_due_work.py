"""The worker's round: finish what a crash, a timeout or an absent user left half done."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from application.ports import JobKind
from domain.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from application.finish_import import FinishImport
    from application.identify_account import IdentifyAccount
    from application.ports import Job, Store
    from application.recheck_connection import RecheckConnection
    from application.remove_grants import RemoveGrants
    from application.resolve_attempt import ResolveAttempt
    from domain.authorization import Attempt

_AT_ONCE = 5
"""How many attempts, and how many jobs, one round takes: all begin at once, so each has its whole lease."""

_LEASE = timedelta(seconds=60)
"""Longer than one piece of work can take; then somebody else may try it."""

_log = structlog.get_logger()


@frozen
class DoDueWork:
    """Take some of what is due and do it, all at once; what fails is tried again later."""

    _store: Store
    _resolve: ResolveAttempt
    _remove: RemoveGrants
    _identify: IdentifyAccount
    _finish_import: FinishImport
    _recheck: RecheckConnection

    async def __call__(self) -> int:
        """Do one round; give how much was due.

        Raises:
            StoreUnavailable: the database is away; the next round may find it back.

        """
        attempts = await self._store.take_due_attempts(limit=_AT_ONCE, lease=_LEASE)
        jobs = await self._store.take_due_jobs(limit=_AT_ONCE, lease=_LEASE)
        async with asyncio.TaskGroup() as tasks:
            for attempt in attempts:
                tasks.create_task(self._attempt(attempt))
            for job in jobs:
                tasks.create_task(self._job(job))
        return len(attempts) + len(jobs)

    async def _attempt(self, attempt: Attempt) -> None:
        try:
            await self._resolve(attempt)
        except DomainError as problem:
            # The lease runs out by itself, and with it comes the next try.
            _log.warning(
                "attempt not resolved",
                attempt=attempt.id,
                code=problem.code,
                problem=problem.why or str(problem),
            )
        except Exception:  # noqa: BLE001 - a bug in one piece of work must not hold up all behind it
            _log.exception("attempt not resolved", attempt=attempt.id)

    async def _job(self, job: Job) -> None:
        do, later = self._doing(job.kind)
        try:
            await do(job)
        except DomainError as problem:
            _log.warning(
                "job postponed",
                job=job.id,
                kind=job.kind,
                tries=job.tries,
                connection=job.connection_id,
                code=problem.code,
                problem=problem.why or str(problem),
            )
            await self._postpone(job, later)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("job postponed", job=job.id, kind=job.kind, connection=job.connection_id)
            await self._postpone(job, later)

    async def _postpone(self, job: Job, later: Callable[[Job], Awaitable[None]]) -> None:
        try:
            await later(job)
        except DomainError as problem:
            # As with attempts, the lease runs out by itself.
            _log.warning(
                "job not postponed", job=job.id, code=problem.code, problem=problem.why or str(problem)
            )
        except Exception:  # noqa: BLE001 - as above
            _log.exception("job not postponed", job=job.id)

    def _doing(
        self, kind: JobKind
    ) -> tuple[Callable[[Job], Awaitable[None]], Callable[[Job], Awaitable[None]]]:
        match kind:
            case JobKind.REMOVE:
                return self._remove, self._remove.later
            case JobKind.IDENTIFY:
                return self._identify, self._identify.later
            case JobKind.IMPORT:
                return self._finish_import, self._finish_import.later
            case JobKind.RECHECK:
                return self._recheck, self._recheck.later
