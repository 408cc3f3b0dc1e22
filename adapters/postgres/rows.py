"""Rows to the domain's values and back; the JSON in them is msgspec's and read nowhere else."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations of ConnectionFields
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from adapters.postgres.errors import unstorable
from application.ports import (
    ApiKeyRecord,
    ConnectionDetails,
    ConnectionSummary,
    IdempotencyRecord,
    Job,
    JobKind,
    Scope,
)
from domain.authorization import Attempt, AttemptMode, Outcome
from domain.connection import AuthKind, Connection, ConnectionStatus, Origin
from domain.errors import InvalidInput
from domain.events import Event, EventType
from domain.redirect import RedirectUrl

if TYPE_CHECKING:
    import asyncpg

CONNECTION_COLUMNS = (
    "company_id, id, provider, name, status, auth_kind, origin, integration, nango_id, external_account_id, "
    "external_account_name, metadata, parameters, error_message, status_before_pending, "
    "error_before_pending, authorized_at, last_synced_at, deleted_at, version, created_at, updated_at"
)
SUMMARY_COLUMNS = (
    "id, name, provider, status, external_account_id, last_synced_at, created_at, updated_at, error_message"
)
DETAILS_COLUMNS = f"{SUMMARY_COLUMNS}, metadata"
VISIBLE = "deleted_at IS NULL AND NOT (auth_kind = 'api_key' AND status = 'pending')"
"""`Connection.visible` in SQL."""

EVENT_COLUMNS = "company_id, connection_id, version, type, at, actor, status_before, status, reason, changes"
ATTEMPT_COLUMNS = (
    "company_id, connection_id, id, provider, integration, nango_id, mode, state_hash, nango_state, "
    "nango_cookie, redirect_url, created_at, expires_at, check_at, checks, claimed_at, closed_at, "
    "outcome, error, parameters"
)
JOB_COLUMNS = "company_id, connection_id, id, kind, due_at, tries, integration, nango_id"
API_KEY_COLUMNS = "id, company_id, scope, prefix, digest, label, created_at, revoked_at"
RECORD_COLUMNS = "key_hash, fingerprint, connection_id, salt, authorization_url"


class ConnectionFields(TypedDict, total=False):
    """What an event's `changes` may hold: msgspec reads each back as the type it had."""

    provider: str
    name: str
    status: ConnectionStatus
    auth_kind: AuthKind
    origin: Origin
    integration: str
    nango_id: str | None
    external_account_id: str | None
    external_account_name: str | None
    metadata: dict[str, Any]
    parameters: dict[str, str]
    error_message: str | None
    status_before_pending: ConnectionStatus | None
    error_before_pending: str | None
    authorized_at: datetime | None
    last_synced_at: datetime | None
    deleted_at: datetime | None
    created_at: datetime


_json = msgspec.json.Encoder()
_fields = msgspec.json.Decoder(ConnectionFields)
_object = msgspec.json.Decoder(dict[str, Any])
_status = {status.value: status for status in ConnectionStatus}
_auth_kind = {kind.value: kind for kind in AuthKind}
_origin = {origin.value: origin for origin in Origin}


def to_json(value: object) -> str:
    """Encode metadata, parameters or changes for a json column.

    Raises:
        InvalidInput: there is a lone surrogate in it.

    """
    try:
        return _json.encode(value).decode()
    except UnicodeEncodeError:
        raise unstorable() from None


def connection_of(row: asyncpg.Record) -> Connection:
    """Read a row of CONNECTION_COLUMNS, by position: names would cost as much as all the rest."""
    (
        company_id,
        connection_id,
        provider,
        name,
        status,
        auth_kind,
        origin,
        integration,
        nango_id,
        external_account_id,
        external_account_name,
        metadata,
        parameters,
        error_message,
        status_before_pending,
        error_before_pending,
        authorized_at,
        last_synced_at,
        deleted_at,
        version,
        created_at,
        updated_at,
    ) = row
    return Connection(
        company_id=company_id,
        id=connection_id,
        provider=provider,
        name=name,
        status=_status[status],
        auth_kind=_auth_kind[auth_kind],
        origin=_origin[origin],
        integration=integration,
        nango_id=nango_id,
        external_account_id=external_account_id,
        external_account_name=external_account_name,
        metadata=_object.decode(metadata),
        parameters=_object.decode(parameters),
        error_message=error_message,
        status_before_pending=_status[status_before_pending] if status_before_pending else None,
        error_before_pending=error_before_pending,
        authorized_at=authorized_at,
        last_synced_at=last_synced_at,
        deleted_at=deleted_at,
        version=version,
        created_at=created_at,
        updated_at=updated_at,
    )


