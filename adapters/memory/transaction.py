"""One unit of work in memory: repositories over a private copy of the state."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
from attrs import define, field, frozen

from application.ports import Attempts, Connections, IdempotencyRecords, JobKind, Jobs, Transaction
from domain.authorization import KEPT
from domain.connection import ACTIVE, PENDING, AuthKind, Origin
from domain.errors import ConcurrentChange, ConnectionNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from application.ports import IdempotencyRecord, Job
    from domain.authorization import Attempt, Outcome
    from domain.connection import Connection
    from domain.events import Event
    from domain.history import Change

_RANK = {ACTIVE: 0, PENDING: 1}
_REST = 2
RECORDS_KEPT = timedelta(hours=24)


@define(eq=False)
class State:
    """Everything that is kept; the values are immutable, so that a shallow copy is a snapshot."""

    connections: dict[str, Connection] = field(factory=dict)
    events: list[Event] = field(factory=list)
    attempts: dict[str, Attempt] = field(factory=dict)
    jobs: dict[str, Job] = field(factory=dict)
    records: dict[tuple[str, bytes], tuple[IdempotencyRecord, datetime]] = field(factory=dict)

    def copy(self) -> State:
        """Give a snapshot to work on."""
        return State(
            dict(self.connections),
            list(self.events),
            dict(self.attempts),
            dict(self.jobs),
            dict(self.records),
        )

    def of(self, company_id: str, connection_id: str) -> Connection:
        """Give a company's connection, deleted ones too.

        Raises:
            ConnectionNotFound: absent, or another company's.

        """
        connection = self.connections.get(connection_id)
        if connection is None or connection.company_id != company_id:
            raise ConnectionNotFound
        return connection


@frozen
class MemoryConnections(Connections):
    """The connections of a snapshot."""

    _state: State

    async def get(
        self,
        company_id: str,
        connection_id: str,
        *,
        lock: bool = False,  # noqa: ARG002 - every row is locked
        deleted: bool = False,
    ) -> Connection:
        """See the port; transactions run one at a time."""
        connection = self._state.of(company_id, connection_id)
        if not connection.visible and not deleted:
            raise ConnectionNotFound
        return connection

    async def find_for_auth_url(self, company_id: str, provider: str) -> Connection | None:
        """See the port."""
        candidates = [
            connection
            for connection in self._state.connections.values()
            if (connection.company_id, connection.provider) == (company_id, provider)
            and connection.auth_kind is AuthKind.OAUTH
            and connection.deleted_at is None
        ]
        candidates.sort(key=lambda connection: (connection.updated_at, connection.id), reverse=True)
        return min(candidates, key=lambda connection: _RANK.get(connection.status, _REST), default=None)

    async def save(self, change: Change) -> bool:
        """See the port."""
        there = self._state.connections.get(change.after.id)
        if change.before is None:
            if self._has_pending(change.after):
                return False
            if there is not None:
                raise ConcurrentChange
        elif (
            there is None
            or there.company_id != change.after.company_id
            or (there.version, there.status) != (change.before.version, change.before.status)
            or there.deleted_at is not None
            or self._has_pending(change.after)
        ):
            raise ConcurrentChange
        if self._grant_is_taken(change.after):
            raise ConcurrentChange
        self._state.connections[change.after.id] = change.after
        self._state.events.append(change.event)
        return True

    def _has_pending(self, wanted: Connection) -> bool:
        return _pending_from_auth_url(wanted) and any(
            _pending_from_auth_url(other)
            and (other.company_id, other.provider) == (wanted.company_id, wanted.provider)
            for other in self._others(wanted)
        )

    def _grant_is_taken(self, wanted: Connection) -> bool:
        return wanted.nango_id is not None and any(
            (other.integration, other.nango_id) == (wanted.integration, wanted.nango_id)
            for other in self._others(wanted)
            if wanted.deleted_at is None
        )

    def _others(self, wanted: Connection) -> Sequence[Connection]:
        return [
            other
            for other in self._state.connections.values()
            if other.id != wanted.id and other.deleted_at is None
        ]


def _pending_from_auth_url(connection: Connection) -> bool:
    return (
        connection.status is PENDING
        and connection.origin is Origin.AUTH_URL
        and connection.deleted_at is None
    )


@frozen
class MemoryAttempts(Attempts):
    """The attempts of a snapshot."""

    _state: State
    _clock: Callable[[], datetime]

    async def add(self, attempt: Attempt) -> None:
        """See the port.

        Raises:
            ConnectionNotFound: the company has no such connection.

        """
        self._state.of(attempt.company_id, attempt.connection_id)
        if attempt.id in self._state.attempts or await self.by_state(attempt.state_hash):
            raise ConcurrentChange
        self._state.attempts[attempt.id] = attempt

    async def get(self, attempt_id: str) -> Attempt | None:
        """See the port."""
        return self._state.attempts.get(attempt_id)

    async def by_state(self, state_hash: bytes) -> Attempt | None:
        """See the port."""
        attempts = self._state.attempts.values()
        return next((attempt for attempt in attempts if attempt.state_hash == state_hash), None)

    async def of(self, company_id: str, connection_id: str) -> Sequence[Attempt]:
        """See the port."""
        found = [
            attempt
            for attempt in self._state.attempts.values()
            if (attempt.company_id, attempt.connection_id) == (company_id, connection_id)
        ]
        return sorted(found, key=lambda attempt: (attempt.created_at, attempt.id))

    async def count_open(self, company_id: str, connection_id: str) -> tuple[int, int]:
        """See the port; one that has expired is no longer open, even before the worker closes it."""
        now = self._clock()
        of_company = [
            attempt.connection_id
            for attempt in self._state.attempts.values()
            if attempt.company_id == company_id and attempt.closed_at is None and attempt.expires_at > now
        ]
        return of_company.count(connection_id), len(of_company)

    async def update(self, attempt: Attempt) -> bool:
        """See the port."""
        there = self._state.attempts.get(attempt.id)
        if (
            there is None
            or there.closed_at is not None
            or (there.company_id, there.connection_id) != (attempt.company_id, attempt.connection_id)
        ):
            return False
        self._state.attempts[attempt.id] = attrs.evolve(
            there,
            nango_id=attempt.nango_id,
            mode=attempt.mode,
            nango_state=attempt.nango_state,
            nango_cookie=attempt.nango_cookie,
            check_at=attempt.check_at,
        )
        return True

    async def hurry(self, attempt_id: str, *, check_at: datetime) -> None:
        """See the port."""
        there = self._state.attempts.get(attempt_id)
        if there is not None and there.closed_at is None:
            self._state.attempts[attempt_id] = attrs.evolve(there, check_at=check_at)

    async def checked(self, attempt: Attempt, *, check_at: datetime) -> bool:
        """See the port."""
        there = self._state.attempts.get(attempt.id)
        if (
            there is None
            or there.check_at is None
            or there.check_at != attempt.check_at
            or (there.company_id, there.connection_id) != (attempt.company_id, attempt.connection_id)
        ):
            return False
        self._state.attempts[attempt.id] = attrs.evolve(there, check_at=check_at, checks=there.checks + 1)
        return True

    async def claim(self, attempt_id: str, *, at: datetime, check_at: datetime) -> Attempt | None:
        """See the port."""
        there = self._state.attempts.get(attempt_id)
        if there is None or there.claimed_at or there.closed_at or there.expires_at <= self._clock():
            return None
        claimed = attrs.evolve(there, claimed_at=at, check_at=check_at)
        self._state.attempts[attempt_id] = claimed
        return claimed

    async def release(self, attempt_id: str, *, check_at: datetime) -> None:
        """See the port."""
        there = self._state.attempts.get(attempt_id)
        if there is not None and there.closed_at is None:
            self._state.attempts[attempt_id] = attrs.evolve(there, claimed_at=None, check_at=check_at)

    async def close(self, attempt_id: str, outcome: Outcome, error: str | None, *, at: datetime) -> bool:
        """See the port."""
        there = self._state.attempts.get(attempt_id)
        if there is None or there.closed_at is not None:
            return False
        self._state.attempts[attempt_id] = attrs.evolve(
            there, closed_at=at, outcome=outcome, error=error, check_at=None
        )
        return True


@frozen
class MemoryJobs(Jobs):
    """The owed work of a snapshot."""

    _state: State

    async def add(self, job: Job) -> None:
        """See the port.

        Raises:
            ConnectionNotFound: the company has no such connection.

        """
        self._state.of(job.company_id, job.connection_id)
        if job.id in self._state.jobs:
            raise ConcurrentChange
        for other in self._state.jobs.values():
            if other.kind is job.kind is JobKind.RECHECK and other.connection_id == job.connection_id:
                sooner = job.due_at < other.due_at
                job = attrs.evolve(other, due_at=job.due_at, tries=job.tries) if sooner else other
                break
        self._state.jobs[job.id] = job

    async def reschedule(self, job: Job, due_at: datetime) -> None:
        """See the port."""
        there = self._state.jobs.get(job.id)
        if there is not None and there.due_at == job.due_at:
            self._state.jobs[job.id] = attrs.evolve(there, due_at=due_at, tries=there.tries + 1)

    async def finish(self, job_id: str, *, due_at: datetime | None = None) -> None:
        """See the port."""
        job = self._state.jobs.get(job_id)
        if job is not None and due_at in (None, job.due_at):
            del self._state.jobs[job_id]


@frozen
class MemoryIdempotencyRecords(IdempotencyRecords):
    """The used keys of a snapshot."""

    _state: State
    _clock: Callable[[], datetime]

    async def put(self, company_id: str, record: IdempotencyRecord) -> IdempotencyRecord | None:
        """See the port."""
        now = self._clock()
        there = self._state.records.get((company_id, record.key_hash))
        if there is not None and there[1] + RECORDS_KEPT > now:
            return attrs.evolve(there[0], age=now - there[1])
        self._state.records[company_id, record.key_hash] = (record, now)
        return None

    async def complete(
        self, company_id: str, key_hash: bytes, *, salt: bytes, authorization_url: str
    ) -> None:
        """See the port."""
        there = self._state.records.get((company_id, key_hash))
        if there is not None and there[0].salt == salt:
            record = attrs.evolve(there[0], authorization_url=authorization_url)
            self._state.records[company_id, key_hash] = (record, there[1])

    async def resume(self, company_id: str, record: IdempotencyRecord, *, salt: bytes) -> bool:
        """See the port."""
        there = self._state.records.get((company_id, record.key_hash))
        if there is None or there[0].salt != record.salt or there[0].authorization_url is not None:
            return False
        resumed = attrs.evolve(there[0], salt=salt)
        self._state.records[company_id, record.key_hash] = (resumed, self._clock())
        return True

    async def forget(self, company_id: str, key_hash: bytes) -> None:
        """See the port."""
        self._state.records.pop((company_id, key_hash), None)


@frozen
class MemoryTransaction(Transaction):
    """One unit of work on a snapshot."""

    now: datetime
    connections: MemoryConnections
    attempts: MemoryAttempts
    jobs: MemoryJobs
    idempotency: MemoryIdempotencyRecords


def forget_old(state: State, now: datetime) -> None:
    """Drop closed attempts and idempotency records past their keep."""
    needed = {job.connection_id for job in state.jobs.values() if job.kind is JobKind.REMOVE}
    for attempt in list(state.attempts.values()):
        over = attempt.closed_at is not None and attempt.closed_at + KEPT <= now
        if over and attempt.connection_id not in needed:
            del state.attempts[attempt.id]
    for key, (_, created_at) in list(state.records.items()):
        if created_at + RECORDS_KEPT <= now:
            del state.records[key]
