"""The application: every route, guarded as the table says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import http_parser, web
from attrs import frozen

from adapters.http.access import guarded, rationed
from adapters.http.boundary import LEAVING, OBSERVE, boundary
from adapters.http.handlers.metrics import MetricsHandlers
from adapters.http.routes import METRICS_PATH, routes_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from adapters.http.boundary import Observe
    from adapters.http.handlers.metrics import Scrape
    from adapters.http.routes import Route
    from adapters.http.use_cases import UseCases


@frozen(kw_only=True)
class HttpOptions:
    """What the adapter needs to know.

    Attributes:
        nango_public_url: where browsers reach Nango, without a trailing slash.
        public_url: the address that the documentation names.
        max_body: the largest body in bytes, with room for every field at its longest in ASCII; else a 413.
        starts_per_minute: how many authorizations one API key may start.
        callbacks_per_minute: how many callbacks may come from one address.
        proxies: how many of our own proxies stand before us and add to X-Forwarded-For.
        observe: told of every request; see `boundary`.
        scrape: what `/metrics` answers; None: it is served elsewhere.

    """

    nango_public_url: str
    public_url: str = "http://localhost:3000"
    max_body: int = 128 * 1024
    starts_per_minute: int = 600
    callbacks_per_minute: int = 600
    proxies: int = 0
    observe: Observe | None = None
    scrape: Scrape | None = None


def create_app(use_cases: UseCases, options: HttpOptions) -> web.Application:
    """Build the application.

    It is meant to run behind `adapters.http.server.Runner`.

    Raises:
        RuntimeError: aiohttp runs without its C parser, which is stricter and much faster.

    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp's C parser is missing: install a wheel of aiohttp for this platform")
    leaving = asyncio.Event()
    middlewares = [boundary(leaving, options.observe)]
    app = web.Application(middlewares=middlewares, client_max_size=options.max_body)
    app[LEAVING] = leaving
    if options.observe is not None:
        app[OBSERVE] = options.observe
    for route in routes_of(use_cases, options):
        handler = _handler(route, use_cases, options)
        for method in route.methods:
            app.router.add_route(method, route.path, handler)
    return app


def create_metrics_app(scrape: Scrape) -> web.Application:
    """Build the application of a port that has only `/metrics`."""
    app = web.Application(middlewares=[boundary(asyncio.Event())])
    app.router.add_get(METRICS_PATH, MetricsHandlers(scrape).metrics, allow_head=True)
    return app


def _handler(route: Route, use_cases: UseCases, options: HttpOptions) -> Handler:
    if route.scope is not None:
        return guarded(use_cases.authenticate, route.scope, route.handler, route.limit)
    if route.limit is not None:
        return rationed(route.handler, route.limit, options.proxies)
    return route.handler
