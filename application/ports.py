"""What the core needs from outside. Adapters subclass these explicitly; contract suites hold them to it."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, timedelta

    from domain.authorization import Attempt, Grant, Outcome
    from domain.connection import Connection, ConnectionStatus
    from domain.events import Event
    from domain.history import Change
    from domain.provider import Identity, Provider


# ── the store ─────────────────────────────────────────────────────────────────────────────────────────


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
    """A stretch of a list and where it goes on."""

    items: Sequence[Item]
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
    async def update(self, attempt: Attempt) -> None:
        """Write what may change before the end: nango_id, mode, Nango's state and cookie, check_at, checks.

        A closed attempt stays as it is.
        """

    @abstractmethod
    async def claim(self, attempt_id: str, *, at: datetime, check_at: datetime) -> Attempt | None:
        """Use the attempt, once: None where it was claimed, closed or has expired. One statement."""

    @abstractmethod
    async def release(self, attempt_id: str, *, check_at: datetime) -> None:
        """Take a claim back whose callback never reached Nango; a closed attempt stays as it is."""

    @abstractmethod
    async def close(self, attempt_id: str, outcome: Outcome, error: str | None, *, at: datetime) -> bool:
        """End an open attempt; False where it had ended already (its first outcome stays)."""


class JobKind(StrEnum):
    """What the worker may owe a connection."""

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
        """Owe something. Of a connection's RECHECKs the earliest stays, since one look is enough."""

    @abstractmethod
    async def reschedule(self, job_id: str, due_at: datetime) -> None:
        """Try again later; counts a try."""

    @abstractmethod
    async def finish(self, job_id: str, *, due_at: datetime | None = None) -> None:
        """Owe it no more; with `due_at`, only where it is still due then, not asked for anew meanwhile."""


@frozen(kw_only=True)
class IdempotencyRecord:
    """What an Idempotency-Key was used for.

    The answer to a create holds a state, which is never stored: it is derived from the key, which only the
    caller has, and `salt`. `fingerprint` is a SHA-256 over the request, `authorization_url` the answer's
    URL without its state, None until the flow was started.
    """

    key_hash: bytes
    fingerprint: bytes
    connection_id: str
    salt: bytes
    authorization_url: str | None = None


class IdempotencyRecords(Protocol):
    """Idempotency keys of the last 24 hours, inside one transaction."""

    @abstractmethod
    async def put(self, company_id: str, record: IdempotencyRecord) -> IdempotencyRecord | None:
        """Reserve a key; give the record that already has it instead, where there is one."""

    @abstractmethod
    async def complete(
        self, company_id: str, key_hash: bytes, *, salt: bytes, authorization_url: str
    ) -> None:
        """Note the answer of a reserved key."""

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


class FlightKind(StrEnum):
    """Calls of which a connection needs only one at a time."""

    REFRESH = "refresh"
    VERIFY = "verify"


@frozen(kw_only=True)
class Flight:
    """A call under way for a connection, perhaps in another process. `outcome` is set once it has landed."""

    id: str
    outcome: str | None = None


class Store(Protocol):
    """The database: transactions, and reads that need none.

    Everything may raise `StoreUnavailable`; nothing was written then, except where the reply to a commit
    was lost.
    """

    @abstractmethod
    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction: commits at the end of the block, rolls back on an exception."""

    @abstractmethod
    async def find(self, company_id: str, connection_id: str) -> Connection:
        """Give a connection.

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

        `next_cursor` is always set when there are items, so that a reader of the company's history can
        come back for more.

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
    async def stale(self, older_than: timedelta, *, limit: int, per_company: int) -> Sequence[Connection]:
        """Give active connections that were last seen to work longer ago, the oldest first.

        At most `per_company` of each company, and none that is to be looked at again anyway.
        """

    @abstractmethod
    async def take_turn(self, name: str, *, every: timedelta) -> bool:
        """Whether a task that all processes share is due; then nobody else does it before `every`."""

    @abstractmethod
    async def board(
        self, company_id: str, connection_id: str, kind: FlightKind, *, lease: timedelta
    ) -> tuple[Flight, bool]:
        """Join the flight under way for this connection, or start one; True where it is ours to fly."""

    @abstractmethod
    async def land(self, flight_id: str, outcome: str) -> None:
        """Tell those who wait how our flight ended."""

    @abstractmethod
    async def flight(self, flight_id: str) -> Flight | None:
        """Look at a flight; None where it is forgotten."""

    @abstractmethod
    async def sweep(self) -> None:
        """Forget what is past its keep: closed attempts, idempotency records, landed flights (24 hours)."""

    @abstractmethod
    async def deployment(self) -> str:
        """Give the random id of this database, which tags everything we make at Nango."""

    @abstractmethod
    async def ping(self) -> None:
        """Answer where the database does, at the schema this code needs."""


