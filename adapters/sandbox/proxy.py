"""The proxy: `ANY /proxy/{path}` calls the provider with a connection's credentials.

Source: Nango 0.71.4, observed (recorded as proxy). The upstream's status and body pass through. The upstream
is in this process (`adapters.sandbox.providers`). Not observed, but so in Nango's source (`allProxy.ts`):
without credentials the status is that of the failed refresh, and placeholders are looked for in the path as
it was sent.
Shaped after the neighbouring answers: a provider that cannot be reached (500 with the failed call).
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from adapters.sandbox.accounts import family_of
from adapters.sandbox.errors import NangoError, invalid, issue
from adapters.sandbox.identities import quickbooks_realm
from adapters.sandbox.providers import GENERIC, Upstream, api_of
from adapters.sandbox.refresh import BACK_OFF, RefreshRefused, fresh
from adapters.sandbox.sandbox import SANDBOX, bearer

if TYPE_CHECKING:
    from adapters.sandbox.accounts import Account
    from adapters.sandbox.model import Connection
    from adapters.sandbox.sandbox import Sandbox

PLACEHOLDER = re.compile(r"\$\{connectionConfig\.(\w+)\}")
REQUIRED_HEADERS = ("provider-config-key", "connection-id")


async def proxy(request: web.Request) -> web.Response:
    """Pass a call on to the provider and its answer back."""
    sandbox = request.app[SANDBOX]
    missing = [name for name in REQUIRED_HEADERS if name not in request.headers]
    if missing:
        wrong = "Invalid input: expected string, received undefined"
        raise invalid("invalid_headers", *(issue("invalid_type", wrong, name) for name in missing))
    name, connection_id = (request.headers[header] for header in REQUIRED_HEADERS)
    if name not in sandbox.integrations:
        unknown = (
            "Provider config not found for the given provider config key."
            " Please make sure the provider config exists in the Nango dashboard."
        )
        raise NangoError(404, "unknown_provider_config", unknown)
    connection = sandbox.connection(name, connection_id)
    if connection is None:
        raise NangoError(400, "server_error", "Failed to get connection")
    try:
        connection = await fresh(sandbox, connection)
    except RefreshRefused as refusal:
        if refusal.reason == BACK_OFF:
            raise NangoError(refusal.status, refusal.reason, refusal.message) from refusal
        failed = f"Failed to get connection credentials: '{refusal.message}'"
        raise NangoError(refusal.status, "server_error", failed) from refusal
    upstream = await _call(sandbox, connection, request)
    sandbox.record("provider_api", upstream.status, integration=name, connection_id=connection_id)
    return _passed_through(upstream)


async def _call(sandbox: Sandbox, connection: Connection, request: web.Request) -> Upstream:
    api = api_of(family_of(connection.integration))
    fault = sandbox.faults.next(
        "provider_api", integration=connection.integration, connection_id=connection.connection_id
    )
    if fault is not None:
        await sandbox.wait(fault.delay)
        if fault.kind is not None:
            return _faulty(fault.kind, connection.integration, request)
    token = bearer(connection.credentials)
    account = sandbox.authorization_server.account_behind(connection.integration, token)
    if account is None:
        grant = sandbox.authorization_server.find(connection.integration, token)
        return api.revoked if grant and grant.revoked and api.revoked else api.dead
    path = _filled_in(request.rel_url.raw_path.removeprefix("/proxy"), connection)
    base = _filled_in(request.headers.get("Base-Url-Override", ""), connection)
    return answer(account, connection, f"{urlsplit(base).path.rstrip('/')}/{path.lstrip('/')}")


def answer(account: Account, connection: Connection, path: str) -> Upstream:
    """Give what the provider's API says to an account that is logged in."""
    api = api_of(account.family)
    if api is GENERIC:
        return Upstream(
            200, {"id": f"acct_{account.letters(12)}", "name": account.company, "email": account.email}
        )
    for template, say in api.paths.items():
        if path == template.replace("{realmId}", quickbooks_realm(account)):
            return Upstream(200, say(account, connection.connection_config))
    if path.startswith("/v3/company/"):
        return api.forbidden
    return Upstream(404, {"error": {"message": f"Unrecognized request URL ({path})."}})


def _filled_in(text: str, connection: Connection) -> str:
    return PLACEHOLDER.sub(lambda found: str(connection.connection_config.get(found[1], "")), text)


def _faulty(kind: str, integration: str, request: web.Request) -> Upstream:
    api = api_of(family_of(integration))
    path = request.match_info["path"]
    failure = {
        "message": "connect ECONNREFUSED",
        "code": "ECONNREFUSED",
        "url": path,
        "method": request.method,
    }
    faulty: dict[str, Upstream] = {
        "dead": api.dead,
        "forbidden": api.forbidden,
        "rate_limited": api.rate_limited,
        "server_error": Upstream(500, {"error": {"message": "Something went wrong."}}),
        "garbage": Upstream(200, "<!doctype html><title>It works!</title>", {"Content-Type": "text/html"}),
        "not_found": Upstream(404, {"error": {"message": "Not found."}}),
        "unreachable": Upstream(500, failure),
    }
    return faulty[kind]


def _passed_through(upstream: Upstream) -> web.Response:
    body: Any = upstream.body
    # A success keeps the upstream's type; a failure is written anew, with Nango's own.
    failed = upstream.status >= HTTPStatus.BAD_REQUEST
    headers = {"Content-Type": "application/json; charset=utf-8" if failed else "application/json"}
    headers |= upstream.headers
    text = body if isinstance(body, str) else json.dumps(body)
    return web.Response(body=text.encode(), status=upstream.status, headers=headers)
