"""Who may call what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import istr

from adapters.http.boundary import CALLER
from adapters.http.limits import address_of
from application.ports import Scope
from domain.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web
    from aiohttp.typedefs import Handler

    from adapters.http.limits import RateLimit
    from application.authenticate import Authenticate, Caller

    CallerHandler = Callable[[web.Request, Caller], Awaitable[web.Response]]

_API_KEY = istr("x-api-key")


def guarded(
    authenticate: Authenticate, scope: Scope, handler: CallerHandler, limit: RateLimit | None = None
) -> Handler:
    """Let a handler be reached with a key of this scope only; it is told who calls.

    The handler made here raises Unauthenticated, Forbidden where the key may only read, and TooManyRequests
    where the key is past its limit.
    """

    async def guard(request: web.Request) -> web.StreamResponse:
        caller = await authenticate(key=_key(request))
        request[CALLER] = caller
        if scope is Scope.WRITE and caller.scope is not Scope.WRITE:
            raise Forbidden
        if limit is not None:
            limit.spend(caller.actor)
        return await handler(request, caller)

    return guard


def rationed(handler: Handler, limit: RateLimit, proxies: int) -> Handler:
    """Let anybody reach a handler, each address within its limit; raises TooManyRequests beyond it."""

    async def guard(request: web.Request) -> web.StreamResponse:
        limit.spend(address_of(request, proxies))
        return await handler(request)

    return guard


def _key(request: web.Request) -> str | None:
    keys = request.headers.getall(_API_KEY, ())
    return keys[0] if len(keys) == 1 else None
