"""Clients that send or read slowly on purpose: cut off, without harm to the others."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from adapters.http import inputs
from adapters.http.protocol import Protocol
from adapters.http.server import Runner
from tests.http.fakes import ID, WRITE_KEY
from tests.http.raw import exchange_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_HEAD_SECONDS = 0.5
_READ_SECONDS = 1.0
_LONG = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
_MANY = 100
_HEAD = f"GET /api/v1/connections/{ID} HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n\r\n".encode()


@pytest.fixture
async def runner(app: web.Application) -> AsyncIterator[Runner]:
    runner = Runner(app, head_seconds=_HEAD_SECONDS, read_seconds=_READ_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner
    await runner.cleanup()


@pytest.fixture
def port(runner: Runner) -> int:
    port: int = runner.addresses[0][1]
    return port


async def _eventually(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(0.02)


async def _connected(runner: Runner) -> tuple[Protocol, socket.socket]:
    """Connect a client, and give both ends."""
    client = socket.create_connection(runner.addresses[0])
    server = runner.server
    assert server is not None
    await _eventually(lambda: bool(server.connections))
    (protocol,) = server.connections
    assert isinstance(protocol, Protocol)
    return protocol, client


async def _cut_off(reader: asyncio.StreamReader) -> bytes:
    """Give what came before the end; the end must come soon."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data:
        if writer.is_closing():
            return
        writer.write(bytes([byte]))
        try:
            await writer.drain()
        except ConnectionError:
            return
        await asyncio.sleep(0.02)


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask honestly, and get the whole answer."""
    writer.write(_HEAD)
    await _answer(reader)


async def _answer(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    assert head.startswith(b"HTTP/1.1 200")


async def test_a_client_that_says_nothing_is_cut_off(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await _cut_off(reader) == b""
    writer.close()


async def test_a_head_that_drips_in_is_cut_off(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    drip = asyncio.create_task(_drip(writer, _HEAD))
    assert await _cut_off(reader) == b""
    await drip
    writer.close()


async def test_a_second_head_that_drips_in_is_cut_off(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _asked(reader, writer)
    drip = asyncio.create_task(_drip(writer, _HEAD))
    assert await _cut_off(reader) == b""
    await drip
    writer.close()


async def test_an_idle_connection_is_kept_for_the_next_request(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _asked(reader, writer)
    # It must outlive the deadline of a head: there is nothing else to wait for.
    await asyncio.sleep(_HEAD_SECONDS * 1.5)
    await _asked(reader, writer)
    writer.close()


async def test_a_body_that_drips_in_is_refused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "BODY_SECONDS", 0.2)
    head = (
        f"POST /api/v1/connections HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    status, _, body = await exchange_at(port, head.encode())
    assert (status, b"must arrive within" in body) == (400, True)


async def test_a_body_that_goes_on_dripping_in_after_its_answer_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "BODY_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST /api/v1/connections HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n"
        "Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n".encode()
    )
    drip = asyncio.create_task(_drip(writer, b" " * 1000))
    await _cut_off(reader)
    await drip
    writer.close()


async def test_a_body_may_take_longer_than_a_head(port: int) -> None:
    body = b'{"name": "n", "provider": "stripe"}'
    head = (
        f"POST /api/v1/connections HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    for part in (body[:1], body[1:2], body[2:]):
        await asyncio.sleep(_HEAD_SECONDS * 0.75)
        writer.write(part)
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 201")
    writer.close()


async def test_a_hundred_dripping_clients_do_not_keep_an_honest_one_waiting(port: int) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
    for _, writer in slow:
        writer.write(b"GET / HT")
    status, _, _ = await exchange_at(port, _HEAD)
    assert status == 200
    for reader, writer in slow:
        assert await _cut_off(reader) == b""
        writer.close()


async def test_a_client_that_does_not_read_its_answers_is_cut_off(runner: Runner) -> None:
    protocol, client = await _connected(runner)
    with client:
        client.sendall(_LONG * _MANY)
        await _eventually(lambda: protocol.writing_paused)
        await _eventually(lambda: not protocol.connected)


async def test_a_client_that_does_not_read_the_rest_of_its_last_answer_is_cut_off(runner: Runner) -> None:
    protocol, client = await _connected(runner)
    server = runner.server
    assert server is not None
    assert protocol.transport is not None
    # So that nobody waits until it reads: the connection is over with its answers on the way.
    protocol.transport.set_write_buffer_limits(2**30)
    with client:
        client.sendall(_LONG * _MANY + _LONG.replace(b"Host", b"Connection: close\r\nHost"))
        await _eventually(lambda: protocol not in server.connections)


async def test_a_client_that_has_said_all_and_does_not_read_is_cut_off(runner: Runner) -> None:
    protocol, client = await _connected(runner)
    server = runner.server
    assert server is not None
    with client:
        client.sendall(_LONG * _MANY)
        client.shutdown(socket.SHUT_WR)
        await _eventually(lambda: protocol not in server.connections)


async def test_a_client_that_reads_late_is_still_served(runner: Runner) -> None:
    protocol, client = await _connected(runner)
    client.sendall(_LONG * _MANY)
    await _eventually(lambda: protocol.writing_paused)
    reader, writer = await asyncio.open_connection(sock=client)
    for _ in range(_MANY):
        await _answer(reader)
    # It must outlive the deadline that it has met: what counted was that it read.
    await asyncio.sleep(_READ_SECONDS * 1.5)
    await _asked(reader, writer)
    writer.close()


async def test_a_body_that_comes_before_anybody_asks_for_it_is_no_slow_head(runner: Runner) -> None:
    protocol, client = await _connected(runner)
    reader, writer = await asyncio.open_connection(sock=client)
    await _asked(reader, writer)
    body = b'{"name": "n", "provider": "stripe"}'
    head = (
        f"POST /api/v1/connections HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    # As a busy server gets them: both are there before the handler has begun.
    protocol.data_received(head.encode())
    protocol.data_received(body)
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 201")
    await asyncio.sleep(_HEAD_SECONDS * 1.5)
    assert protocol.connected
    writer.close()
