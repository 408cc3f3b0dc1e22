"""The table of routes: what is served, and what the documentation tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp.hdrs import METH_DELETE, METH_GET, METH_HEAD, METH_PATCH, METH_POST
from attrs import frozen

from adapters.http.handlers.authorizations import AuthorizationHandlers
from adapters.http.handlers.callbacks import CallbackHandlers
from adapters.http.handlers.connections import ConnectionHandlers
from adapters.http.handlers.documentation import DocumentationHandlers
from adapters.http.handlers.metrics import MetricsHandlers
from adapters.http.handlers.service import ServiceHandlers
from adapters.http.limits import RateLimit
from adapters.http.openapi import authorizations, connections, service
from adapters.http.openapi.document import describe
from application.ports import Scope
from domain.errors import Forbidden, StoreUnavailable, TooManyRequests, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adapters.http.app import HttpOptions
    from adapters.http.openapi.operation import Operation
    from adapters.http.use_cases import UseCases
    from domain.errors import DomainError

READ, WRITE = Scope.READ, Scope.WRITE
METRICS_PATH = "/metrics"


@frozen
class Route:
    """One method of one address.

    `scope` is what an API key must be good for; None: everybody may call. `limit` is how often a key may, or,
    where none is needed, an address. `head`: HEAD is answered as GET is (RFC 9110 §9.3.2), for monitors; not
    where a GET starts or ends something.
    """

    method: str
    path: str
    scope: Scope | None
    handler: Callable[..., Any]
    operation: Operation
    limit: RateLimit | None = None
    head: bool = False

    @property
    def methods(self) -> Sequence[str]:
        """What it is served under."""
        return (self.method, METH_HEAD) if self.head else (self.method,)

    @property
    def refusals(self) -> Sequence[DomainError]:
        """Every way to be refused that the domain knows, as it is told."""
        found: list[DomainError] = [*self.operation.refusals]
        if self.scope is not None:
            found += [Unauthenticated(), StoreUnavailable()]
        if self.scope is WRITE:
            found.append(Forbidden())
        if self.limit is not None:
            found.append(TooManyRequests(retry_after=1))
        return found


def routes_of(use_cases: UseCases, options: HttpOptions) -> list[Route]:
    """Give every route there is, in the order in which they are tried."""
    documentation = DocumentationHandlers(
        lambda: describe(routes, use_cases.list_providers(), options.public_url, options.max_body)
    )
    routes = [
        *_api(use_cases, RateLimit(options.starts_per_minute)),
        *_open(use_cases, options, RateLimit(options.callbacks_per_minute)),
        Route(METH_GET, "/openapi.json", None, documentation.document, service.DOCUMENT, head=True),
        Route(METH_GET, "/docs", None, documentation.page, service.PAGE, head=True),
    ]
    if options.scrape is not None:
        metrics = MetricsHandlers(options.scrape)
        routes.append(Route(METH_GET, METRICS_PATH, None, metrics.metrics, service.METRICS, head=True))
    return routes


def _api(use_cases: UseCases, starts: RateLimit) -> list[Route]:
    there = ConnectionHandlers(use_cases)
    begun = AuthorizationHandlers(use_cases)
    base = "/api/v1/connections"
    one = f"{base}/{{id}}"
    # aiohttp tries them in this order: what workflows call before every step comes first.
    return [
        Route(METH_GET, one, READ, there.get, connections.GET),
        Route(METH_PATCH, one, WRITE, there.update, connections.UPDATE),
        Route(METH_DELETE, one, WRITE, there.delete, connections.DELETE),
        Route(METH_GET, base, READ, there.list, connections.LIST),
        Route(METH_POST, base, WRITE, begun.create, authorizations.CREATE, starts),
        Route(
            METH_GET, f"{base}/{{provider}}/auth-url", WRITE, begun.auth_url, authorizations.AUTH_URL, starts
        ),
        Route(METH_POST, f"{one}/refresh", WRITE, there.refresh, connections.REFRESH),
        Route(METH_POST, f"{one}/verify", WRITE, there.verify, connections.VERIFY),
        Route(METH_POST, f"{one}/disconnect", WRITE, there.disconnect, connections.DISCONNECT),
        Route(METH_POST, f"{one}/reauthorize", WRITE, begun.reauthorize, authorizations.REAUTHORIZE, starts),
        Route(
            METH_POST,
            f"{one}/connect-session",
            WRITE,
            begun.connect_session,
            authorizations.CONNECT_SESSION,
            starts,
        ),
        Route(METH_GET, f"{one}/events", READ, there.events, connections.EVENTS),
        Route(METH_GET, "/api/v1/events", READ, there.company_events, connections.COMPANY_EVENTS),
        Route(METH_GET, "/api/v1/providers", READ, ServiceHandlers(use_cases).providers, service.PROVIDERS),
    ]


def _open(use_cases: UseCases, options: HttpOptions, callbacks: RateLimit) -> list[Route]:
    back = CallbackHandlers(use_cases, f"{options.nango_public_url}/oauth/callback")
    ours = ServiceHandlers(use_cases)
    report = "/api/v1/connections/{provider}/callback"
    return [
        Route(METH_GET, report, None, back.report, authorizations.REPORT, callbacks),
        Route(METH_GET, "/oauth/callback", None, back.relay, authorizations.RELAY, callbacks),
        Route(METH_POST, "/api/v1/webhooks/nango", None, ours.webhook, service.WEBHOOK),
        Route(METH_GET, "/healthz", None, ours.healthy, service.HEALTHY, head=True),
        Route(METH_GET, "/readyz", None, ours.ready, service.READY, head=True),
    ]