def summary_of(row: asyncpg.Record) -> ConnectionSummary:
    """Read a row of SUMMARY_COLUMNS, by position."""
    id_, name, provider, status, external_account_id, synced_at, created_at, updated_at, error_message = row
    return ConnectionSummary(
        id_,
        name,
        provider,
        _status[status],
        external_account_id,
        synced_at,
        created_at,
        updated_at,
        error_message,
    )


def details_of(row: asyncpg.Record) -> ConnectionDetails:
    """Read a row that begins with DETAILS_COLUMNS, by position."""
    (
        id_,
        name,
        provider,
        status,
        external_account_id,
        synced_at,
        created_at,
        updated_at,
        error_message,
        metadata,
        *_,
    ) = row
    return ConnectionDetails(
        id_,
        name,
        provider,
        _status[status],
        external_account_id,
        synced_at,
        created_at,
        updated_at,
        error_message,
        _object.decode(metadata),
    )


def connection_values(connection: Connection) -> tuple[object, ...]:
    """Give the values of CONNECTION_COLUMNS."""
    return (
        connection.company_id,
        connection.id,
        connection.provider,
        connection.name,
        connection.status,
        connection.auth_kind,
        connection.origin,
        connection.integration,
        connection.nango_id,
        connection.external_account_id,
        connection.external_account_name,
        to_json(connection.metadata),
        to_json(connection.parameters),
        connection.error_message,
        connection.status_before_pending,
        connection.error_before_pending,
        connection.authorized_at,
        connection.last_synced_at,
        connection.deleted_at,
        connection.version,
        connection.created_at,
        connection.updated_at,
    )


def event_of(row: asyncpg.Record) -> Event:
    """Read a row of EVENT_COLUMNS."""
    before = row["status_before"]
    return Event(
        company_id=row["company_id"],
        connection_id=row["connection_id"],
        version=row["version"],
        type=EventType(row["type"]),
        at=row["at"],
        actor=row["actor"],
        status_before=_status[before] if before else None,
        status=_status[row["status"]],
        reason=row["reason"],
        changes=_fields.decode(row["changes"]),
    )


def attempt_of(row: asyncpg.Record) -> Attempt:
    """Read a row of ATTEMPT_COLUMNS."""
    told = dict(row)
    told["mode"] = AttemptMode(told["mode"]) if told["mode"] else None
    told["outcome"] = Outcome(told["outcome"]) if told["outcome"] else None
    told["parameters"] = _object.decode(told["parameters"])
    told["redirect_url"] = _redirect_url(told["redirect_url"])
    return Attempt(**told)


def _redirect_url(text: str | None) -> RedirectUrl | None:
    """Read a stored address; one that a later release no longer accepts is not followed."""
    try:
        return RedirectUrl.parse(text) if text is not None else None
    except InvalidInput:
        return None


def attempt_values(attempt: Attempt) -> tuple[object, ...]:
    """Give the values of ATTEMPT_COLUMNS."""
    return (
        attempt.company_id,
        attempt.connection_id,
        attempt.id,
        attempt.provider,
        attempt.integration,
        attempt.nango_id,
        attempt.mode,
        attempt.state_hash,
        attempt.nango_state,
        attempt.nango_cookie,
        attempt.redirect_url.text if attempt.redirect_url else None,
        attempt.created_at,
        attempt.expires_at,
        attempt.check_at,
        attempt.checks,
        attempt.claimed_at,
        attempt.closed_at,
        attempt.outcome,
        attempt.error,
        to_json(attempt.parameters),
    )


def job_of(row: asyncpg.Record) -> Job:
    """Read a row of JOB_COLUMNS."""
    return Job(**{**dict(row), "kind": JobKind(row["kind"])})


def api_key_of(row: asyncpg.Record) -> ApiKeyRecord:
    """Read a row of API_KEY_COLUMNS."""
    return ApiKeyRecord(**{**dict(row), "scope": Scope(row["scope"])})


def record_of(row: asyncpg.Record) -> IdempotencyRecord:
    """Read a row of RECORD_COLUMNS."""
    return IdempotencyRecord(**dict(row))
