"""The server around the application: how it begins, what it takes, and how it takes its leave."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.hdrs import EXPECT
from multidict import CIMultiDictProxy

from adapters.http.boundary import LEAVING, OBSERVE
from adapters.http.protocol import MAX_FIELD, MAX_LINE, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from aiohttp.http_parser import RawRequestMessage

    from adapters.http.boundary import Observe

HEAD_SECONDS = 10.0
"""How long the head of a request may take to arrive, from its first byte or from the connection."""

READ_SECONDS = 30.0
"""How long a client may take to read on where an answer waits for it."""

LINGER_SECONDS = 1.0
"""How long the rest of a body is dropped after its answer: who is cut off at once may miss that."""

LAST_WORDS = 1.0
"""Seconds in which a connection without a request may still bring one, once nobody is let in any more."""

_GLANCE = 0.02


class Runner(web.AppRunner):
    """Runs the application behind `Protocol`. Takes what `aiohttp.web.AppRunner` takes.

    aiohttp's own access log is off, since it writes queries: `boundary` tells of each request. Nor does it
    inflate bodies: a signature is over the bytes that came, and a few of them may hide hundreds of megabytes.
    """

    __slots__ = ("_patience",)

    def __init__(
        self,
        app: web.Application,
        *,
        head_seconds: float = HEAD_SECONDS,
        read_seconds: float = READ_SECONDS,
        **options: Any,
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            lingering_time=LINGER_SECONDS,
            **options,
        )
        self._patience = {"head_seconds": head_seconds, "read_seconds": read_seconds}

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return Server(
            server.request_handler,
            patience=self._patience,
            observe=self._app.get(OBSERVE),
            request_factory=_without_miracles(server.request_factory),
            handler_cancellation=server.handler_cancellation,
            **server._kwargs,  # noqa: SLF001 - aiohttp offers no way to choose the protocol's class
        )

    async def leave(self, listener: socket.socket, *, notice: float) -> None:
        """Take leave of whoever calls, so that nobody behind a balancer notices; `cleanup` comes after.

        For `notice` seconds everything is served as before, while /readyz answers 503 and each answer closes
        its connection. Then nobody is let in any more, and who has a connection may still say something.
        """
        server = self._server
        assert server is not None  # noqa: S101 - set up before
        self._app[LEAVING].set()
        await asyncio.sleep(notice)
        # Closing a listening socket resets those who wait in its queue, though they were let in already.
        last = []
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                last.append(client)
        for site in list(self._sites):
            await site.stop()
        loop = asyncio.get_running_loop()
        for client in last:
            client.setblocking(False)
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(server, client)
        end = loop.time() + LAST_WORDS
        while server.connections and loop.time() < end:  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(_GLANCE)


def _without_miracles(make_request: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Ignore all expectations but 100-continue, as RFC 9110 §10.1.1 allows.

    Where there is no route, aiohttp refuses them in plain text, before anything of ours hears of it.
    """

    def make(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        expected = message.headers.get(EXPECT)
        if expected is None or expected.lower() == "100-continue":
            return make_request(message, *rest)
        headers = message.headers.copy()
        del headers[EXPECT]
        return make_request(message._replace(headers=CIMultiDictProxy(headers)), *rest)

    return make


class Server(web.Server):
    """Makes a `Protocol` for each client."""

    def __init__(
        self, *args: Any, patience: Mapping[str, float], observe: Observe | None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._patience = patience
        self._observe = observe

    def __call__(self) -> Protocol:
        """Serve one more client."""
        return Protocol(self, **self._patience, observe=self._observe, loop=self._loop, **self._kwargs)
