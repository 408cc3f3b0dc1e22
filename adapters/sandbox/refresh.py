"""How Nango refreshes: when, how often, and what it says when it cannot.

Source: Nango 0.71.4, observed (recorded as refresh). Every refusal by the provider looks alike; one failure
makes everything but a forced refresh answer 424 for thirty seconds; without a refresh token the old token is
given as if nothing were wrong; parallel refreshes share one token request.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from attrs import evolve

from adapters.sandbox.model import FAILURE_DAYS_ALLOWED, REFRESH_MARGIN
from adapters.sandbox.present import zulu_time
from adapters.sandbox.tokens import TokenRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.sandbox.model import Connection, Integration
    from adapters.sandbox.sandbox import Sandbox

DAY = 86_400

EXTERNAL_ERROR = (
    "The external API returned an error when trying to refresh the access token. Please try again later."
)
BACKING_OFF = "A recent refresh attempt failed. Backing off before retrying."
INCOMPLETE = (
    '{"cause":{"message":"An unhandled error of type \'incomplete_raw_credentials\' with payload \'{}\' has'
    ' occurred","type":"unhandled_incomplete_raw_credentials","status":500,"payload":{}}}'
)
BACK_OFF = "connection_refresh_backoff"
EXHAUSTED = "The refresh limit has been reached for this connection."


class RefreshRefused(Exception):
    """There are no fresh credentials; `connection` is what it is after the failure."""

    def __init__(self, connection: Connection, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.connection = connection
        self.status = status
        self.reason = reason
        self.message = message


async def fresh(sandbox: Sandbox, connection: Connection, *, force: bool = False) -> Connection:
    """Give the connection with credentials that Nango takes for good, refreshed where it is due.

    Raises:
        RefreshRefused: The provider refused, or Nango is not asking it now.

    """
    integration = sandbox.integration_of(connection)
    if connection.credentials.get("type") != "OAUTH2":
        return connection
    if not force:
        _refuse_while_backing_off(sandbox, connection)
        expires_at = connection.credentials.get("expires_at")
        if expires_at is None or expires_at > time.time() + REFRESH_MARGIN:
            return connection
    if not connection.credentials.get("refresh_token"):
        return sandbox.store(evolve(connection, updated_at=time.time()))
    running = sandbox.refreshes.get(connection.key)
    if running is None:
        running = sandbox.spawn(_refresh(sandbox, integration, connection))
        sandbox.refreshes[connection.key] = running
        running.add_done_callback(lambda _task: sandbox.refreshes.pop(connection.key, None))
    # Nango finishes a refresh whose caller has gone.
    return await asyncio.shield(running)


async def token_request(
    sandbox: Sandbox,
    operation: str,
    integration: str,
    connection_id: str,
    ask: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Ask the provider's token endpoint, with the faults that are switched on there.

    Raises:
        TokenRefused: It gave no token.

    """
    fault = sandbox.faults.next(
        "token_endpoint", operation=operation, integration=integration, connection_id=connection_id
    )
    status = 400
    try:
        if fault is not None:
            await sandbox.wait(fault.delay)
            if fault.kind is not None:
                raise TokenRefused(fault.kind)
        answer = ask()
        status = 200
    finally:
        sandbox.record(operation, status, integration=integration, connection_id=connection_id)
    return answer


def oauth2_credentials(answer: dict[str, Any]) -> dict[str, Any]:
    """Turn a token answer into what Nango keeps; `raw` is the whole answer with the end added."""
    credentials: dict[str, Any] = {"type": "OAUTH2", "access_token": answer["access_token"]}
    raw = dict(answer)
    if "refresh_token" in answer:
        credentials["refresh_token"] = answer["refresh_token"]
    if "expires_in" in answer:
        expires_at = time.time() + answer["expires_in"]
        credentials["expires_at"] = expires_at
        raw["expires_at"] = zulu_time(expires_at)
    return credentials | {"raw": raw}


def _refuse_while_backing_off(sandbox: Sandbox, connection: Connection) -> None:
    if connection.refresh_exhausted:
        raise RefreshRefused(connection, 424, "connection_refresh_exhausted", EXHAUSTED)
    failed_at = connection.refresh_failed_at
    if failed_at is not None and time.time() < failed_at + sandbox.settings.refresh_backoff:
        raise RefreshRefused(connection, 424, BACK_OFF, BACKING_OFF)


async def _refresh(sandbox: Sandbox, integration: Integration, connection: Connection) -> Connection:
    def ask() -> dict[str, Any]:
        refresh_token = str(connection.credentials["refresh_token"])
        return sandbox.authorization_server.refresh(integration, refresh_token)

    where = (integration.unique_key, connection.connection_id)
    try:
        answer = await token_request(sandbox, "token_refresh", *where, ask)
    except TokenRefused as refusal:
        raise _failed(sandbox, integration, connection, refusal.kind) from refusal
    now = time.time()
    # The row may have changed (or gone) while the provider thought about it.
    current = sandbox.connections.get(connection.key) or connection
    return sandbox.store(
        evolve(
            current,
            credentials=current.credentials | oauth2_credentials(answer),
            updated_at=now,
            last_fetched_at=now,
            errors=[],
            refresh_failed_at=None,
            refresh_failures=[],
            refresh_exhausted=False,
        )
    )


def _failed(sandbox: Sandbox, integration: Integration, connection: Connection, kind: str) -> RefreshRefused:
    now = time.time()
    current = sandbox.connections.get(connection.key) or connection
    days = sorted({*current.refresh_failures, int(now // DAY)})
    failed = sandbox.store(
        evolve(
            current,
            errors=[{"type": "auth", "log_id": f"{int(now * 1000)}_{secrets.token_hex(4)}"}],
            updated_at=now,
            refresh_failed_at=now,
            refresh_failures=days,
            refresh_exhausted=len(days) > FAILURE_DAYS_ALLOWED,
        )
    )
    if kind == "empty":
        cause = "refresh_token_parsing_error"
        reason = f"unhandled_{cause}"
        payload = json.dumps({"connection": {"connection_id": connection.connection_id}})
        message = f"An unhandled error of type '{cause}' with payload '{INCOMPLETE}' has occurred"
        shown = f"An unhandled error of type '{reason}' with payload '{payload}' has occurred"
        status = 500
    else:
        reason, message, shown, status = "refresh_token_external_error", EXTERNAL_ERROR, EXTERNAL_ERROR, 400
    sandbox.webhooks.not_refreshed(integration, failed, {"type": reason, "description": message})
    return RefreshRefused(failed, status, reason, shown)