# ── what operators watch ──────────────────────────────────────────────────────────────────────────────


@frozen(kw_only=True)
class Overdue:
    """Work that a worker could begin now, and how long the oldest of it has waited."""

    count: int
    oldest: timedelta


@frozen(kw_only=True)
class Survey:
    """What the database holds, over all companies; `connections` by provider and status."""

    connections: Mapping[tuple[str, str], int]
    attempts: Overdue
    jobs: Overdue


@frozen(kw_only=True)
class PoolState:
    """How the pool of connections to the database is doing; `waiting` counts who wants one."""

    size: int
    idle: int
    max_size: int
    waiting: int


# ── API keys ──────────────────────────────────────────────────────────────────────────────────────────


class Scope(StrEnum):
    """What an API key may do."""

    READ = "read"
    WRITE = "write"


@frozen(kw_only=True)
class ApiKeyRecord:
    """An API key as we keep it: `digest` is its SHA-256, `prefix` its readable beginning."""

    id: str
    company_id: str
    scope: Scope
    prefix: str
    digest: bytes
    label: str | None = None
    created_at: datetime
    revoked_at: datetime | None = None


class ApiKeys(Protocol):
    """The companies' API keys."""

    @abstractmethod
    async def find(self, digest: bytes) -> ApiKeyRecord | None:
        """Give a live key by its digest."""

    @abstractmethod
    async def add(
        self, *, company_id: str, scope: Scope, prefix: str, digest: bytes, label: str | None
    ) -> ApiKeyRecord:
        """Keep a new key; the same digest again gives the record that is there."""

    @abstractmethod
    async def list(self, company_id: str | None) -> Sequence[ApiKeyRecord]:
        """Give a company's keys, or all, oldest first, revoked ones included."""

    @abstractmethod
    async def revoke(self, prefix_or_id: str) -> Sequence[ApiKeyRecord]:
        """Revoke every live key with this id or exact prefix; give what was revoked."""


# ── Nango ─────────────────────────────────────────────────────────────────────────────────────────────


@frozen(kw_only=True)
class Session:
    """A connect session at Nango: `token` lets a browser start a flow for half an hour; the link holds it."""

    token: str = field(repr=False)
    connect_link: str = field(repr=False)
    expires_at: datetime


@frozen(kw_only=True)
class Flow:
    """A flow that Nango began: where to send the browser, and what to give back with the callback.

    `redirect_uri` is where the provider will send the browser: ours where Nango is set up for the relay.
    """

    authorization_url: str = field(repr=False)
    redirect_uri: str | None
    state: str = field(repr=False)
    cookie: str = field(repr=False)


@frozen(kw_only=True)
class GrantDetails:
    """What Nango tells of a connection beside its tags. `token` is the provider's raw answer: never kept."""

    connection_config: Mapping[str, Any]
    token: Mapping[str, Any] = field(repr=False)
    expires_at: datetime | None = None


@frozen(kw_only=True)
class ProviderAnswer:
    """What the provider said to a call through Nango's proxy; `body` is parsed JSON, or None."""

    status: int
    body: Any
    retry_after: int | None = None


