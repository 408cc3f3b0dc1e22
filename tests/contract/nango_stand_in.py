"""Stand-ins for Nango: a TCP server that misbehaves as told, and what aioresponses lacks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import aiohttp
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Behave = Callable[["Call"], Awaitable[None]]


class MockedResponse(aiohttp.ClientResponse):
    """aioresponses does not know of aiohttp's new argument yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, stream_writer=Mock(), **kwargs)


@define
class Call:
    """One request as it came over the wire, and the way to answer it."""

    head: str
    writer: asyncio.StreamWriter
    number: int

    @property
    def target(self) -> str:
        return self.head.split(" ", 2)[1]

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return None

    async def answer(self, status: int, body: bytes = b"", *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)
        await self.writer.drain()

    def drop(self) -> None:
        self.writer.close()


@define
class StandIn:
    """Its address, and the calls it got."""

    url: str
    calls: list[Call] = field(factory=list)


@asynccontextmanager
async def stand_in(behave: Behave) -> AsyncIterator[StandIn]:
    """Serve on a port of its own; connections are closed and tasks gone at the end."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                call = Call(head, writer, len(served.calls) + 1)
                served.calls.append(call)
                await reader.readexactly(int(call.header("Content-Length") or 0))
                await behave(call)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        connections.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    served = StandIn(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield served
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def forever(_call: Call) -> None:
    """Never answer."""
    await asyncio.Event().wait()
