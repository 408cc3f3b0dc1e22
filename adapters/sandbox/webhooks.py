"""Webhooks, as Nango sends them: signed, fire and forget, once more after a 5xx.

Source: Nango 0.71.4, observed (recorded as webhook): the body's keys are sorted at every depth; there is no
timestamp or id in it; a failed creation carries no tags; the override is sent whatever the flags say.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from adapters.sandbox.model import Connection, Integration
    from adapters.sandbox.sandbox import Sandbox

TIMEOUT = aiohttp.ClientTimeout(total=20)
SERVER_ERROR = 500


def signatures(key: str, body: bytes) -> dict[str, str]:
    """Sign a body: HMAC-SHA256, and the older plain SHA-256 of key and body."""
    return {
        "X-Nango-Signature": hashlib.sha256(key.encode() + body).hexdigest(),
        "X-Nango-Hmac-Sha256": hmac.new(key.encode(), body, hashlib.sha256).hexdigest(),
    }


class Webhooks:
    """Builds the bodies and sends them in the background."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._session: aiohttp.ClientSession | None = None

    def created(self, integration: Integration, connection: Connection, *, by_user: bool) -> None:
        """Tell of a new connection; one made in a flow names its end user, an imported one does not."""
        if self._sandbox.settings.webhook_on_creation:
            body = _body(integration, connection.connection_id, "creation", success=True)
            self._send(body | _whose(connection, by_user=by_user), connection.webhook_url_override)

    def overridden(self, integration: Integration, connection: Connection, *, by_user: bool) -> None:
        """Tell of a connection that was authorized or imported again."""
        body = _body(integration, connection.connection_id, "override", success=True)
        self._send(body | _whose(connection, by_user=by_user), connection.webhook_url_override)

    def not_created(
        self, integration: Integration, connection_id: str, error: dict[str, str], override: str | None
    ) -> None:
        """Tell of a flow that failed, a reconnect too; it names no tags."""
        if self._sandbox.settings.webhook_on_creation:
            body = _body(integration, connection_id, "creation", success=False)
            self._send(body | {"error": error}, override)

    def not_refreshed(self, integration: Integration, connection: Connection, error: dict[str, str]) -> None:
        """Tell of a refresh that failed."""
        if self._sandbox.settings.webhook_on_refresh_error:
            body = _body(integration, connection.connection_id, "refresh", success=False)
            body |= {"error": error, "tags": connection.tags}
            self._send(body, connection.webhook_url_override)

    async def close(self) -> None:
        """Close the connections to the receivers."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _send(self, body: dict[str, Any], override: str | None) -> None:
        url = override or self._sandbox.settings.webhook_url
        if url:
            raw = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            self._sandbox.spawn(self._deliver(url, raw))

    async def _deliver(self, url: str, raw: bytes) -> None:
        for attempt in range(2):
            if attempt:
                await self._sandbox.wait(self._sandbox.settings.webhook_retry_after)
            status = await self._post(url, raw)
            self._sandbox.record("webhook", status)
            if status < SERVER_ERROR:
                return

    async def _post(self, url: str, raw: bytes) -> int:
        """Post once; give the status, 599 where nobody answered."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        headers = {"Content-Type": "application/json"}
        headers |= signatures(self._sandbox.settings.webhook_key or "", raw)
        try:
            async with self._session.post(url, data=raw, headers=headers) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 599


def _body(integration: Integration, connection_id: str, operation: str, *, success: bool) -> dict[str, Any]:
    return {
        "authMode": integration.auth_mode,
        "connectionId": connection_id,
        "environment": "dev",
        "from": "nango",
        "operation": operation,
        "provider": integration.template,
        "providerConfigKey": integration.unique_key,
        "success": success,
        "type": "auth",
    }


def _whose(connection: Connection, *, by_user: bool) -> dict[str, Any]:
    whose: dict[str, Any] = {"tags": connection.tags}
    end_user = connection.end_user
    if by_user and end_user is not None:
        whose["endUser"] = {
            "endUserId": end_user["id"],
            "endUserEmail": end_user["email"],
            "tags": end_user["tags"] or {},
        }
        if end_user["organization"]:
            whose["endUser"]["organizationId"] = end_user["organization"]["id"]
    return whose
