"""The connection and its state machine.

```
              authorized                      found unhealthy, refresh failed
  pending ───────────────────▶ active ───────────────────────────────▶ error
     ▲ ▲ ▲                       │  ▲  refreshed, found healthy, authorized │
     │ │ └─ restarted ─ disconnected │◀──────────────────────────────────────┤
     │ └─── restarted ─ expired ─────┘            token expired for good     │
     └───── restarted ─ error ◀───────────────────────────────────────────────
```

The drawing is a summary; `TRANSITIONS` is the rule, and `docs/state-machine.md` shows all of it.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from domain.errors import IllegalTransition
from domain.events import EventType
from domain.history import Change, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from domain.events import Event


class ConnectionStatus(StrEnum):
    """The five statuses of the reference, section "Statuses"."""

    PENDING = "pending"
    ACTIVE = "active"
    ERROR = "error"
    EXPIRED = "expired"
    DISCONNECTED = "disconnected"


PENDING = ConnectionStatus.PENDING
ACTIVE = ConnectionStatus.ACTIVE
ERROR = ConnectionStatus.ERROR
EXPIRED = ConnectionStatus.EXPIRED
DISCONNECTED = ConnectionStatus.DISCONNECTED

_BACK = frozenset({ERROR, EXPIRED, DISCONNECTED})
"""What a pending connection may go back to when its authorization comes to nothing."""

TRANSITIONS: Mapping[tuple[ConnectionStatus, EventType], frozenset[ConnectionStatus]] = MappingProxyType(
    {
        # A first authorization that fails is an error; a later one gives back the status before it.
        (PENDING, EventType.AUTHORIZED): frozenset({ACTIVE}),
        (PENDING, EventType.AUTHORIZATION_FAILED): _BACK,
        (PENDING, EventType.AUTHORIZATION_ABANDONED): _BACK,
        (PENDING, EventType.AUTHORIZATION_RESTARTED): frozenset({PENDING}),
        (PENDING, EventType.DISCONNECTED): frozenset({DISCONNECTED}),
        (ACTIVE, EventType.AUTHORIZED): frozenset({ACTIVE}),
        (ACTIVE, EventType.REFRESHED): frozenset({ACTIVE}),
        (ACTIVE, EventType.FOUND_HEALTHY): frozenset({ACTIVE}),
        (ACTIVE, EventType.REFRESH_FAILED): frozenset({ERROR}),
        (ACTIVE, EventType.FOUND_UNHEALTHY): frozenset({ERROR}),
        (ACTIVE, EventType.EXPIRED): frozenset({EXPIRED}),
        (ACTIVE, EventType.DISCONNECTED): frozenset({DISCONNECTED}),
        (ERROR, EventType.AUTHORIZED): frozenset({ACTIVE}),
        (ERROR, EventType.REFRESHED): frozenset({ACTIVE}),
        (ERROR, EventType.FOUND_HEALTHY): frozenset({ACTIVE}),
        (ERROR, EventType.REFRESH_FAILED): frozenset({ERROR}),
        (ERROR, EventType.FOUND_UNHEALTHY): frozenset({ERROR}),
        (ERROR, EventType.EXPIRED): frozenset({EXPIRED}),
        (ERROR, EventType.AUTHORIZATION_RESTARTED): frozenset({PENDING}),
        (ERROR, EventType.DISCONNECTED): frozenset({DISCONNECTED}),
        (EXPIRED, EventType.AUTHORIZED): frozenset({ACTIVE}),
        (EXPIRED, EventType.REFRESHED): frozenset({ACTIVE}),
        (EXPIRED, EventType.FOUND_HEALTHY): frozenset({ACTIVE}),
        (EXPIRED, EventType.REFRESH_FAILED): frozenset({EXPIRED}),
        (EXPIRED, EventType.FOUND_UNHEALTHY): frozenset({EXPIRED}),
        (EXPIRED, EventType.AUTHORIZATION_RESTARTED): frozenset({PENDING}),
        (EXPIRED, EventType.DISCONNECTED): frozenset({DISCONNECTED}),
        (DISCONNECTED, EventType.AUTHORIZATION_RESTARTED): frozenset({PENDING}),
    }
)
"""(status, trigger) → the statuses it may lead to; a pair that is not here is illegal."""

TRIGGERS = frozenset(trigger for _, trigger in TRANSITIONS)
"""The facts that may change a status; all others leave it as it is."""


class AuthKind(StrEnum):
    """How the account was connected."""

    OAUTH = "oauth"
    API_KEY = "api_key"


class Origin(StrEnum):
    """Which call made the connection. A company has at most one pending from auth-url per provider."""

    AUTH_URL = "auth_url"
    CREATE = "create"


@frozen(kw_only=True)
class Connection:
    """A company's connection to one account at one provider.

    Attributes:
        integration: Nango's name for the provider's app; kept here, so that a changed provider file does
            not redirect old connections.
        nango_id: Nango's connection id, once authorized; None before that and after a disconnect.
        parameters: what the provider needed to know before authorizing (NetSuite's accountId): those of
            the credentials; before there are any, those that were asked for last.
        error_message: why the status is error, expired or disconnected.
        status_before_pending, error_before_pending: what a failed re-authorization gives back.
        authorized_at: when the credentials were last granted; ages a refresh token.
        last_synced_at: the last activation, refresh or healthy verification.
        version: counts the events; compare-and-set on it makes writers notice each other.

    """

    id: str
    company_id: str
    provider: str
    name: str
    status: ConnectionStatus
    auth_kind: AuthKind
    origin: Origin
    integration: str
    nango_id: str | None = None
    external_account_id: str | None = None
    external_account_name: str | None = None
    metadata: Mapping[str, Any] = field(factory=dict)
    parameters: Mapping[str, str] = field(factory=dict)
    error_message: str | None = None
    status_before_pending: ConnectionStatus | None = None
    error_before_pending: str | None = None
    authorized_at: datetime | None = None
    last_synced_at: datetime | None = None
    deleted_at: datetime | None = None
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def visible(self) -> bool:
        """Whether its company sees it: not once deleted, nor while an API key is still being tried."""
        trying = self.auth_kind is AuthKind.API_KEY and self.status is PENDING
        return self.deleted_at is None and not trying

    # ── beginnings ────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def begin(  # noqa: PLR0913 - the facts of a birth, all by name
        cls,
        *,
        id: str,
        company_id: str,
        provider: str,
        name: str,
        auth_kind: AuthKind,
        origin: Origin,
        integration: str,
        parameters: Mapping[str, str],
        metadata: Mapping[str, Any],
        at: datetime,
        by: str,
    ) -> Change:
        """Begin as pending: somebody was asked to authorize, nobody has yet."""
        connection = cls(
            id=id,
            company_id=company_id,
            provider=provider,
            name=name,
            status=PENDING,
            auth_kind=auth_kind,
            origin=origin,
            integration=integration,
            parameters=parameters,
            metadata=metadata,
            created_at=at,
            updated_at=at,
        )
        return Change.of(None, connection, EventType.CREATED, None, by=by)

    @classmethod
    def replay(cls, events: Iterable[Event]) -> Connection:
        """Fold a whole history, oldest first, into the connection that it explains.

        Raises:
            ValueError: the history is empty, does not begin with a birth, or has a gap.

        """
        connection: Connection | None = None
        for event in events:
            if event.version != (connection.version + 1 if connection else 1):
                raise ValueError(
                    f"version {event.version} does not follow {connection and connection.version}"
                )
            told = {"version": event.version, "updated_at": event.at, **event.changes}
            connection = (
                attrs.evolve(connection, **told)
                if connection
                else cls(id=event.connection_id, company_id=event.company_id, **told)
            )
        if connection is None:
            raise ValueError("a history has at least one event")
        return connection

    # ── authorization ─────────────────────────────────────────────────────────────────────────────

    def restart_authorization(
        self, *, parameters: Mapping[str, str], integration: str, at: datetime, by: str
    ) -> Change:
        """Go (back) to pending; remember what to give back if this comes to nothing.

        A connection that has credentials keeps the parameters that these were granted with, until `authorize`
        brings others. One without takes `parameters` at once.
        """
        before = (
            (self.status_before_pending, self.error_before_pending)
            if self.status is PENDING
            else (self.status, self.error_message)
        )
        return self._move(
            EventType.AUTHORIZATION_RESTARTED,
            PENDING,
            at=at,
            by=by,
            parameters=self.parameters if self.nango_id else parameters,
            integration=integration,
            status_before_pending=before[0],
            error_before_pending=before[1],
            error_message=None,
        )

    def reopen(self, *, at: datetime, by: str) -> Change:
        """Go back to pending for an authorization that was asked for before and may still complete.

        As `restart_authorization`, with the parameters and the integration that are there.
        """
        return self.restart_authorization(
            parameters=self.parameters, integration=self.integration, at=at, by=by
        )

    def authorize(
        self,
        *,
        nango_id: str,
        integration: str,
        parameters: Mapping[str, str] | None = None,
        at: datetime,
        by: str,
    ) -> Change:
        """Become active with the credentials that Nango keeps under `nango_id`.

        `parameters` are those that these credentials were granted with; None leaves them as they are.
        """
        return self._move(
            EventType.AUTHORIZED,
            ACTIVE,
            at=at,
            by=by,
            nango_id=nango_id,
            integration=integration,
            parameters=self.parameters if parameters is None else parameters,
            error_message=None,
            status_before_pending=None,
            error_before_pending=None,
            authorized_at=at,
            last_synced_at=at,
        )

    def fail_authorization(self, *, error: str, at: datetime, by: str) -> Change:
        """Give back the status and message from before; a first authorization becomes an error."""
        return self._fall_back(EventType.AUTHORIZATION_FAILED, f"Authorization failed: {error}", at=at, by=by)

    def abandon_authorization(self, *, at: datetime, by: str) -> Change:
        """The user never came back: as `fail_authorization`."""
        reason = "Authorization was not completed in time. Start it again."
        return self._fall_back(EventType.AUTHORIZATION_ABANDONED, reason, at=at, by=by)

    # ── life ──────────────────────────────────────────────────────────────────────────────────────

    def refresh(self, *, at: datetime, by: str) -> Change:
        """The credentials were renewed and work."""
        return self._recover(EventType.REFRESHED, at=at, by=by)

    def find_healthy(self, *, at: datetime, by: str) -> Change:
        """The provider accepts the credentials."""
        return self._recover(EventType.FOUND_HEALTHY, at=at, by=by)

    def fail_refresh(self, *, reason: str, at: datetime, by: str) -> Change:
        """The credentials could not be renewed. An expired connection stays expired."""
        return self._fail(EventType.REFRESH_FAILED, reason, at=at, by=by)

    def find_unhealthy(self, *, reason: str, at: datetime, by: str) -> Change:
        """The provider refuses the credentials. An expired connection stays expired."""
        return self._fail(EventType.FOUND_UNHEALTHY, reason, at=at, by=by)

    def expire(self, *, reason: str, at: datetime, by: str) -> Change:
        """No refresh can help any more: somebody must authorize again."""
        if self.status is EXPIRED:
            return self.fail_refresh(reason=reason, at=at, by=by)
        return self._move(EventType.EXPIRED, EXPIRED, reason, at=at, by=by, error_message=reason)

    def disconnect(self, *, reason: str, at: datetime, by: str) -> Change:
        """The credentials are gone at Nango, or are being removed there. The record stays."""
        return self._move(
            EventType.DISCONNECTED,
            DISCONNECTED,
            reason,
            at=at,
            by=by,
            nango_id=None,
            error_message=reason,
            status_before_pending=None,
            error_before_pending=None,
        )

    # ── facts beside the state machine ────────────────────────────────────────────────────────────

    def identify(self, account_id: str, account_name: str | None, *, at: datetime, by: str) -> Change | None:
        """Note which account the credentials reach; another account than before is a fact of its own."""
        if (account_id, account_name) == (self.external_account_id, self.external_account_name):
            return None
        previous = self.external_account_id
        changed = previous is not None and previous != account_id
        reason = f"The account changed from {previous} to {account_id}" if changed else None
        return self._change(
            EventType.ACCOUNT_CHANGED if changed else EventType.ACCOUNT_IDENTIFIED,
            reason,
            at=at,
            by=by,
            external_account_id=account_id,
            external_account_name=account_name,
        )

    def update(
        self, *, name: str | None, metadata: Mapping[str, Any] | None, at: datetime, by: str
    ) -> Change | None:
        """Rename, or replace the metadata; None leaves a field as it is."""
        name = self.name if name is None else name
        metadata = self.metadata if metadata is None else metadata
        if name == self.name and same(metadata, self.metadata):
            return None
        return self._change(EventType.UPDATED, None, at=at, by=by, name=name, metadata=metadata)

    def delete(self, *, at: datetime, by: str) -> Change:
        """Hide the connection for good; the row stays as the tombstone that proves what was ours at Nango."""
        return self._change(EventType.DELETED, None, at=at, by=by, deleted_at=at)

    # ── mechanics ─────────────────────────────────────────────────────────────────────────────────

    def _recover(self, trigger: EventType, *, at: datetime, by: str) -> Change:
        # A first authorization that failed left an error without credentials: nothing there can work.
        if self.nango_id is None:
            raise IllegalTransition(self.status, trigger)
        return self._move(trigger, ACTIVE, at=at, by=by, error_message=None, last_synced_at=at)

    def _fail(self, trigger: EventType, reason: str, *, at: datetime, by: str) -> Change:
        target = EXPIRED if self.status is EXPIRED else ERROR
        return self._move(trigger, target, reason, at=at, by=by, error_message=reason)

    def _fall_back(self, trigger: EventType, reason: str, *, at: datetime, by: str) -> Change:
        first = self.status_before_pending is None
        return self._move(
            trigger,
            self.status_before_pending or ERROR,
            reason,
            at=at,
            by=by,
            error_message=reason if first else self.error_before_pending,
            status_before_pending=None,
            error_before_pending=None,
        )

    def _move(
        self,
        trigger: EventType,
        target: ConnectionStatus,
        reason: str | None = None,
        *,
        at: datetime,
        by: str,
        **fields: Any,
    ) -> Change:
        if target not in TRANSITIONS.get((self.status, trigger), ()) or self.deleted_at is not None:
            raise IllegalTransition(self.status, trigger)
        return self._change(trigger, reason, at=at, by=by, status=target, **fields)

    def _change(
        self,
        type: EventType,
        reason: str | None,
        *,
        at: datetime,
        by: str,
        **fields: Any,
    ) -> Change:
        # A transaction that waited for the row's lock began, and read the clock, before the one that held it
        # wrote. Without max() the history would go back in time.
        after = attrs.evolve(self, version=self.version + 1, updated_at=max(at, self.updated_at), **fields)
        return Change.of(self, after, type, reason, by=by)
