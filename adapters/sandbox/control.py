r"""The switches over HTTP, under `/sandbox/control`. JSON in, JSON out, no key: never expose a sandbox.

| call | does |
|---|---|
| `GET /sandbox/control` | settings (without the keys), fault kinds, actions |
| `PATCH /sandbox/control/settings` | change any of SETTINGS, e.g. `{"webhook_url": …, "webhook_key": …, "webhook_on_creation": true, "callback_url": …, "rate_limit": 200}`; for this process only |
| `GET /sandbox/control/faults` | `{"faults": […]}` |
| `POST /sandbox/control/faults` | switch a fault on: `{"target": "nango" \| "provider_api" \| "token_endpoint", "kind"?, "delay"?, "operation"?, "integration"?, "connection_id"?, "after"?, "times"?}` → 201 with its id; see `adapters.sandbox.faults` |
| `DELETE /sandbox/control/faults`, `…/faults/{id}` | switch all, or one, off |
| `GET /sandbox/control/connections` | every connection, deleted ones too: `{"connections": [{"id", "connection_id", "integration", "tags", "end_user", "connection_config", "metadata", "deleted", "errors", "account", "created_at"}]}`; secrets are left out |
| `POST /sandbox/control/connections/{connection_id}/{action}` | one of ACTIONS, 404 where there is no such connection |
| `GET /sandbox/control/calls?operation&connection_id` | `{"counts": {operation: n}, "calls": [{"operation", "status", "at", "integration", "connection_id"}]}`; counts are of all operations |
| `DELETE /sandbox/control/calls` | start counting anew |
| `POST /sandbox/control/integrations` | declare one more: `{"unique_key", "auth_mode"?, …}` (see `model.Integration`) |

Operations in the log: create_connect_session, create_reconnect_session, start_oauth, finish_oauth,
list_connections, get_connection, refresh_connection (a GET with force_refresh), import_connection,
patch_connection, delete_connection, proxy, list_integrations, get_integration, health, ready; and what
happens behind them: token_exchange, token_refresh, provider_api, webhook.
"""  # noqa: E501 - tables do not wrap

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import asdict

from adapters.sandbox.checks import read_json
from adapters.sandbox.errors import NangoError
from adapters.sandbox.faults import KINDS
from adapters.sandbox.model import Integration
from adapters.sandbox.sandbox import SANDBOX, Sandbox, bearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.sandbox.model import Connection

SETTINGS = (
    "callback_url",
    "webhook_url",
    "webhook_key",
    "webhook_on_creation",
    "webhook_on_refresh_error",
    "webhook_retry_after",
    "enforce_state_cookie",
    "rate_limit",
    "refresh_backoff",
)
SECRET = {"secret_key", "webhook_key"}

ACTIONS: dict[str, Callable[[Sandbox, str], None]] = {
    "revoke": Sandbox.revoke,
    "restore": Sandbox.restore,
    "expire": Sandbox.expire,
    "drop-refresh-token": Sandbox.drop_refresh_token,
    "exhaust": Sandbox.exhaust,
    "end-backoff": Sandbox.end_backoff,
    "forget": Sandbox.forget,
}


async def overview(request: web.Request) -> web.Response:
    """Say what can be switched."""
    shown = {
        "settings": _settings(request.app[SANDBOX]),
        "faults": {target: list(kinds) for target, kinds in KINDS.items()},
        "actions": list(ACTIONS),
    }
    return web.json_response(shown)


async def change_settings(request: web.Request) -> web.Response:
    """Change settings of the environment."""
    sandbox, body = request.app[SANDBOX], await read_json(request)
    unknown = [name for name in body if name not in SETTINGS]
    if unknown:
        raise NangoError(400, "unknown_setting", f"Unknown: {', '.join(unknown)}")
    for name, value in body.items():
        setattr(sandbox.settings, name, value)
    return web.json_response({"settings": _settings(sandbox)})


async def list_faults(request: web.Request) -> web.Response:
    """List the faults that are switched on."""
    active = request.app[SANDBOX].faults.active.values()
    return web.json_response({"faults": [asdict(each) for each in active]})


async def add_fault(request: web.Request) -> web.Response:
    """Switch a fault on."""
    sandbox, body = request.app[SANDBOX], await read_json(request)
    try:
        fault = sandbox.fail(body.pop("target", ""), body.pop("kind", None), **body)
    except (TypeError, ValueError) as error:
        raise NangoError(400, "unknown_fault", str(error)) from error
    return web.json_response(asdict(fault), status=201)


async def remove_faults(request: web.Request) -> web.Response:
    """Switch all faults off, or the one named."""
    sandbox, name = request.app[SANDBOX], request.match_info.get("fault_id")
    if name is None:
        sandbox.heal()
    elif not sandbox.faults.remove(int(name)):
        raise NangoError(404, "not_found", "There is no such fault")
    return web.json_response({"success": True})


async def all_connections(request: web.Request) -> web.Response:
    """Show every connection, for whoever checks that nothing was lost or left behind."""
    sandbox = request.app[SANDBOX]
    return web.json_response({"connections": [_shown(sandbox, each) for each in sandbox.connections.rows()]})


async def act_on_connection(request: web.Request) -> web.Response:
    """Do something to a connection."""
    action = ACTIONS.get(request.match_info["action"])
    if action is None:
        raise NangoError(404, "not_found", f"There is no such action. There are: {', '.join(ACTIONS)}")
    action(request.app[SANDBOX], request.match_info["connection_id"])
    return web.json_response({"success": True})


async def list_calls(request: web.Request) -> web.Response:
    """Show what was asked of the sandbox."""
    calls = request.app[SANDBOX].calls
    found = calls.matching(request.query.get("operation"), request.query.get("connection_id"))
    return web.json_response({"counts": dict(calls.counts), "calls": [asdict(each) for each in found]})


async def reset_calls(request: web.Request) -> web.Response:
    """Start counting anew."""
    request.app[SANDBOX].calls.reset()
    return web.json_response({"success": True})


async def add_integration(request: web.Request) -> web.Response:
    """Declare an integration for this process."""
    sandbox, body = request.app[SANDBOX], await read_json(request)
    try:
        integration = Integration(**body)
    except TypeError as error:
        raise NangoError(400, "invalid_body", str(error)) from error
    sandbox.integrations[integration.unique_key] = integration
    return web.json_response(asdict(integration), status=201)


@web.middleware
async def control_errors(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Answer errors of the switches as JSON too."""
    try:
        response: web.StreamResponse = await handler(request)
    except NangoError as error:
        return web.json_response(error.body, status=error.status)
    return response


def _settings(sandbox: Sandbox) -> dict[str, Any]:
    return {name: value for name, value in asdict(sandbox.settings).items() if name not in SECRET}


def _shown(sandbox: Sandbox, connection: Connection) -> dict[str, Any]:
    hidden = {"credentials", "refresh_failures"}
    account = sandbox.authorization_server.account_behind(bearer(connection.credentials))
    shown = {name: value for name, value in asdict(connection).items() if name not in hidden}
    return shown | {"account": account and account.name}
