"""Connections in every state they can be in, brought there by their own verbs, and the verbs by trigger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.connection import AuthKind, Connection, Origin
from domain.events import EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.history import Change

    Verb = Callable[[Connection], Change]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

VERBS: Mapping[EventType, Verb] = {
    EventType.AUTHORIZED: lambda c: c.authorize(
        nango_id="nango-1", integration="acme", at=NOON, by="callback"
    ),
    EventType.AUTHORIZATION_RESTARTED: lambda c: c.restart_authorization(
        parameters=c.parameters, integration=c.integration, at=NOON, by="api_key:ck_1"
    ),
    EventType.AUTHORIZATION_FAILED: lambda c: c.fail_authorization(
        error="access_denied", at=NOON, by="callback"
    ),
    EventType.AUTHORIZATION_ABANDONED: lambda c: c.abandon_authorization(at=NOON, by="worker"),
    EventType.REFRESHED: lambda c: c.refresh(at=NOON, by="api_key:ck_1"),
    EventType.FOUND_HEALTHY: lambda c: c.find_healthy(at=NOON, by="api_key:ck_1"),
    EventType.REFRESH_FAILED: lambda c: c.fail_refresh(reason="Token revoked", at=NOON, by="api_key:ck_1"),
    EventType.FOUND_UNHEALTHY: lambda c: c.find_unhealthy(reason="Bad key", at=NOON, by="api_key:ck_1"),
    EventType.EXPIRED: lambda c: c.expire(reason="Token expired", at=NOON, by="worker"),
    EventType.DISCONNECTED: lambda c: c.disconnect(reason="Asked to", at=NOON, by="api_key:ck_1"),
}


def born() -> Change:
    """A connection that nobody has authorized yet, with the fact of its birth."""
    return Connection.begin(
        id="conn_1",
        company_id="acme-inc",
        provider="acme",
        name="Acme Production",
        auth_kind=AuthKind.OAUTH,
        origin=Origin.AUTH_URL,
        integration="acme",
        parameters={"accountId": "1234567-sb1"},
        metadata={"environment": "production"},
        at=NOON,
        by="api_key:ck_1",
    )


def after(*triggers: EventType) -> Connection:
    """A connection that has lived through these, in turn."""
    connection = born().after
    for trigger in triggers:
        connection = VERBS[trigger](connection).after
    return connection


_AUTHORIZED, _RESTARTED = EventType.AUTHORIZED, EventType.AUTHORIZATION_RESTARTED
PENDING = after()
ACTIVE = after(_AUTHORIZED)
ERROR = after(_AUTHORIZED, EventType.FOUND_UNHEALTHY)
EXPIRED = after(_AUTHORIZED, EventType.EXPIRED)
DISCONNECTED = after(_AUTHORIZED, EventType.DISCONNECTED)

LIVES: Mapping[str, Connection] = {
    "pending": PENDING,
    "pending after error": VERBS[_RESTARTED](ERROR).after,
    "pending after expired": VERBS[_RESTARTED](EXPIRED).after,
    "pending after disconnected": VERBS[_RESTARTED](DISCONNECTED).after,
    "active": ACTIVE,
    "error": ERROR,
    "expired": EXPIRED,
    "disconnected": DISCONNECTED,
}
