"""Owed work, inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.postgres.rows import JOB_COLUMNS
from application.ports import Jobs

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.postgres.pool import Session
    from application.ports import Job

_ADD = f"""
INSERT INTO jobs ({JOB_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (company_id, connection_id) WHERE kind = 'recheck'
DO UPDATE SET due_at = least(jobs.due_at, excluded.due_at),
    tries = CASE WHEN excluded.due_at < jobs.due_at THEN excluded.tries ELSE jobs.tries END
"""  # noqa: S608 - constants


@frozen
class PostgresJobs(Jobs):
    """Rows of `jobs`, owed until they are finished."""

    _session: Session

    async def add(self, job: Job) -> None:
        """See the port.

        Raises:
            ConnectionNotFound: the company has no such connection.

        """
        await self._session.run(
            _ADD,
            job.company_id,
            job.connection_id,
            job.id,
            job.kind,
            job.due_at,
            job.tries,
            job.integration,
            job.nango_id,
        )

    async def reschedule(self, job: Job, due_at: datetime) -> None:
        """See the port."""
        await self._session.run(
            "UPDATE jobs SET due_at = $3, tries = tries + 1 WHERE id = $1 AND due_at = $2",
            job.id,
            job.due_at,
            due_at,
        )

    async def finish(self, job_id: str, *, due_at: datetime | None = None) -> None:
        """See the port."""
        await self._session.run(
            "DELETE FROM jobs WHERE id = $1 AND due_at = coalesce($2::timestamptz, due_at)", job_id, due_at
        )
