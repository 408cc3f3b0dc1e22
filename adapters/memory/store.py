"""The store in memory, for the tests of use cases: the same contract, without a disk.

Transactions run one at a time on a copy that takes the state's place at the end, so a block that fails
leaves nothing behind and nobody sees half of one.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import attrs
from attrs import Factory, define, field

from adapters.memory.transaction import (
    MemoryAttempts,
    MemoryConnections,
    MemoryIdempotencyRecords,
    MemoryJobs,
    MemoryTransaction,
    State,
    forget_old,
)
from application.ports import (
    ConnectionDetails,
    ConnectionFilter,
    ConnectionSummary,
    Flight,
    JobKind,
    Page,
    Store,
)
from domain.authorization import KEPT
from domain.connection import ACTIVE
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import timedelta

    from application.ports import FlightKind, Job
    from domain.authorization import Attempt
    from domain.connection import Connection
    from domain.events import Event

Item = TypeVar("Item")


def now_in_milliseconds() -> datetime:
    """Give the time as the database would: UTC, without microseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@define(eq=False)
class _Boarded:
    flight: Flight
    key: tuple[str, FlightKind]
    lease_until: datetime


@define(eq=False)
class MemoryStore(Store):
    """The store as dictionaries; `clock` stands for the database's, so that a test can move time."""

    _clock: Callable[[], datetime] = now_in_milliseconds
    _state: State = field(factory=State, init=False)
    _flights: dict[str, _Boarded] = field(factory=dict, init=False)
    _turns: dict[str, datetime] = field(factory=dict, init=False)
    _places: dict[str, str] = field(factory=dict, init=False)
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _deployment: str = field(default=Factory(lambda: str(uuid4())), init=False)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryTransaction]:
        """See the port."""
        async with self._turn:
            state = self._state.copy()
            yield MemoryTransaction(
                self._clock(),
                MemoryConnections(state),
                MemoryAttempts(state, self._clock),
                MemoryJobs(state),
                MemoryIdempotencyRecords(state, self._clock),
            )
            for (company_id, _), (record, _) in state.records.items():
                state.of(company_id, record.connection_id)
            self._state = state

    async def now(self) -> datetime:
        """See the port."""
        return self._clock()

    async def find(self, company_id: str, connection_id: str) -> Connection:
        """See the port."""
        await asyncio.sleep(0)
        return await MemoryConnections(self._state).get(company_id, connection_id)

    async def show(self, company_id: str, connection_id: str) -> ConnectionDetails:
        """See the port."""
        return ConnectionDetails.of(await self.find(company_id, connection_id))

    async def company_of(self, connection_id: str) -> str | None:
        """See the port."""
        connection = self._state.connections.get(connection_id)
        return connection.company_id if connection and connection.visible else None

    async def list(
        self, company_id: str, wanted: ConnectionFilter, *, limit: int, cursor: str | None
    ) -> Page[ConnectionSummary]:
        """See the port."""
        mine = [
            connection
            for connection in self._state.connections.values()
            if connection.company_id == company_id
        ]
        mine.sort(key=lambda connection: (connection.created_at, connection.id), reverse=True)
        start = 1 + _place(cursor, [connection.id for connection in mine])
        found = [connection for connection in mine[start:] if _fits(connection, wanted)]
        more = len(found) > limit
        items = [ConnectionSummary.of(connection) for connection in found[:limit]]
        return Page(items=items, has_more=more, next_cursor=_cursor(found[limit - 1].id) if more else None)

    async def events(
        self, company_id: str, connection_id: str | None, *, limit: int, cursor: str | None
    ) -> Page[Event]:
        """See the port."""
        if connection_id is not None:
            self._state.of(company_id, connection_id)
        mine = [
            event
            for event in self._state.events
            if event.company_id == company_id and connection_id in (None, event.connection_id)
        ]
        start = 1 + _place(cursor, [_name(event) for event in mine])
        items = mine[start : start + limit]
        return Page(
            items=items,
            has_more=len(mine) > start + limit,
            next_cursor=_cursor(_name(items[-1])) if items else None,
        )

    async def take_due_attempts(self, *, limit: int, lease: timedelta) -> Sequence[Attempt]:
        """See the port."""
        async with self._turn:
            now = self._clock()
            due = [
                (attempt.check_at, attempt)
                for attempt in self._state.attempts.values()
                if attempt.check_at is not None and attempt.check_at <= now
            ]
            due.sort(key=lambda pair: pair[0])
            taken = [attrs.evolve(attempt, check_at=now + lease) for _, attempt in due[:limit]]
            self._state.attempts.update({attempt.id: attempt for attempt in taken})
        return taken

    async def take_due_jobs(self, *, limit: int, lease: timedelta) -> Sequence[Job]:
        """See the port."""
        async with self._turn:
            now = self._clock()
            due = [job for job in self._state.jobs.values() if job.due_at <= now]
            due.sort(key=lambda job: job.due_at)
            taken = [attrs.evolve(job, due_at=now + lease) for job in due[:limit]]
            self._state.jobs.update({job.id: job for job in taken})
        return taken

    async def of_grants(self, grants: Sequence[tuple[str, str]]) -> Sequence[Connection]:
        """See the port."""
        wanted = set(grants)
        return [
            connection
            for connection in self._state.connections.values()
            if connection.visible and (connection.integration, connection.nango_id) in wanted
        ]

    async def authorized(self, *, after: str | None, limit: int) -> Sequence[Connection]:
        """See the port."""
        found = [
            connection
            for connection in self._state.connections.values()
            if connection.visible and connection.nango_id is not None and connection.id > (after or "")
        ]
        return sorted(found, key=lambda connection: connection.id)[:limit]

    async def stale(
        self, older_than: timedelta, *, turn: str, companies: int, limit: int, per_company: int
    ) -> Sequence[Connection]:
        """See the port."""
        before = self._clock() - older_than
        owed = {job.connection_id for job in self._state.jobs.values() if job.kind is JobKind.RECHECK}
        active: dict[str, list[tuple[datetime, str]]] = {}
        for connection in self._state.connections.values():
            if connection.visible and connection.status is ACTIVE and connection.last_synced_at is not None:
                old = active.setdefault(connection.company_id, [])
                if connection.id not in owed and connection.last_synced_at < before:
                    old.append((connection.last_synced_at, connection.id))
        behind = self._places.get(turn, "")
        walked = sorted(active, key=lambda company_id: (company_id <= behind, company_id))[:companies]
        if not walked:
            return []
        # Who comes first, in the order of the walk; then by age.
        picked = sorted(
            (place, step if place == 0 else 0, at, connection_id)
            for step, company_id in enumerate(walked)
            for place, (at, connection_id) in enumerate(sorted(active[company_id])[:per_company])
        )[:limit]
        cut = len(picked) == limit and picked[-1][0] == 0
        self._places[turn] = walked[picked[-1][1] if cut else -1]
        return [self._state.connections[connection_id] for *_, connection_id in picked]

    async def take_turn(self, name: str, *, every: timedelta) -> bool:
        """See the port."""
        now = self._clock()
        if name in self._turns and now < self._turns[name]:
            return False
        self._turns[name] = now + every
        return True

    async def board(
        self, company_id: str, connection_id: str, kind: FlightKind, *, flight_id: str, lease: timedelta
    ) -> tuple[Flight, bool]:
        """See the port."""
        self._state.of(company_id, connection_id)
        now = self._clock()
        for boarded in list(self._flights.values()):
            if boarded.key == (connection_id, kind) and boarded.flight.outcome is None:
                if boarded.lease_until > now and boarded.flight.id != flight_id:
                    return boarded.flight, False
                del self._flights[boarded.flight.id]
        flight = Flight(id=flight_id)
        self._flights[flight.id] = _Boarded(flight, (connection_id, kind), now + lease)
        return flight, True

    async def keep_up(self, flight_id: str, *, lease: timedelta) -> None:
        """See the port."""
        if boarded := self._flights.get(flight_id):
            boarded.lease_until = self._clock() + lease

    async def land(self, flight_id: str, outcome: str) -> None:
        """See the port."""
        boarded = self._flights.get(flight_id)
        if boarded is not None and boarded.flight.outcome is None:
            boarded.flight = attrs.evolve(boarded.flight, outcome=outcome)

    async def flight(self, flight_id: str) -> Flight | None:
        """See the port."""
        boarded = self._flights.get(flight_id)
        if boarded is None:
            return None
        late = boarded.flight.outcome is None and boarded.lease_until <= self._clock()
        return attrs.evolve(boarded.flight, crashed=late)

    async def forget_old(self) -> None:
        """See the port."""
        now = self._clock()
        async with self._turn:
            forget_old(self._state, now)
        for boarded in list(self._flights.values()):
            if boarded.lease_until + KEPT <= now:
                del self._flights[boarded.flight.id]

    async def deployment(self) -> str:
        """See the port."""
        return self._deployment

    async def ping(self) -> None:
        """See the port."""


def _fits(connection: Connection, wanted: ConnectionFilter) -> bool:
    return (
        connection.visible
        and wanted.provider in (None, connection.provider)
        and wanted.status in (None, connection.status)
        and wanted.external_account_id in (None, connection.external_account_id)
        and (wanted.name is None or wanted.name.lower() in connection.name.lower())
    )


def _name(event: Event) -> str:
    return f"{event.version}.{event.connection_id}"


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _place(cursor: str | None, names: Sequence[str]) -> int:
    """Give the place of the item that a cursor names; -1 before the first."""
    if cursor is None:
        return -1
    places = {_cursor(name): place for place, name in enumerate(names)}
    if cursor not in places:
        raise InvalidInput(("cursor", "must be a nextCursor of this list"))
    return places[cursor]