class AuthGateway(Protocol):
    """Nango: does the OAuth dance and keeps the credentials.

    Every method may raise `GatewayUnavailable` (unreachable, rate limiting), its leaves `GatewayTimeout` (may
    have taken effect) and `GatewayRefused` (our key), and `GatewayNonsense`.
    """

    @abstractmethod
    async def open_session(
        self,
        *,
        integration: str,
        tags: Mapping[str, str],
        connection_config: Mapping[str, str],
        authorization_params: Mapping[str, str],
        reconnect: str | None,
    ) -> Session:
        """Open a connect session; `reconnect` is the Nango id to authorize again.

        Raises:
            IntegrationMissing: Nango has no such integration.
            GrantNotFound: the connection to reconnect is gone at Nango.

        """

    @abstractmethod
    async def start_flow(self, integration: str, session: Session) -> Flow:
        """Start the OAuth flow as a browser would, without following the redirect."""

    @abstractmethod
    async def relay_callback(self, query: Sequence[tuple[str, str]], cookie: str) -> None:
        """Hand the provider's callback to Nango. Its page proves nothing: nothing is returned."""

    @abstractmethod
    async def find_grants(self, tags: Mapping[str, str]) -> Sequence[Grant]:
        """Find what Nango has under all of these tags."""

    @abstractmethod
    async def has_grant(self, integration: str, nango_id: str) -> bool:
        """Whether Nango still has the connection: its list first, its 404 as the second proof."""

    @abstractmethod
    async def fetch(self, integration: str, nango_id: str, *, refresh: bool = False) -> GrantDetails:
        """Fetch a connection; `refresh` forces new credentials. Nango refreshes by itself near expiry.

        Raises:
            GrantNotFound: gone at Nango.
            CredentialsUnusable: the provider refused to renew them, or Nango backs off or has given up.

        """

    @abstractmethod
    async def call_provider(
        self, integration: str, nango_id: str, identity: Identity, *, base_url: str | None
    ) -> ProviderAnswer:
        """Make the identity call through the proxy.

        Raises:
            GrantNotFound: gone at Nango.
            CredentialsUnusable: Nango has no usable credentials to call with.
            ProviderUnavailable: Nango could not reach the provider.

        """

    @abstractmethod
    async def import_credentials(
        self,
        *,
        integration: str,
        nango_id: str,
        credentials: Mapping[str, str],
        connection_config: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Store credentials under an id of ours; the same id again overrides.

        Raises:
            IntegrationMissing: Nango has no such integration.
            CredentialsRefused: Nango tried them and the provider refused.

        """

    @abstractmethod
    async def delete(self, integration: str, nango_id: str) -> None:
        """Delete a connection at Nango; one that is gone already is fine."""

    @abstractmethod
    def grants(self) -> AsyncIterator[Sequence[Grant]]:
        """Walk through everything Nango has, a page at a time."""

    @abstractmethod
    async def integrations(self) -> Sequence[str]:
        """Name the integrations of this Nango environment."""


@frozen(kw_only=True)
class Notice:
    """What a webhook of Nango speaks of: a reason to look, and nothing more.

    `trouble`: it tells of a failure. `well`: it tells that credentials work, which is no news of an active
    connection.
    """

    integration: str
    nango_id: str
    attempt_id: str | None
    trouble: bool = False
    well: bool = False


class NoticeReader(Protocol):
    """Knows genuine webhooks of Nango."""

    @abstractmethod
    def read(self, body: bytes, signature: str | None) -> Notice | None:
        """Read a webhook; None where it is of a kind that is no reason to look.

        Raises:
            WebhookRefused: no key that we have made the signature over exactly these bytes.

        """


# ── providers ─────────────────────────────────────────────────────────────────────────────────────────


class Health(StrEnum):
    """What an identity call says of the credentials."""

    HEALTHY = "healthy"
    FORBIDDEN = "forbidden"
    DEAD = "dead"


@frozen(kw_only=True)
class Verdict:
    """How the provider's answer reads. FORBIDDEN: good credentials that may not ask who they are."""

    health: Health
    account_id: str | None = None
    account_name: str | None = None
    reason: str | None = None


class ProviderAdapter(Protocol):
    """A provider: its description, and how to read what it answers."""

    provider: Provider

    @abstractmethod
    def base_url(self, parameters: Mapping[str, str]) -> str | None:
        """Give the address of the identity call where Nango's default does not serve."""

    @abstractmethod
    def read(
        self, answer: ProviderAnswer, *, connection_config: Mapping[str, Any], token: Mapping[str, Any]
    ) -> Verdict:
        """Judge the answer to the identity call.

        Raises:
            ProviderUnavailable: 429 or 5xx, or the provider's own way of saying "later".
            GatewayNonsense: an answer that says nothing of the credentials.

        """


class ProviderCatalogue(Protocol):
    """The providers this deployment knows."""

    @abstractmethod
    def get(self, key: str) -> ProviderAdapter:
        """Give a provider.

        Raises:
            InvalidInput: no such provider; names those there are.

        """

    @abstractmethod
    def all(self) -> Sequence[Provider]:
        """Give every description, by key."""


# ── the rest ──────────────────────────────────────────────────────────────────────────────────────────


class Ids(Protocol):
    """Randomness."""

    @abstractmethod
    def connection_id(self) -> str:
        """Give `conn_` and a UUIDv7."""

    @abstractmethod
    def random_id(self) -> str:
        """Give a random UUID."""

    @abstractmethod
    def state(self) -> str:
        """Give `cs_` and 256 random bits."""
