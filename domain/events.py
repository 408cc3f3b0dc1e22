"""What happened to a connection, as past facts.

One event per version of a connection: the history is gap-free by construction, and `Connection.replay`
folds it back to the row.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.connection import ConnectionStatus

WORKER = "worker"
"""The actor when nobody asked: the worker did it by itself."""

CALLBACK = "callback"
"""The actor when a callback came in: nobody knows who sent it."""

AUTHORIZATION = "authorization"
"""The actor when an account is identified after its authorization."""


class EventType(StrEnum):
    """The kinds of facts. The first group are the triggers of the state machine (`connection.TRIGGERS`)."""

    AUTHORIZED = "authorized"
    AUTHORIZATION_RESTARTED = "authorization_restarted"
    AUTHORIZATION_FAILED = "authorization_failed"
    AUTHORIZATION_ABANDONED = "authorization_abandoned"
    REFRESHED = "refreshed"
    FOUND_HEALTHY = "found_healthy"
    REFRESH_FAILED = "refresh_failed"
    FOUND_UNHEALTHY = "found_unhealthy"
    EXPIRED = "expired"
    DISCONNECTED = "disconnected"

    CREATED = "created"
    ACCOUNT_IDENTIFIED = "account_identified"
    ACCOUNT_CHANGED = "account_changed"
    UPDATED = "updated"
    DELETED = "deleted"


@frozen(kw_only=True)
class Event:
    """One fact of a connection's history.

    `version` is the connection's version after the fact; `actor` says who: `api_key:<prefix>`, or one of the
    constants above; `reason` says why, in words a person can read; `changes` holds the new value of every
    field that the fact changed, which is what a replay needs.
    """

    company_id: str
    connection_id: str
    version: int
    type: EventType
    at: datetime
    actor: str
    status_before: ConnectionStatus | None
    status: ConnectionStatus
    reason: str | None = None
    changes: Mapping[str, Any] = field(factory=dict)
