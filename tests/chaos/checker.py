"""The one judge: reads the database and Nango, and says which invariant does not hold.

`gather` collects the evidence, `violations` judges it; each rule is a function of its own, so that a test can
show of each that it can fail. What the service itself says is no evidence here, except for `readable`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import asyncpg
from attrs import field, frozen

from adapters.postgres.rows import (
    ATTEMPT_COLUMNS,
    CONNECTION_COLUMNS,
    EVENT_COLUMNS,
    attempt_of,
    connection_of,
    event_of,
)
from domain.connection import ACTIVE, PENDING, AuthKind, Connection, Origin
from tests.e2e.sandbox_process import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from domain.authorization import Attempt
    from domain.events import Event
    from tests.chaos.ledger import Promise
    from tests.e2e.journeys import Nango

_BEGINS = r"(?<![A-Za-z0-9_-])"
CREDENTIALS = (
    rf"{_BEGINS}(?:(?:at|rt)_[A-Za-z0-9_-]{{20,}}|ck_[A-Za-z0-9]{{40,}}|canary-[a-z-]+)|{SECRET_KEY}"
)
"""The sandbox's tokens, our API keys, every canary, and Nango's secret key: nowhere."""

PASSING = (
    rf"|{_BEGINS}(?:code_[A-Za-z0-9_-]{{20,}}|nango_connect_session_[0-9a-f]{{20,}}|cs_[A-Za-z0-9_-]{{40,}})"
)
"""The sandbox's codes and session tokens and our own states: in answers and nowhere else."""

SECRETS = re.compile(CREDENTIALS + PASSING)
IN_ANSWERS = re.compile(CREDENTIALS)
ANSWERS = "answers"

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_HALF_DONE = """
SELECT company_id, connection_id, id, 'an attempt that never began' AS what FROM attempts
WHERE closed_at IS NULL AND mode IS NULL AND created_at < clock() - $1::float8 * interval '1 second'
UNION ALL
SELECT company_id, connection_id, id, 'a claim without an outcome' FROM attempts
WHERE closed_at IS NULL AND claimed_at < clock() - $1::float8 * interval '1 second'
UNION ALL
SELECT company_id, connection_id, id, 'owed work: ' || kind FROM jobs
WHERE due_at < clock() - $1::float8 * interval '1 second'
"""


@frozen(kw_only=True)
class Held:
    """A connection as Nango holds it."""

    integration: str
    nango_id: str
    tags: Mapping[str, str]


@frozen(kw_only=True)
class Evidence:
    """Everything there is to judge by.

    Args:
        connections: every row, tombstones too.
        events: every event, in order of version.
        attempts: every attempt.
        half_done: intents that nobody has finished in time, in words.
        deployment: what tags ours at Nango.
        held: what Nango has, without what it has deleted.
        remembered: what callers were told.
        uncertain: for each company whose callers are known, how many connections may have come of calls that
            were never answered.
        texts: everything in which no secret may be, by where it was found.

    """

    connections: Sequence[Connection] = ()
    events: Sequence[Event] = ()
    attempts: Sequence[Attempt] = ()
    half_done: Sequence[str] = ()
    deployment: str = ""
    held: Sequence[Held] = ()
    remembered: Sequence[Promise] = ()
    uncertain: Mapping[str, int] = field(factory=dict)
    texts: Mapping[str, str] = field(factory=dict, repr=False)

    def holding(self) -> Mapping[tuple[str, str], Held]:
        """Find what Nango holds by (integration, Nango id)."""
        return {(each.integration, each.nango_id): each for each in self.held}


# ── the invariants ────────────────────────────────────────────────────────────────────────────────────


def active_is_held(seen: Evidence) -> Iterator[str]:
    """Active ⇒ exists at Nango with our tags."""
    holding = seen.holding()
    for connection in seen.connections:
        if connection.status is not ACTIVE or connection.deleted_at is not None:
            continue
        held = holding.get((connection.integration, connection.nango_id or ""))
        wanted = {
            "connection": connection.id,
            "company": connection.company_id,
            "deployment": seen.deployment,
        }
        if held is None:
            yield f"{connection.id} is active, and Nango does not have {connection.nango_id}"
        elif not wanted.items() <= held.tags.items():
            yield f"{connection.id} is active, and Nango's {held.nango_id} has the tags {held.tags}"


