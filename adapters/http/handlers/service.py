"""What is said of the service itself: its providers, and whether it is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.http import present
from adapters.http.answers import ok, ok_list
from adapters.http.boundary import LEAVING
from adapters.http.inputs import read_bytes, read_query
from adapters.http.requests import Nothing
from adapters.http.schemas import State
from domain.errors import Unavailable

if TYPE_CHECKING:
    from aiohttp import web

    from adapters.http.use_cases import UseCases
    from application.authenticate import Caller

SIGNATURE = "X-Nango-Hmac-Sha256"
"""Not the older X-Nango-Signature, which anybody can lengthen."""


@frozen
class ServiceHandlers:
    """The catalogue and the probes."""

    _use_cases: UseCases

    async def providers(self, request: web.Request, _: Caller) -> web.Response:
        """List the providers that can be connected."""
        read_query(Nothing, request)
        return ok_list([present.provider(provider) for provider in self._use_cases.list_providers()])

    async def webhook(self, request: web.Request) -> web.StreamResponse:
        """Take a webhook of Nango; its signature, over the raw bytes, stands in for an API key."""
        signatures = request.headers.getall(SIGNATURE, [])
        await self._use_cases.receive_webhook(
            body=await read_bytes(request), signature=signatures[0] if len(signatures) == 1 else None
        )
        return ok(State("received"))

    async def healthy(self, _: web.Request) -> web.StreamResponse:
        """Answer as long as the process lives."""
        return ok(State("ok"))

    async def ready(self, request: web.Request) -> web.StreamResponse:
        """Answer 200 where requests can be served, 503 where not, or not for long."""
        if request.app[LEAVING].is_set():
            raise Unavailable("This server is about to stop.", retry_after=1)
        await self._use_cases.check_readiness()
        return ok(State("ready"))
