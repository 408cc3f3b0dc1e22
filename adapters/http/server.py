"""The server around the application: what speaks HTTP badly is answered here, before there is a route.

aiohttp would answer such requests in plain text, with its banner, and write their bytes, queries included,
into the log. A deadline for clients that send slowly will belong to `Protocol` too.
"""

from __future__ import annotations

import secrets
from typing import Any

import structlog
from aiohttp import web

from adapters.http.answers import refused
from adapters.http.boundary import REQUEST_ID
from adapters.http.errors import UNEXPECTED, Refusal

MAX_FIELD = 16 * 1024
"""The longest header in bytes: an API key of 8 KB is a wrong key (401), not bad HTTP."""

_UNREADABLE = Refusal(status=400, code="BAD_REQUEST", message="The request is not valid HTTP")
_SERVER_ERROR = 500

_log = structlog.get_logger("connections.http")


class Runner(web.AppRunner):
    """Runs the application behind `Protocol`. Takes what `aiohttp.web.AppRunner` takes.

    aiohttp's own access log is off, since it writes queries: `boundary` tells of each request.
    """

    __slots__ = ()

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, access_log=None, max_field_size=MAX_FIELD, **options)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return Server(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            **server._kwargs,  # noqa: SLF001 - aiohttp offers no way to choose the protocol's class
        )


class Server(web.Server):
    """Makes a `Protocol` for each client."""

    def __call__(self) -> Protocol:
        """Serve one more client."""
        return Protocol(self, loop=self._loop, **self._kwargs)


class Protocol(web.RequestHandler):
    """One client's connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp passes it; its bytes stay out of the answer
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the same: it quotes the request
    ) -> web.StreamResponse:
        """Answer in the envelope, close, and tell of it without the bytes that were wrong."""
        request_id = secrets.token_hex(16)
        refusal = UNEXPECTED if status >= _SERVER_ERROR else _UNREADABLE
        _log.info(
            "request",
            request_id=request_id,
            company=None,
            route="unreadable",
            method=None,
            status=refusal.status,
            error=refusal.code,
            reason=None if exc is None else type(exc).__name__,
        )
        response = refused(refusal, kind=_Unadorned)
        response.headers[REQUEST_ID] = request_id
        response.force_close()
        return response


class _Unadorned(web.Response):
    """An answer without aiohttp's banner; no signal of the application runs for these."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)