def one_pending(seen: Evidence) -> Iterator[str]:
    """At most one pending per company and provider from auth-url."""
    counts = Counter(
        (connection.company_id, connection.provider)
        for connection in seen.connections
        if connection.status is PENDING
        and connection.origin is Origin.AUTH_URL
        and connection.deleted_at is None
    )
    for (company, provider), count in counts.items():
        if count > 1:
            yield f"{company} has {count} pending connections from auth-url for {provider}"


def grants_are_unique(seen: Evidence) -> Iterator[str]:
    """No two connections share an account's credentials at Nango."""
    counts = Counter(
        (connection.integration, connection.nango_id)
        for connection in seen.connections
        if connection.nango_id is not None and connection.deleted_at is None
    )
    for grant, count in counts.items():
        if count > 1:
            yield f"{count} connections stand on {grant}"


def history_replays(seen: Evidence) -> Iterator[str]:
    """The history of a connection explains its row."""
    histories: dict[str, list[Event]] = {}
    for event in seen.events:
        histories.setdefault(event.connection_id, []).append(event)
    for connection in seen.connections:
        try:
            replayed = Connection.replay(histories.get(connection.id, []))
        except ValueError as problem:
            yield f"{connection.id}'s history: {problem}"
            continue
        if replayed != connection:
            yield f"{connection.id} is {connection}, its history says {replayed}"


def pending_has_somebody(seen: Evidence) -> Iterator[str]:
    """A pending connection waits for an attempt that is open; one for a key waits for nobody."""
    waiting = {attempt.connection_id for attempt in seen.attempts if attempt.closed_at is None}
    for connection in seen.connections:
        if connection.status is not PENDING or connection.deleted_at is not None:
            continue
        if connection.auth_kind is AuthKind.API_KEY:
            yield f"{connection.id} waits for the import of its key for ever"
        elif connection.id not in waiting:
            yield f"{connection.id} is pending, and no attempt of it is open"


def nothing_is_half_done(seen: Evidence) -> Iterator[str]:
    """No half-done intent is older than the sweep."""
    yield from seen.half_done


def companies_are_apart(seen: Evidence) -> Iterator[str]:
    """Nothing of one company hangs on another's connection, here or at Nango."""
    owner = {connection.id: connection.company_id for connection in seen.connections}
    for kind, company, connection_id in (
        *(("attempt", each.company_id, each.connection_id) for each in seen.attempts),
        *(("event", each.company_id, each.connection_id) for each in seen.events),
        *(
            ("Nango's " + each.nango_id, each.tags.get("company", ""), each.tags.get("connection", ""))
            for each in seen.held
            if each.tags.get("deployment") == seen.deployment
        ),
    ):
        if owner.get(connection_id) != company:
            yield f"an {kind} of {company} hangs on {connection_id} of {owner.get(connection_id)}"


def nothing_is_orphaned(seen: Evidence) -> Iterator[str]:
    """Nango has nothing with our tags that no row explains."""
    explained = {
        (connection.integration, connection.nango_id)
        for connection in seen.connections
        if connection.deleted_at is None
    }
    # What a front end did at Nango itself is found out by the poll, as long as its attempt is open.
    waited_for = {attempt.id for attempt in seen.attempts if attempt.closed_at is None}
    for each in seen.held:
        if (
            each.tags.get("deployment") == seen.deployment
            and (each.integration, each.nango_id) not in explained
            and each.tags.get("attempt") not in waited_for
        ):
            yield f"Nango has {each}, which nobody knows"


def promises_are_kept(seen: Evidence) -> Iterator[str]:
    """Each acknowledged write is there."""
    rows = {connection.id: connection for connection in seen.connections}
    happened = Counter((event.connection_id, event.type.value) for event in seen.events)
    for promise in seen.remembered:
        row = rows.get(promise.id)
        if row is None or row.company_id != promise.company:
            yield f"{promise.id} was promised to {promise.company}, and is {row}"
            continue
        status = "deleted" if row.deleted_at is not None else row.status.value
        if status not in promise.statuses:
            yield f"{row.id} is {status}; callers were told {sorted(promise.statuses)}"
        if row.name not in promise.names:
            yield f"{row.id} is called {row.name!r}; callers were told {sorted(promise.names)}"
        for fact, times in promise.facts.items():
            if happened[row.id, fact] < times:
                yield f"{row.id} was {fact} {happened[row.id, fact]} times; callers were told {times}"


