"""The application: every route in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, http_parser, web
from attrs import frozen

from adapters.http.access import guarded, rationed
from adapters.http.boundary import boundary, drop_banner
from adapters.http.handlers.authorizations import AuthorizationHandlers
from adapters.http.handlers.callbacks import CallbackHandlers
from adapters.http.handlers.connections import ConnectionHandlers
from adapters.http.handlers.service import ServiceHandlers
from adapters.http.limits import RateLimit
from application.ports import Scope

if TYPE_CHECKING:
    from adapters.http.use_cases import UseCases

READ, WRITE = Scope.READ, Scope.WRITE


@frozen(kw_only=True)
class HttpOptions:
    """What the adapter needs to know.

    Attributes:
        nango_public_url: where browsers reach Nango, without a trailing slash.
        max_body: the largest body in bytes; a larger one is a 413.
        starts_per_minute: how many authorizations one API key may start.
        callbacks_per_minute: how many callbacks may come from one address.
        proxies: how many of our own proxies stand before us and add to X-Forwarded-For.

    """

    nango_public_url: str
    max_body: int = 64 * 1024
    starts_per_minute: int = 600
    callbacks_per_minute: int = 600
    proxies: int = 0


def create_app(use_cases: UseCases, options: HttpOptions) -> web.Application:
    """Build the application.

    It is meant to run behind `adapters.http.server.Runner`.

    Raises:
        RuntimeError: aiohttp runs without its C parser, which is stricter and much faster.

    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp's C parser is missing: install a wheel of aiohttp for this platform")
    app = web.Application(middlewares=[boundary], client_max_size=options.max_body)
    app.on_response_prepare.append(drop_banner)
    _add_api(app, use_cases, RateLimit(options.starts_per_minute))
    _add_open_routes(app, use_cases, options)
    return app


def _add_api(app: web.Application, use_cases: UseCases, starts: RateLimit) -> None:
    connections = ConnectionHandlers(use_cases)
    authorizations = AuthorizationHandlers(use_cases)
    service = ServiceHandlers(use_cases)
    base = "/api/v1/connections"
    # aiohttp tries them in this order: what workflows call before every step comes first.
    for method, path, scope, handler, limit in (
        (hdrs.METH_GET, f"{base}/{{id}}", READ, connections.get, None),
        (hdrs.METH_PATCH, f"{base}/{{id}}", WRITE, connections.update, None),
        (hdrs.METH_DELETE, f"{base}/{{id}}", WRITE, connections.delete, None),
        (hdrs.METH_GET, base, READ, connections.list, None),
        (hdrs.METH_POST, base, WRITE, authorizations.create, starts),
        (hdrs.METH_GET, f"{base}/{{provider}}/auth-url", WRITE, authorizations.auth_url, starts),
        (hdrs.METH_POST, f"{base}/{{id}}/refresh", WRITE, connections.refresh, None),
        (hdrs.METH_POST, f"{base}/{{id}}/verify", WRITE, connections.verify, None),
        (hdrs.METH_POST, f"{base}/{{id}}/disconnect", WRITE, connections.disconnect, None),
        (hdrs.METH_POST, f"{base}/{{id}}/reauthorize", WRITE, authorizations.reauthorize, starts),
        (hdrs.METH_POST, f"{base}/{{id}}/connect-session", WRITE, authorizations.connect_session, starts),
        (hdrs.METH_GET, f"{base}/{{id}}/events", READ, connections.events, None),
        (hdrs.METH_GET, "/api/v1/events", READ, connections.company_events, None),
        (hdrs.METH_GET, "/api/v1/providers", READ, service.providers, None),
    ):
        app.router.add_route(
            method, path, guarded(use_cases.authenticate, scope, handler, limit), expect_handler=_expect
        )


def _add_open_routes(app: web.Application, use_cases: UseCases, options: HttpOptions) -> None:
    callbacks = CallbackHandlers(use_cases, f"{options.nango_public_url}/oauth/callback")
    service = ServiceHandlers(use_cases)
    limit = RateLimit(options.callbacks_per_minute)
    report = rationed(callbacks.report, limit, options.proxies)
    relay = rationed(callbacks.relay, limit, options.proxies)
    for method, path, handler in (
        (hdrs.METH_GET, "/api/v1/connections/{provider}/callback", report),
        (hdrs.METH_GET, "/oauth/callback", relay),
        (hdrs.METH_POST, "/api/v1/webhooks/nango", service.webhook),
        (hdrs.METH_GET, "/healthz", service.healthy),
        (hdrs.METH_GET, "/readyz", service.ready),
    ):
        app.router.add_route(method, path, handler, expect_handler=_expect)


async def _expect(request: web.Request) -> None:
    """Send 100 Continue where asked for it; other expectations may be ignored (RFC 9110 §10.1.1)."""
    if request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
