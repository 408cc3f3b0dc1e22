"""What happens to every call: the log, the faults, authentication, the rate limit, errors.

Source: Nango 0.71.4, observed. A body that cannot be read is refused before the key is looked at; answers to
authenticated calls carry X-RateLimit headers; with the database down a good key is answered 401
`malformed_auth_header` (recorded as outage, ratelimit, integrations-00 to -02).
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from attrs import define

from adapters.sandbox.checks import read_json
from adapters.sandbox.errors import FlowRefused, NangoError, unauthenticated
from adapters.sandbox.oauth import UUID4, session_of
from adapters.sandbox.pages import flow_failed
from adapters.sandbox.sandbox import SANDBOX, Sandbox

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from adapters.sandbox.faults import Fault

UNLIMITED = 1_000_000
WINDOW = 60
GLANCE = 0.05
OPEN = {"finish_oauth", "health", "ready"}
READS_BODY = {"create_connect_session", "create_reconnect_session", "import_connection", "patch_connection"}


@define
class Window:
    """A fixed window of the rate limit."""

    until: float = 0.0
    used: int = 0

    def take(self, limit: int) -> bool:
        """Count a call; whether it is within the limit."""
        now = time.time()
        if now >= self.until:
            self.until, self.used = now + WINDOW, 0
        self.used += 1
        return self.used <= limit

    def headers(self, limit: int) -> dict[str, str]:
        """Build the X-RateLimit headers."""
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - self.used)),
            "X-RateLimit-Reset": str(int(self.until)),
        }


def nango_middleware() -> Middleware:
    """Build the middleware around every operation of Nango's API (a named route)."""
    window = Window()

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = request.match_info.route.name or ""
        if not operation:
            return await handler(request)
        sandbox = request.app[SANDBOX]
        where = _where(request)
        fault = None
        if operation not in {"health", "ready"}:
            fault = sandbox.faults.next("nango", operation=_logged(operation, request), **where)
        response = await _answer(sandbox, request, handler, operation, window, fault)
        sandbox.record(_logged(operation, request), response.status, **where)
        return response

    return around


async def _answer(
    sandbox: Sandbox,
    request: web.Request,
    handler: Handler,
    operation: str,
    window: Window,
    fault: Fault | None,
) -> web.StreamResponse:
    limits: dict[str, str] = {}
    try:
        if fault is not None:
            await sandbox.wait(fault.delay)
            if fault.kind is not None and not fault.after:
                return await _broken(sandbox, request, fault)
        if operation not in OPEN:
            if operation in READS_BODY:
                await read_json(request)
            _authenticate(sandbox, request, operation)
            limits = _limit(sandbox, window, request)
        response = await handler(request)
    except NangoError as error:
        response = web.json_response(error.body, status=error.status)
    except FlowRefused as refusal:
        response = flow_failed(str(refusal))
    if fault is not None and fault.kind is not None:
        return await _broken(sandbox, request, fault)
    if sandbox.settings.rate_limit is not None and response.status == HTTPStatus.TOO_MANY_REQUESTS:
        limits = limits or window.headers(sandbox.settings.rate_limit)
        response.headers.setdefault(hdrs.RETRY_AFTER, str(max(1, int(window.until - time.time()))))
    if not response.prepared:
        response.headers.update(limits)
    return response


def _authenticate(sandbox: Sandbox, request: web.Request, operation: str) -> None:
    if operation == "start_oauth":
        session_of(sandbox, request.query)
        return
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is None:
        raise unauthenticated("missing_auth_header")
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise unauthenticated("malformed_auth_header")
    if not UUID4.match(key):
        raise unauthenticated("invalid_secret_key_format")
    if key != sandbox.settings.secret_key:
        raise unauthenticated("unknown_account")


def _limit(sandbox: Sandbox, window: Window, request: web.Request) -> dict[str, str]:
    limit = sandbox.settings.rate_limit
    allowed = window.take(UNLIMITED if limit is None else limit)
    if not allowed and limit is not None:
        raise NangoError(429, "too_many_request", method=request.method, path=request.path)
    return window.headers(UNLIMITED if limit is None else limit)


async def _broken(sandbox: Sandbox, request: web.Request, fault: Fault) -> web.StreamResponse:
    """Answer as a Nango in trouble does."""
    kind = fault.kind
    while kind == "hang" and request.transport is not None and not sandbox.closing.is_set():
        await sandbox.wait(GLANCE)
    if kind in {"hang", "disconnect"} and request.transport is not None:
        request.transport.abort()
    if kind == "database_down" and request.match_info.route.name == "finish_oauth":
        return flow_failed("Unknown error during the Oauth flow.")
    if kind == "database_down":
        error = unauthenticated("malformed_auth_header")
        return web.json_response(error.body, status=error.status)
    if kind == "rate_limited":
        window = Window(until=time.time() + WINDOW, used=200)
        body = {"error": {"code": "too_many_request", "method": request.method, "path": request.path}}
        headers = window.headers(200) | {"Retry-After": str(WINDOW)}
        return web.json_response(body, status=429, headers=headers)
    if kind == "garbage":
        return web.Response(text="<html><body>Welcome to nginx!</body></html>", content_type="text/html")
    if kind == "bad_gateway":
        return web.Response(text="<h1>502 Bad Gateway</h1>", status=502, content_type="text/html")
    return web.json_response({"error": {"code": "server_error", "message": "Something broke."}}, status=500)


def _logged(operation: str, request: web.Request) -> str:
    """Name the operation in the log: a forced refresh is not a plain look."""
    if operation == "get_connection" and request.query.get("force_refresh") == "true":
        return "refresh_connection"
    return operation


def _where(request: web.Request) -> dict[str, str | None]:
    return {
        "integration": request.match_info.get("integration")
        or request.query.get("provider_config_key")
        or request.headers.get("Provider-Config-Key"),
        "connection_id": request.match_info.get("connection_id")
        or request.headers.get("Connection-Id")
        or request.query.get("connectionId")
        or request.query.get("tags[connection]"),
    }
