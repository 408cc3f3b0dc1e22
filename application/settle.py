"""Write down what was learnt about a connection's credentials while no transaction was open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application.ports import Health
from domain.connection import ACTIVE, ERROR, EXPIRED, Connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from application.ports import Store, Verdict
    from domain.history import Change

    Step = Callable[[Connection, datetime], Change | None]

AUTHORIZED = frozenset({ACTIVE, ERROR, EXPIRED})
"""The statuses in which Nango holds credentials that can be looked at."""

REFUSED = "The provider refused the credentials"
NOT_AUTHORIZED = "Connection not yet authorized - complete OAuth flow first"
NO_LONGER_AUTHORIZED = "Connection is disconnected - authorize it again"
GONE = "The connection no longer exists at Nango. Authorize it again."


async def settle(store: Store, seen: Connection, *steps: Step, fresh: timedelta | None = None) -> Connection:
    """Take these steps, one after the other, and give the connection as it is then.

    Nothing is written if the connection has got other credentials since it was `seen`, or has lost them.

    `fresh` is given if nobody asked for the look that led here. A step is then written only if it changes
    something; that the credentials work, only if they were last seen to work longer than `fresh` ago. So
    nobody can fill a history by replaying a webhook.
    """
    async with store.begin() as tx:
        connection = await tx.connections.get(seen.company_id, seen.id, lock=True)
        same = (connection.nango_id, connection.authorized_at) == (seen.nango_id, seen.authorized_at)
        if not same or connection.status not in AUTHORIZED:
            return connection
        for step in steps:
            change = step(connection, tx.now)
            if change is not None and (fresh is None or _is_news(change, connection, fresh)):
                await tx.connections.save(change)
                connection = change.after
        return connection


def _is_news(change: Change, before: Connection, fresh: timedelta) -> bool:
    told = set(change.event.changes)
    if told != {"last_synced_at"}:
        return bool(told)
    return before.last_synced_at is None or change.event.at >= before.last_synced_at + fresh


def found(verdict: Verdict, *, seen: Connection, by: str) -> Step:
    """The step that an identity call's verdict means for the status."""
    if verdict.health is not Health.DEAD:
        return lambda connection, at: connection.find_healthy(at=at, by=by)

    def refused(connection: Connection, at: datetime) -> Change | None:
        if connection.last_synced_at != seen.last_synced_at:
            return None  # found to work since we looked: what was refused has probably been renewed
        return connection.find_unhealthy(reason=verdict.reason or REFUSED, at=at, by=by)

    return refused


def identified(verdict: Verdict, *, by: str) -> Step:
    """The step that notes the account, where the provider named one."""

    def step(connection: Connection, at: datetime) -> Change | None:
        if verdict.account_id is None:
            return None
        return connection.identify(verdict.account_id, verdict.account_name, at=at, by=by)

    return step


def gone(*, by: str) -> Step:
    """The step for a connection that Nango does not have any more."""
    return lambda connection, at: connection.disconnect(reason=GONE, at=at, by=by)