def nothing_is_made_twice(seen: Evidence) -> Iterator[str]:
    """There are no more connections than callers asked for; `uncertain` counts calls without an answer."""
    known = {promise.id for promise in seen.remembered}
    extra = Counter(
        connection.company_id
        for connection in seen.connections
        if connection.id not in known and connection.deleted_at is None
    )
    for company, count in extra.items():
        if company in seen.uncertain and count > seen.uncertain[company]:
            yield f"{company} has {count} connections nobody was told of; {seen.uncertain[company]} may be"


def secrets_are_kept(seen: Evidence) -> Iterator[str]:
    """No credential and no state is in the database, in logs or in answers."""
    for where, text in seen.texts.items():
        if found := (IN_ANSWERS if where == ANSWERS else SECRETS).search(text):
            yield f"{where} holds {found[0][:12]}…: …{text[max(0, found.start() - 60) : found.start()]}"


INVARIANTS: Sequence[Callable[[Evidence], Iterator[str]]] = (
    active_is_held,
    one_pending,
    grants_are_unique,
    history_replays,
    pending_has_somebody,
    nothing_is_half_done,
    companies_are_apart,
    nothing_is_orphaned,
    promises_are_kept,
    nothing_is_made_twice,
    secrets_are_kept,
)


def violations(seen: Evidence) -> list[str]:
    """Name everything that does not hold."""
    return [f"{(rule.__doc__ or '').splitlines()[0]} {found}" for rule in INVARIANTS for found in rule(seen)]


# ── the evidence ──────────────────────────────────────────────────────────────────────────────────────


async def gather(
    database_url: str,
    nango: Nango,
    *,
    remembered: Sequence[Promise] = (),
    uncertain: Mapping[str, int] | None = None,
    texts: Mapping[str, str] | None = None,
    sweep: float = 30.0,
) -> Evidence:
    """Read everything, directly; the database in one snapshot, `sweep` is in seconds."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # Nango is read inside the snapshot: nobody may be at work while somebody judges.
            held = (await nango._control("GET", "/connections"))["connections"]
            return Evidence(
                connections=[
                    connection_of(row)
                    for row in await connection.fetch(f"SELECT {CONNECTION_COLUMNS} FROM connections")  # noqa: S608 - constants
                ],
                events=[
                    event_of(row)
                    for row in await connection.fetch(
                        f"SELECT {EVENT_COLUMNS} FROM events ORDER BY connection_id, version"  # noqa: S608 - constants
                    )
                ],
                attempts=[
                    attempt_of(row)
                    for row in await connection.fetch(f"SELECT {ATTEMPT_COLUMNS} FROM attempts")  # noqa: S608 - constants
                ],
                half_done=[
                    f"{row['what']}: {row['id']} of {row['connection_id']}"
                    for row in await connection.fetch(_HALF_DONE, sweep)
                ],
                deployment=await connection.fetchval("SELECT id FROM deployment"),
                held=[
                    Held(integration=each["integration"], nango_id=each["connection_id"], tags=each["tags"])
                    for each in held
                    if not each["deleted"]
                ],
                remembered=remembered,
                uncertain=uncertain or {},
                texts={**(texts or {}), **await _dump(connection)},
            )
    finally:
        await connection.close()


async def _dump(connection: asyncpg.Connection[asyncpg.Record]) -> Mapping[str, str]:
    """Give every table as text, bytes included."""
    dumped = {}
    for row in await connection.fetch(_TABLES):
        table = row["tablename"]
        rows = await connection.fetch(f'SELECT to_jsonb(each)::text AS line FROM "{table}" AS each')  # noqa: S608 - its own catalogue
        dumped[f"table {table}"] = "\n".join(each["line"] for each in rows)
    return dumped
