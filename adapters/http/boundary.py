"""The edge that every request crosses: its id, its errors, its one line in the log.

What is too broken to be a request is answered in `server.py`.
"""

from __future__ import annotations

import asyncio
import re
import time
from random import getrandbits
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from multidict import istr
from structlog.contextvars import bind_contextvars

from adapters.http import answers
from adapters.http.errors import UNEXPECTED, Refusal, refusal
from adapters.http.inputs import CONNECTION_ID
from application.authenticate import Caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler, Middleware

    Observe = Callable[[str, str, int, float], None]

CALLER = web.RequestKey("caller", Caller)
"""Whose key the request carried, once that is known."""

CONNECTION = web.RequestKey("connection", str)
"""The id of the connection that a browser came back about, once that is known: no address names it."""

LEAVING = web.AppKey("leaving", asyncio.Event)
"""Set once this process is about to stop: each answer closes its connection, so that callers go elsewhere."""

OBSERVE: web.AppKey[Observe] = web.AppKey("observe")
"""Who is told of what is too broken to be a request: the same as of all others."""

BROWSER_ROUTES = frozenset({"/oauth/callback", "/api/v1/connections/{provider}/callback"})
"""Where a person may be looking at the answer."""

REQUEST_ID = istr("X-Request-Id")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_GONE = 499
_SERVER_ERROR = 500

_log = structlog.get_logger("connections.http")


def boundary(leaving: asyncio.Event, observe: Observe | None = None) -> Middleware:
    """Make the middleware that answers every request, whatever happens, and tells of it once.

    Once `leaving` is set, each answer closes its connection. `observe` is told the method, the route's
    template, the status, and the seconds it took.
    """
    log = _log.bind()  # else structlog would look for it with each line

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        request_id = request.headers.get(REQUEST_ID, "")
        if _REQUEST_ID.fullmatch(request_id) is None:
            # It must be unique, and need not be hard to guess: no call of the system for each.
            request_id = f"{getrandbits(128):032x}"
        # aiohttp runs each request in a task of its own, so nothing need be unbound.
        bind_contextvars(request_id=request_id)
        status, refused = _CLIENT_GONE, None
        try:
            try:
                response = await handler(request)
            except Exception as error:
                if isinstance(error, ConnectionError) and request.transport is None:
                    raise
                refused = refusal(error)
                if refused is UNEXPECTED:
                    log.exception("unexpected error", exc_info=error)
                response = _present(request, refused, request_id)
            response.headers[REQUEST_ID] = request_id
            status = response.status
            if leaving.is_set():
                response.force_close()
        finally:
            seconds = time.perf_counter() - began
            route = _route(request)
            tell = log.error if status >= _SERVER_ERROR else log.info
            tell("request", **_told(request, route, status, seconds, refused))
            if observe is not None:
                observe(request.method, route, status, seconds)
        return response

    return answer


def _present(request: web.Request, refused: Refusal, request_id: str) -> web.Response:
    if _route(request) in BROWSER_ROUTES and answers.wants_page(request):
        return answers.refused_page(refused, request_id)
    return answers.refused(refused)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "unknown" if resource is None else resource.canonical


def _told(
    request: web.Request, route: str, status: int, seconds: float, refused: Refusal | None
) -> dict[str, object]:
    caller = request.get(CALLER)
    told: dict[str, object] = {
        "company": caller and caller.company_id,
        "actor": caller and caller.actor,
        "route": route,
        "method": request.method,
        "status": status,
        "duration_ms": round(seconds * 1000, 2),
        "error": refused and refused.code,
        "reason": refused and refused.reason,
    }
    # These keys stand only where there is something to say: most lines are of what went well.
    if refused is not None and refused.why:
        told["why"] = refused.why
    connection_id = request.match_info.get("id") or request.get(CONNECTION)
    if connection_id is not None and CONNECTION_ID.fullmatch(connection_id):
        told["connection_id"] = connection_id
    return told
