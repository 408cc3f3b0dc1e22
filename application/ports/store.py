"""The database: transactions, and reads that need none."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, timedelta

    from application.ports.transaction import Job, Transaction
    from domain.authorization import Attempt
    from domain.connection import Connection, ConnectionStatus
    from domain.events import Event


@frozen(kw_only=True)
class ConnectionFilter:
    """Which connections a list wants; None leaves a field open. `name` is contained, ignoring case."""

    provider: str | None = None
    status: ConnectionStatus | None = None
    name: str | None = None
    external_account_id: str | None = None


Item = TypeVar("Item")


@frozen(kw_only=True)
class Page(Generic[Item]):
    """A part of a list; `has_more` says whether there is more now, `next_cursor` where to go on."""

    items: Sequence[Item]
    has_more: bool
    next_cursor: str | None = None


class ConnectionSummary(NamedTuple):
    """What a list shows of a connection.

    A tuple, since a list makes fifty of them for each answer: whole connections took more time than all the
    rest, and an attrs class four times as long as this.
    """

    id: str
    name: str
    provider: str
    status: ConnectionStatus
    external_account_id: str | None
    last_synced_at: datetime | None
    created_at: datetime
    updated_at: datetime
    error_message: str | None

    @classmethod
    def of(cls, connection: Connection) -> ConnectionSummary:
        """Show a connection."""
        return cls(
            connection.id,
            connection.name,
            connection.provider,
            connection.status,
            connection.external_account_id,
            connection.last_synced_at,
            connection.created_at,
            connection.updated_at,
            connection.error_message,
        )


class ConnectionDetails(NamedTuple):
    """What a connection by itself shows: a summary, and the metadata.

    A tuple like the summary, and for the same reason: workflows read one before each of their steps.
    """

    id: str
    name: str
    provider: str
    status: ConnectionStatus
    external_account_id: str | None
    last_synced_at: datetime | None
    created_at: datetime
    updated_at: datetime
    error_message: str | None
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, connection: Connection) -> ConnectionDetails:
        """Show a connection."""
        return cls(*ConnectionSummary.of(connection), connection.metadata)


class FlightKind(StrEnum):
    """Calls of which a connection needs only one at a time."""

    REFRESH = "refresh"
    VERIFY = "verify"


@frozen(kw_only=True)
class Flight:
    """A call under way for a connection, perhaps in another process. `outcome` is set once it has landed.

    `crashed`: it has not, and its lease is over.
    """

    id: str
    outcome: str | None = None
    crashed: bool = False


class Store(Protocol):
    """The database: transactions, and reads that need none.

    Everything may raise `StoreUnavailable`. Nothing was written then, with one exception: the commit may have
    succeeded, and only its reply been lost.
    """

    @abstractmethod
    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction: commits at the end of the block, rolls back on an exception."""

    @abstractmethod
    async def now(self) -> datetime:
        """Give the database's time, for a caller that needs nothing else of a transaction."""

    @abstractmethod
    async def find(self, company_id: str, connection_id: str) -> Connection:
        """Give a connection.

        Raises:
            ConnectionNotFound: absent, deleted, or another company's.

        """

    @abstractmethod
    async def show(self, company_id: str, connection_id: str) -> ConnectionDetails:
        """Give what a connection shows: of all reads the one that must be fast.

        Raises:
            ConnectionNotFound: absent, deleted, or another company's.

        """

    @abstractmethod
    async def company_of(self, connection_id: str) -> str | None:
        """Say whose connection this is: only for the callback, which comes without a key."""

    @abstractmethod
    async def list(
        self, company_id: str, wanted: ConnectionFilter, *, limit: int, cursor: str | None
    ) -> Page[ConnectionSummary]:
        """Give a company's connections, newest first.

        Raises:
            InvalidInput: the cursor is none of ours.

        """

    @abstractmethod
    async def events(
        self, company_id: str, connection_id: str | None, *, limit: int, cursor: str | None
    ) -> Page[Event]:
        """Give the history of a connection (deleted ones too), or of the whole company, oldest first.

        `next_cursor` is set whenever there are items: with it a reader comes back later, for what will
        have happened by then. `has_more` says that there is more already.

        Raises:
            ConnectionNotFound: no such connection in this company.
            InvalidInput: the cursor is none of ours.

        """

    @abstractmethod
    async def take_due_attempts(self, *, limit: int, lease: timedelta) -> Sequence[Attempt]:
        """Take open attempts whose check_at has come; nobody else gets them before the lease ends."""

    @abstractmethod
    async def take_due_jobs(self, *, limit: int, lease: timedelta) -> Sequence[Job]:
        """Take jobs that are due; nobody else gets them before the lease ends."""

    @abstractmethod
    async def of_grants(self, grants: Sequence[tuple[str, str]]) -> Sequence[Connection]:
        """Give the visible connections of all companies whose (integration, nango_id) is among these."""

    @abstractmethod
    async def authorized(self, *, after: str | None, limit: int) -> Sequence[Connection]:
        """Walk through the connections of all companies that have a grant, ordered by id."""

    @abstractmethod
    async def stale(
        self, older_than: timedelta, *, turn: str, companies: int, limit: int, per_company: int
    ) -> Sequence[Connection]:
        """Give active connections that were last seen to work longer ago, the companies in turn.

        The oldest of each company comes first, then the second oldest of each, and so on, so that a company
        with very many leaves the others their turn. A connection for which a look is owed anyway is left out.

        One call does not walk through all companies, and the next one goes on where it ended: that place is
        kept under the name `turn`. It is behind the last company that was walked through or, if `limit` was
        used up before, behind the last company that got a connection in.

        Args:
            older_than: how long ago a connection was last seen to work.
            turn: the name under which the place is kept.
            companies: how many companies one call walks through, at most.
            limit: how many connections to give, at most.
            per_company: how many of one company, at most.

        """

    @abstractmethod
    async def take_turn(self, name: str, *, every: timedelta) -> bool:
        """Whether a task that all processes share is due; then nobody else does it before `every`."""

    @abstractmethod
    async def board(
        self, company_id: str, connection_id: str, kind: FlightKind, *, flight_id: str, lease: timedelta
    ) -> tuple[Flight, bool]:
        """Join the flight under way for this connection, or start one; True where it is ours to fly.

        It is ours if it has our `flight_id`, so whoever lost the database's reply may ask again. A flight
        that has crashed is forgotten, and ours takes its place.

        Raises:
            ConnectionNotFound: the company has no such connection.

        """

    @abstractmethod
    async def keep_up(self, flight_id: str, *, lease: timedelta) -> None:
        """Give a sign of life: our flight counts as under way for another lease from now.

        Nothing happens where another flight has taken its place.
        """

    @abstractmethod
    async def land(self, flight_id: str, outcome: str) -> None:
        """Tell those who wait how our flight ended."""

    @abstractmethod
    async def flight(self, flight_id: str) -> Flight | None:
        """Look at a flight; None where it is forgotten."""

    @abstractmethod
    async def forget_old(self) -> None:
        """Forget what is past its keep: closed attempts, idempotency records, landed flights (24 hours).

        The attempts of a connection with a removal that is still owed are kept for it: they are its proof.
        """

    @abstractmethod
    async def deployment(self) -> str:
        """Give the random id of this database, which tags everything we make at Nango."""

    @abstractmethod
    async def ping(self) -> None:
        """Answer where the database does, at the schema this code needs."""
