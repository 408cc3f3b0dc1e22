"""A TCP proxy that things go wrong in: before PostgreSQL, and before Nango."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Upstream = Callable[[], Awaitable[Opened]]

CHUNK = 64 * 1024
GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n\x00\xff{not json!"
HUGE = 100 * 1024 * 1024


@frozen(kw_only=True)
class Fault:
    """What happens to a client's connection, from when the fault is set.

    Args:
        latency: seconds before each piece in either direction.
        drip: the server's bytes come one at a time, so many seconds apart.
        blackhole: bytes are taken and go nowhere; new connections are made and stay silent.
        refuse: new connections are closed at once.
        reset: connections, old and new, are reset (RST).
        cut_after: the connection is reset after so many bytes of the server's.
        cut_reply_to: a marker, such as COMMIT, in what the client says: it reaches the server, whose reply is
            dropped, and the connection with it.
        answer: what the client gets instead of the server's answer to each thing it says.
        huge: the same, with a body of 100 MB of spaces.

    """

    latency: float = 0.0
    drip: float = 0.0
    blackhole: bool = False
    refuse: bool = False
    reset: bool = False
    cut_after: int | None = None
    cut_reply_to: bytes | None = None
    answer: bytes | None = None
    huge: bool = False


WELL = Fault()


@define(eq=False)
class _Link:
    """One client and its connection to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    fault: Fault
    said: int = 0
    marked: bool = False

    def reset(self) -> None:
        """Break off towards the client as rudely as TCP can; the server sees an ordinary end."""
        _abort(self.client)
        self.server.close()


@define(eq=False)
class Proxy:
    """Listens on 127.0.0.1 and passes on to `upstream`; `fault` may be changed while connections are open.

    `choose` gives each thing that a client says a fault of its own; without it, all follow `fault`.
    `cuts` counts the replies that `cut_reply_to` dropped, `limit` how many more it may drop.
    """

    upstream: Upstream
    choose: Callable[[], Fault] | None = None
    cuts: int = 0
    limit: int | None = None
    _fault: Fault = WELL
    _links: set[_Link] = field(init=False, factory=set)
    _serving: set[asyncio.Task[None]] = field(init=False, factory=set)
    _server: asyncio.Server | None = field(init=False, default=None)
    port: int = field(init=False, default=0)

    async def start(self) -> Proxy:
        """Listen on a port that is free."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Listen no more, and drop everybody."""
        if self._server is not None:
            self._server.close()
        self.drop()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def fault(self) -> Fault:
        """What goes wrong now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        for link in list(self._links):
            link.fault = fault
            if fault.reset:
                link.reset()

    def heal(self) -> None:
        """Be well again; connections that had gone silent are dropped, as a network's would time out."""
        silent = self._fault.blackhole or self.choose is not None
        self.choose, self.limit = None, None
        self.fault = WELL
        if silent:
            self.drop()

    def drop(self) -> None:
        """Reset every connection there is."""
        for link in list(self._links):
            link.reset()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._fault
        if fault.refuse or fault.reset:
            _abort(writer)
            return
        try:
            above, server = await self.upstream()
        except OSError:
            _abort(writer)
            return
        link = _Link(writer, server, fault)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._up(reader, link))
                tasks.create_task(self._down(above, link))
        except* (OSError, _OverError):
            pass
        finally:
            self._links.discard(link)
            writer.close()
            server.close()

    async def _up(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while data := await reader.read(CHUNK):
            if self.choose is not None:
                link.fault = self.choose()
            fault = link.fault
            if fault.reset:
                link.reset()
                break
            await asyncio.sleep(fault.latency)
            marker = fault.cut_reply_to
            if marker is not None and marker in data and self.limit != 0:
                link.marked = True
            if fault.answer is not None or fault.huge:
                await self._answer_instead(link)
            elif not fault.blackhole:
                link.server.write(data)
                await link.server.drain()
        raise _OverError

    async def _down(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while data := await reader.read(CHUNK):
            fault = link.fault
            if link.marked:
                self.cuts += 1
                self.limit = None if self.limit is None else self.limit - 1
                link.reset()
                break
            await asyncio.sleep(fault.latency)
            link.said += len(data)
            if fault.cut_after is not None and link.said > fault.cut_after:
                link.client.write(data[: max(0, fault.cut_after - link.said)])
                link.reset()
                break
            if not fault.blackhole and fault.answer is None and not fault.huge:
                await self._say(link, data)
        raise _OverError

    async def _say(self, link: _Link, data: bytes) -> None:
        if not link.fault.drip:
            link.client.write(data)
            await link.client.drain()
            return
        for byte in data:
            link.client.write(bytes([byte]))
            await link.client.drain()
            await asyncio.sleep(link.fault.drip)

    async def _answer_instead(self, link: _Link) -> None:
        if link.fault.answer is not None:
            await self._say(link, link.fault.answer)
            raise _OverError
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {HUGE}\r\n\r\n"
        link.client.write(head.encode())
        for _ in range(HUGE // CHUNK):
            link.client.write(b" " * CHUNK)
            await link.client.drain()
        raise _OverError


class _OverError(Exception):
    """One side has ended: so does the other."""


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def to_port(port: int) -> Upstream:
    """Give the way to a port of this machine."""
    return lambda: asyncio.open_connection("127.0.0.1", port)


def to_socket(path: str) -> Upstream:
    """Give the way to a Unix socket: the embedded PostgreSQL listens on nothing else."""
    return lambda: asyncio.open_unix_connection(path)
