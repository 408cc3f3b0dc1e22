"""The switches over HTTP, under `/sandbox/control`. JSON in, JSON out, no key: never expose a sandbox.

CALLS has every call, and `GET /sandbox/control` shows it to whoever runs a sandbox.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import web
from attrs import asdict

from adapters.sandbox.checks import read_json
from adapters.sandbox.errors import NangoError
from adapters.sandbox.faults import KINDS, Fault
from adapters.sandbox.model import Integration
from adapters.sandbox.sandbox import SANDBOX, Sandbox
from adapters.sandbox.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adapters.sandbox.model import Connection

Kind = TypeVar("Kind")

PREFIX = "/sandbox/control"

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

BEHIND = ("refresh_connection", "token_exchange", "token_refresh", "provider_api", "webhook")
"""Operations without a route of their own: a GET with force_refresh, and what happens behind Nango's back."""


async def overview(request: web.Request) -> web.Response:
    """Say what can be switched, and how: for people, so a line for each."""
    shown = {
        "calls": [f"{method} {PREFIX}{path} {how}" for method, path, _, how in CALLS],
        "actions": {name: action.__doc__ for name, action in ACTIONS.items()},
        "faults": {target: ", ".join(kinds) for target, kinds in KINDS.items()},
        "operations": ", ".join([*request.app.router.named_resources(), *BEHIND]),
        "settings": _settings(request.app[SANDBOX]),
    }
    return web.Response(text=json.dumps(shown, indent=2) + "\n", content_type="application/json")


async def change_settings(request: web.Request) -> web.Response:
    """Change settings of the environment."""
    sandbox, body = request.app[SANDBOX], await read_json(request)
    unknown = [name for name in body if name not in SETTINGS]
    if unknown:
        raise NangoError(400, "unknown_setting", f"Unknown: {', '.join(unknown)}")
    changed = _typed(Settings, asdict(sandbox.settings) | body)
    for name in body:
        setattr(sandbox.settings, name, getattr(changed, name))
    return web.json_response({"settings": _settings(sandbox)})


async def list_faults(request: web.Request) -> web.Response:
    """List the faults that are switched on."""
    active = request.app[SANDBOX].faults.active.values()
    return web.json_response({"faults": [asdict(each) for each in active]})


async def add_fault(request: web.Request) -> web.Response:
    """Switch a fault on."""
    sandbox, body = request.app[SANDBOX], await read_json(request)
    _typed(Fault, {"id": 0, "target": ""} | body)
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
        integration = _typed(Integration, asdict(Integration(**body)))
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


CALLS: tuple[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]], str], ...] = (
    ("GET", "", overview, "shows this"),
    (
        "PATCH",
        "/settings",
        change_settings,
        '{"rate_limit": 200} changes settings, for this process: see settings',
    ),
    ("GET", "/faults", list_faults, "lists the faults that are switched on"),
    (
        "POST",
        "/faults",
        add_fault,
        (
            '{"target": "token_endpoint", "kind": "invalid_grant"} switches a fault on: see faults for what'
            ' there is; "delay": 2 (seconds), "times": 1, "operation", "integration", "connection_id"'
            ' (Nango\'s) say when, "after": true that Nango does as it was told before it fails'
        ),
    ),
    ("DELETE", "/faults", remove_faults, "switches all faults off"),
    ("DELETE", r"/faults/{fault_id:\d+}", remove_faults, "switches one off"),
    ("GET", "/connections", all_connections, "lists every connection, deleted ones too, without secrets"),
    (
        "POST",
        "/connections/{connection_id}/{action}",
        act_on_connection,
        "does it, without a body: see actions; the id is Nango's or that of Connections",
    ),
    ("GET", "/calls", list_calls, "counts and lists what was asked; ?operation= and ?connection_id= choose"),
    ("DELETE", "/calls", reset_calls, "starts counting anew"),
    (
        "POST",
        "/integrations",
        add_integration,
        '{"unique_key": "acme"} declares an integration, for this process',
    ),
)
"""Every call: method, path, handler, and its body and meaning in a line."""


def _typed(kind: type[Kind], values: dict[str, Any]) -> Kind:
    """Refuse now what would fail every later call."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise NangoError(400, "invalid_body", str(error)) from error


def _settings(sandbox: Sandbox) -> dict[str, Any]:
    return {name: value for name, value in asdict(sandbox.settings).items() if name not in SECRET}


def _shown(sandbox: Sandbox, connection: Connection) -> dict[str, Any]:
    hidden = {"credentials", "refresh_failures"}
    account = sandbox.account_behind(connection)
    shown = {name: value for name, value in asdict(connection).items() if name not in hidden}
    return shown | {"account": account and account.name}
