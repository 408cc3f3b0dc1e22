"""What an environment has: its integrations, and whether the server is up.

Source: Nango 0.71.4, observed (recorded as integrations and outage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from adapters.sandbox.errors import NangoError
from adapters.sandbox.oauth import CLIENT_ID
from adapters.sandbox.present import zulu_time
from adapters.sandbox.sandbox import SANDBOX

if TYPE_CHECKING:
    from adapters.sandbox.model import Integration
    from adapters.sandbox.sandbox import Sandbox


async def list_integrations(request: web.Request) -> web.Response:
    """List the environment's integrations, the newest first."""
    sandbox = request.app[SANDBOX]
    shown = [_shown(sandbox, each) for each in reversed(sandbox.integrations.values())]
    return web.json_response({"data": shown})


async def get_integration(request: web.Request) -> web.Response:
    """Show one integration; `include=webhook` and `include=credentials` add to it."""
    sandbox, name = request.app[SANDBOX], request.match_info["integration"]
    integration = sandbox.integrations.get(name)
    if integration is None:
        raise NangoError(404, "not_found", f'Integration "{name}" does not exist')
    shown = _shown(sandbox, integration)
    included = request.query.getall("include", [])
    if "webhook" in included:
        shown["webhook_url"] = None
    if "credentials" in included:
        shown["credentials"] = _credentials(integration)
    return web.json_response({"data": shown})


async def health(_request: web.Request) -> web.Response:
    """Say that the process is up; says nothing of the database."""
    return web.json_response({"result": "ok"})


async def ready(request: web.Request) -> web.Response:
    """Say whether the database is up too."""
    fault = request.app[SANDBOX].faults.next("nango", operation="ready")
    if fault is not None and fault.kind == "database_down":
        return web.json_response({"result": "not ready"}, status=503)
    return web.json_response({"result": "ok"})


def _shown(sandbox: Sandbox, integration: Integration) -> dict[str, Any]:
    since = zulu_time(sandbox.started_at)
    return {
        "unique_key": integration.unique_key,
        "provider": integration.template,
        "display_name": integration.title,
        "logo": f"{sandbox.settings.public_url}/images/template-logos/{integration.template}.svg",
        "forward_webhooks": True,
        "created_at": since,
        "updated_at": since,
    }


def _credentials(integration: Integration) -> dict[str, Any] | None:
    if integration.auth_mode != "OAUTH2":
        return None
    return {
        "type": "OAUTH2",
        "client_id": CLIENT_ID,
        "client_secret": "sandbox-secret",
        "scopes": integration.scopes,
        "webhook_secret": None,
    }
