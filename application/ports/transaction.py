"""What the use cases read and write inside one transaction."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.authorization import Attempt, Outcome
    from domain.connection import Connection
    from domain.history import Change


class Connections(Protocol):
    """A company's connections, inside one transaction.

    Those that it does not see (`Connection.visible`) are not found unless asked for as `deleted`.
    """

    @abstractmethod
    async def get(
        self, company_id: str, connection_id: str, *, lock: bool = False, deleted: bool = False
    ) -> Connection:
        """Give the connection; `lock` holds its row until the transaction ends.

        Raises:
            ConnectionNotFound: absent, another company's, or not visible (unless `deleted`).

        """

    @abstractmethod
    async def find_for_auth_url(self, company_id: str, provider: str) -> Connection | None:
        """Give the OAuth connection that auth-url addresses, its row locked.

        An active one first, else a pending one, else the most recently updated of the rest.
        """

    @abstractmethod
    async def save(self, change: Change) -> bool:
        """Write the row and its event; a birth inserts, everything else compares and sets on the version.

        Returns:
            False where a birth meets the company's other pending connection from auth-url for that provider
            (nothing was written, the transaction goes on); True otherwise.

        Raises:
            ConcurrentChange: the row is no longer at the version the change starts from, or a restart
                meets another pending connection from auth-url.

        """


class Attempts(Protocol):
    """Attempts to authorize, inside one transaction."""

    @abstractmethod
    async def add(self, attempt: Attempt) -> None:
        """Write a new attempt."""

    @abstractmethod
    async def get(self, attempt_id: str) -> Attempt | None:
        """Give an attempt by its id."""

    @abstractmethod
    async def by_state(self, state_hash: bytes) -> Attempt | None:
        """Give the attempt whose own state hashes to this."""

    @abstractmethod
    async def of(self, company_id: str, connection_id: str) -> Sequence[Attempt]:
        """Give all attempts of a connection, oldest first, closed ones included."""

    @abstractmethod
    async def count_open(self, company_id: str, connection_id: str) -> tuple[int, int]:
        """Count the open attempts of (the connection, the whole company)."""

    @abstractmethod
    async def update(self, attempt: Attempt) -> bool:
        """Write what the start of its flow brings: nango_id, mode, Nango's state and cookie, check_at.

        False: it is closed, and stays as it is.
        """

    @abstractmethod
    async def hurry(self, attempt_id: str, *, check_at: datetime) -> None:
        """Move the worker's next look to `check_at`, and nothing else; a closed attempt stays as it is."""

    @abstractmethod
    async def checked(self, attempt: Attempt, *, check_at: datetime) -> bool:
        """Note that Nango was asked and had nothing, and when to ask it again.

        This is written only if the attempt's `check_at` is still what it is in `attempt`. Otherwise somebody
        has closed, claimed, released or hurried it meanwhile: their `check_at` stays, and False is returned.
        """

    @abstractmethod
    async def claim(self, attempt_id: str, *, at: datetime, check_at: datetime) -> Attempt | None:
        """Take the attempt for one callback; None if it was claimed or closed before, or has expired.

        One statement, so that of many callers one succeeds.
        """

    @abstractmethod
    async def release(self, attempt_id: str, *, check_at: datetime) -> None:
        """Take a claim back whose callback never reached Nango; a closed attempt stays as it is."""

    @abstractmethod
    async def close(self, attempt_id: str, outcome: Outcome, error: str | None, *, at: datetime) -> bool:
        """End an open attempt; False where it had ended already (its first outcome stays)."""


class JobKind(StrEnum):
    """The kinds of work that the worker may owe a connection."""

    REMOVE = "remove"
    IDENTIFY = "identify"
    IMPORT = "import"
    RECHECK = "recheck"


@frozen(kw_only=True)
class Job:
    """Work owed to a connection: an intent row that outlives a crash.

    `integration` and `nango_id` say what a REMOVE is about where the connection no longer does.
    """

    id: str
    kind: JobKind
    company_id: str
    connection_id: str
    due_at: datetime
    tries: int = 0
    integration: str | None = None
    nango_id: str | None = None


class Jobs(Protocol):
    """The rows of owed work, inside one transaction."""

    @abstractmethod
    async def add(self, job: Job) -> None:
        """Write down work that is owed.

        A connection has one RECHECK at most, since one look is enough. If there is one already, the earlier
        of the two dates holds; if that is the new one's, the tries are counted from the beginning.
        """

    @abstractmethod
    async def reschedule(self, job: Job, due_at: datetime) -> None:
        """Put a job that failed off until `due_at`, and count the try.

        Nothing is changed if the job is due at another time than `job` says: it was asked for anew meanwhile.
        """

    @abstractmethod
    async def finish(self, job_id: str, *, due_at: datetime | None = None) -> None:
        """Forget a job that is done.

        With `due_at`, it is forgotten only if it is still due at that time. Another time says that somebody
        has asked for the work again while it was being done, so the job stays.
        """


@frozen(kw_only=True)
class IdempotencyRecord:
    """What an Idempotency-Key was used for.

    The answer to a create holds a state, which is never stored. It is derived from `salt` and from the key,
    which only the caller has. `fingerprint` is an HMAC over the request. `authorization_url` is the answer's
    URL without its state, and None until the flow has started. `age` says, by the database's clock, how long
    ago the key was reserved; it is zero in a record that is not stored yet.
    """

    key_hash: bytes
    fingerprint: bytes
    connection_id: str
    salt: bytes
    authorization_url: str | None = None
    age: timedelta = field(default=timedelta(), eq=False)


class IdempotencyRecords(Protocol):
    """Idempotency keys of the last 24 hours, inside one transaction."""

    @abstractmethod
    async def put(self, company_id: str, record: IdempotencyRecord) -> IdempotencyRecord | None:
        """Reserve a key; give the record that already has it instead, where there is one."""

    @abstractmethod
    async def complete(
        self, company_id: str, key_hash: bytes, *, salt: bytes, authorization_url: str
    ) -> None:
        """Note the answer to the request that reserved the key with this salt.

        Nothing is written if the salt is another: then another request has taken the key over.
        """

    @abstractmethod
    async def resume(self, company_id: str, record: IdempotencyRecord, *, salt: bytes) -> bool:
        """Take over the key of a request that has died without an answer.

        The record gets this salt, and its age begins anew. The result is False, and nothing is written, where
        another request has taken it over before, or the first one has been answered after all.
        """

    @abstractmethod
    async def forget(self, company_id: str, key_hash: bytes) -> None:
        """Free a key whose request came to nothing."""


class Transaction(Protocol):
    """One unit of work. `now` is the database's clock when it began."""

    now: datetime
    connections: Connections
    attempts: Attempts
    jobs: Jobs
    idempotency: IdempotencyRecords
