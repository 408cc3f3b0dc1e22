"""The sandbox as an application: a stand-in for Nango and for the providers behind it, over real HTTP.

It speaks the part of Nango's API that the service uses (Nango 0.71.4, held to recorded exchanges), serves a
consent page per provider (`adapters.sandbox.consent` tells how to follow it), answers the identity calls of
the eight providers, sends webhooks with real signatures, and has switches to make things go wrong
(`adapters.sandbox.control`). It is for development and tests only: it has no secrets worth having.

    app = create_sandbox(secret_key=str(uuid4()), public_url=url, callback_url=f"{service}/oauth/callback")
    app[SANDBOX].fail("token_endpoint", "invalid_grant")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from adapters.sandbox import (
    callback,
    connections,
    consent,
    control,
    environment,
    imports,
    landing,
    oauth,
    proxy,
    sessions,
)
from adapters.sandbox.middleware import nango_middleware
from adapters.sandbox.sandbox import SANDBOX, Sandbox
from adapters.sandbox.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from adapters.sandbox.model import Integration

MAX_BODY = 10 * 1024 * 1024

NANGO = (
    ("POST", "/connect/sessions", sessions.create_session, "create_connect_session"),
    ("POST", "/connect/sessions/reconnect", sessions.create_reconnect_session, "create_reconnect_session"),
    ("GET", "/oauth/connect/{integration}", oauth.start_flow, "start_oauth"),
    ("GET", "/oauth/callback", callback.finish_flow, "finish_oauth"),
    ("HEAD", "/oauth/callback", callback.finish_flow, "finish_oauth"),
    ("GET", "/connections", connections.list_connections, "list_connections"),
    ("POST", "/connections", imports.import_connection, "import_connection"),
    ("GET", "/connections/{connection_id}", connections.get_connection, "get_connection"),
    ("PATCH", "/connections/{connection_id}", connections.patch_connection, "patch_connection"),
    ("DELETE", "/connections/{connection_id}", connections.delete_connection, "delete_connection"),
    ("*", "/proxy/{path:.*}", proxy.proxy, "proxy"),
    ("GET", "/integrations", environment.list_integrations, "list_integrations"),
    ("GET", "/integrations/{integration}", environment.get_integration, "get_integration"),
    ("GET", "/health", environment.health, "health"),
    ("GET", "/ready", environment.ready, "ready"),
)


def create_sandbox(  # noqa: PLR0913 - one argument per thing that an environment of Nango has
    *,
    secret_key: str,
    public_url: str,
    callback_url: str,
    data_dir: Path | None = None,
    webhook_url: str | None = None,
    webhook_key: str | None = None,
    webhook_on_creation: bool = False,
    webhook_on_refresh_error: bool = False,
    integrations: Iterable[Integration] = (),
) -> web.Application:
    """Build the application; `app[SANDBOX]` is the sandbox in it.

    Args:
        secret_key: The key that Nango's API asks for; a UUID v4.
        public_url: Where browsers reach this application.
        callback_url: The environment's callback URL: where providers send the browser back.
        data_dir: Where connections, sessions and open flows are kept; only in memory where it is None.
        webhook_url: Where webhooks go; none are sent where it is None.
        webhook_key: The key that signs webhooks.
        webhook_on_creation: Whether creations (and failed ones) are sent.
        webhook_on_refresh_error: Whether failed refreshes are sent.
        integrations: More integrations than those of the eight providers, or others of the same key.

    Raises:
        ValueError: The secret key is not a UUID v4.

    """
    settings = Settings(
        secret_key=secret_key,
        public_url=public_url,
        callback_url=callback_url,
        webhook_url=webhook_url,
        webhook_key=webhook_key,
        webhook_on_creation=webhook_on_creation,
        webhook_on_refresh_error=webhook_on_refresh_error,
    )
    app = web.Application(client_max_size=MAX_BODY, middlewares=[nango_middleware(), control.control_errors])
    app[SANDBOX] = Sandbox(settings, data_dir=data_dir, integrations=integrations)
    for method, path, handler, operation in NANGO:
        app.router.add_route(method, path, handler, name=operation)
    app.router.add_get("/", landing.landing)
    app.router.add_get("/sandbox/{integration}/authorize", consent.show_consent)
    app.router.add_post("/sandbox/{integration}/authorize", consent.decide_consent)
    for method, path, call, _ in control.CALLS:
        app.router.add_route(method, f"{control.PREFIX}{path}", call)
    app.on_shutdown.append(_stop_waiting)
    app.cleanup_ctx.append(_lifetime)
    return app


async def _stop_waiting(app: web.Application) -> None:
    app[SANDBOX].closing.set()


async def _lifetime(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[SANDBOX].close()
