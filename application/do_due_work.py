"""The worker's round: finish what a crash, a timeout or an absent user left half done."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from application.ports import JobKind
from domain.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from application.create_api_key_connection import FinishImport
    from application.identify_account import IdentifyAccount
    from application.ports import Job, Store
    from application.recheck_connection import RecheckConnection
    from application.remove_grants import RemoveGrants
    from application.resolve_attempt import ResolveAttempt
    from domain.authorization import Attempt

_LIMIT = 20
_LEASE = timedelta(seconds=60)
"""Longer than one piece of work can take; then somebody else may try it."""

_log = structlog.get_logger()


@frozen
class DoDueWork:
    """Take what is due and do it, one after the other; what fails is tried again later."""

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
        attempts = await self._store.take_due_attempts(limit=_LIMIT, lease=_LEASE)
        for attempt in attempts:
            await self._attempt(attempt)
        jobs = await self._store.take_due_jobs(limit=_LIMIT, lease=_LEASE)
        for job in jobs:
            await self._job(job)
        return len(attempts) + len(jobs)

    async def _attempt(self, attempt: Attempt) -> None:
        try:
            await self._resolve(attempt)
        except DomainError as problem:
            # The lease runs out by itself, and with it comes the next try.
            _log.warning("attempt not resolved", attempt=attempt.id, code=problem.code, problem=str(problem))
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
                problem=str(problem),
            )
            await later(job)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("job postponed", job=job.id, kind=job.kind, connection=job.connection_id)
            await later(job)

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
