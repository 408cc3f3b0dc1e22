"""`connections doctor`: what is wrong with this deployment, and what to do about it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.postgres.inspect import NoDatabase, inspect
from adapters.postgres.pool import SERVER_TIMEOUTS
from application.findings import broken, doubtful, good
from entrypoints.service import composed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.postgres.inspect import DatabaseFacts
    from application.findings import Finding
    from entrypoints.settings import Settings

OLDEST_POSTGRESQL = 14
CLOCK_TOLERANCE = timedelta(seconds=2)
WORKER_TOLERANCE = timedelta(minutes=5)


async def examine(settings: Settings) -> Sequence[Finding]:
    """Examine a deployment from the process that would serve it; changes nothing."""
    assert settings.database_url is not None  # noqa: S101 - the command line has required it
    findings: list[Finding] = []
    try:
        facts = await inspect(settings.database_url)
    except NoDatabase as problem:
        advice = (
            "Check CONNECTIONS_DATABASE_URL, and that the server runs and lets this host in (pg_hba.conf)."
        )
        findings.append(broken("database", str(problem), advice))
    else:
        findings += [_database(facts), _migrations(facts), *_timeouts(facts, settings), _clock(facts)]
        findings += _worker(facts)
    async with composed(settings) as container:
        findings += await container.diagnose()()
    return [*findings, _webhooks(settings)]


def _database(facts: DatabaseFacts) -> Finding:
    if facts.version < OLDEST_POSTGRESQL * 10_000:
        message = f"It is PostgreSQL {facts.called}, and {OLDEST_POSTGRESQL} is the oldest that works."
        return broken("database", message, "Upgrade PostgreSQL.")
    if facts.read_only:
        advice = (
            "Name the primary in CONNECTIONS_DATABASE_URL, or all hosts with "
            "target_session_attrs=read-write, which finds it."
        )
        return broken("database", "It is read-only: a standby?", advice)
    return good("database", f"PostgreSQL {facts.called} answers.")


def _migrations(facts: DatabaseFacts) -> Finding:
    state = f"The schema is at revision {facts.revision}, this release knows {facts.shipped}"
    if facts.revision < facts.shipped:
        return broken("migrations", f"{state}.", "Run `connections migrate`; no process is ready before.")
    if facts.revision > facts.shipped:
        advice = "Fine while a new release is rolled out; afterwards, update this one."
        return doubtful("migrations", f"{state}: a newer release has migrated it.", advice)
    return good("migrations", f"{state}.")


def _timeouts(facts: DatabaseFacts, settings: Settings) -> Sequence[Finding]:
    """Say whether the server gives up by itself: behind pgbouncer we cannot ask it to."""
    if not settings.database_pgbouncer:
        return []
    if not facts.unlimited:
        return [good("timeouts", "The role has timeouts of its own.")]
    *most, last = facts.unlimited
    names = f"{', '.join(most)} and {last}" if most else last
    message = (
        f"Behind pgbouncer the role has no {names}: what we give up on goes on in the server, with its locks."
    )
    advice = " ".join(f"ALTER ROLE … SET {name} = '{SERVER_TIMEOUTS[name]}';" for name in facts.unlimited)
    return [doubtful("timeouts", message, f"{advice} Then have pgbouncer connect anew (RECONNECT).")]


def _clock(facts: DatabaseFacts) -> Finding:
    seconds = facts.ahead.total_seconds()
    if abs(facts.ahead) <= CLOCK_TOLERANCE:
        return good("clock", "This host's clock agrees with the database's.")
    where = "ahead of" if seconds > 0 else "behind"
    message = f"This host's clock is {abs(seconds):.1f} s {where} the database's."
    advice = (
        "Let NTP set both. What expires does so by the database's clock; logs are written by this host's."
    )
    return doubtful("clock", message, advice)


def _worker(facts: DatabaseFacts) -> Sequence[Finding]:
    """Say whether anybody works: nothing else shows it as long as nothing is owed."""
    if facts.revision < facts.shipped:
        return []  # where a round would leave its trace is not there yet
    if facts.overdue is None:
        message = "No worker has made a round on this database yet."
    elif facts.overdue > WORKER_TOLERANCE:
        message = f"A worker's round is overdue by {facts.overdue.total_seconds() // 60:.0f} minutes."
    else:
        return [good("worker", "A worker makes its rounds.")]
    advice = (
        "Start `connections worker`, or `serve --with-worker`: without one no deletion is finished, no "
        "connection verified, and what Nango knows is not noticed. If one runs, its log says what stops it."
    )
    return [doubtful("worker", message, advice)]


def _webhooks(settings: Settings) -> Finding:
    if settings.nango_webhook_keys:
        return good("webhooks", f"{len(settings.nango_webhook_keys)} webhook signing key(s) are set.")
    advice = (
        "Set CONNECTIONS_NANGO_WEBHOOK_KEYS to the webhook signing key of the Nango environment, and there "
        f"the webhook URL to {settings.public_url}/api/v1/webhooks/nango; switch creations and refresh "
        "errors on."
    )
    return doubtful(
        "webhooks", "Webhooks are refused: what Nango knows is found out by polling only.", advice
    )
