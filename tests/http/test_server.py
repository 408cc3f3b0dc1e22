"""What speaks HTTP badly: answered like everything else, and told without its bytes."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from adapters.http.protocol import Protocol
from adapters.http.server import Runner
from tests.http.fakes import ID, WRITE_KEY, FakeUseCases
from tests.http.raw import exchange_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def port(app: web.Application) -> AsyncIterator[int]:
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def _statuses(answers: bytes) -> list[int]:
    """Give the status of each answer on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]


TOO_LONG_TOLD = "The address or a header is too long: at most 8190 and 16384 bytes are taken"

BAD = {
    "a method that is none": b"FOO /canary HTTP/1.1\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01canary\r\n\r\n",
    "a raw byte in the path": b"GET /canary\xff HTTP/1.1\r\n\r\n",
    "a target that is no address": b"GET http://[::1/canary HTTP/1.1\r\n\r\n",
    "a line a little too long": b"GET /docs?canary=" + b"c" * 8190 + b" HTTP/1.1\r\n\r\n",
    "a line too long": b"GET /oauth/callback?canary=" + b"c" * 20_000 + b" HTTP/1.1\r\n\r\n",
    "a header too long": b"GET / HTTP/1.1\r\nHost: x\r\nX: canary" + b"c" * 20_000 + b"\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: x\r\ncanary\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length and chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a later version": b"GET /canary HTTP/2.0\r\nHost: x\r\n\r\n",
    "an earlier version": b"GET /canary HTTP/0.9\r\nHost: x\r\n\r\n",
    "no version": b"GET /canary\r\n\r\n",
    "a coding under the chunks": (
        b"POST /canary HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks of a version without them": (
        b"POST /canary HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a host with credentials": b"GET / HTTP/1.1\r\nHost: canary@x\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nHost: x/canary\r\n\r\n",
    "a host with a blank": b"GET / HTTP/1.1\r\nHost: x canary\r\n\r\n",
    "a port that is none": b"GET / HTTP/1.1\r\nHost: x:canary\r\n\r\n",
}

HOSTS = ["", "x", "x:", "X_1.example:3000", "127.0.0.1:80", "[::1]:3000", "[fe80::1%eth0]", "%2Frun%2Fsock"]


@pytest.mark.parametrize("request_", BAD.values(), ids=BAD.keys())
async def test_bad_http_is_refused_in_the_envelope(port: int, request_: bytes) -> None:
    status, headers, body = await exchange_at(port, request_)
    message = TOO_LONG_TOLD if len(request_) > 8190 else "The request is not valid HTTP"
    assert (status, json.loads(body)) == (
        400,
        {"success": False, "error": {"code": "BAD_REQUEST", "message": message}},
    )
    assert (len(headers["x-request-id"]), "server" in headers) == (32, False)


@pytest.mark.parametrize("request_", BAD.values(), ids=BAD.keys())
async def test_bad_http_is_told_without_its_bytes(
    port: int, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as lines:
        await exchange_at(port, request_)
    (line,) = lines
    assert (line["route"], line["status"], line["error"]) == ("unreadable", 400, "BAD_REQUEST")
    assert "canary" not in str(line) + caplog.text


async def test_bad_http_behind_an_upgrade_that_nobody_wanted_is_refused(port: int) -> None:
    upgrade = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(upgrade + b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        answers = await reader.read()
    writer.close()
    assert _statuses(answers) == [200, 400]


@pytest.mark.parametrize("host", HOSTS)
async def test_whatever_may_be_a_host_is_taken(port: int, host: str) -> None:
    status, _, _ = await exchange_at(port, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert status == 200


async def test_good_http_reaches_the_application(port: int) -> None:
    head = f"GET /api/v1/connections/{ID} HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n\r\n"
    status, headers, _ = await exchange_at(port, head.encode())
    assert (status, "server" in headers) == (200, False)


@pytest.mark.parametrize(
    ("line", "status"), [("GET /healthz", 200), ("GET /nowhere", 404), ("PUT /healthz", 405)]
)
async def test_an_expectation_that_nobody_can_meet_is_ignored(port: int, line: str, status: int) -> None:
    head = f"{line} HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n"
    answered, headers, body = await exchange_at(port, head.encode())
    assert (answered, json.loads(body)["success"], len(headers["x-request-id"])) == (
        status,
        status == 200,
        32,
    )


async def test_a_body_that_cannot_be_read_is_told_once(port: int, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /api/v1/webhooks/nango HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    with capture_logs() as lines:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"Expect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"no chunk!\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400")
    assert (len(lines), caplog.text) == (1, "")


_ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
_WEBHOOK = b"POST /api/v1/webhooks/nango HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "statuses"),
    [
        (_ASK, [200]),
        (_ASK * 3, [200, 200, 200]),
        (_WEBHOOK + b"{}", [200]),
        (_ASK + b"GET / HT", [200]),
        (b"no HTTP!\r\n\r\n", [400]),
        (b"", []),
        (b"GET / HT", []),
        (_WEBHOOK + b"{", []),
    ],
)
async def test_who_says_that_it_was_all_has_its_answers_and_is_let_go(
    port: int, said: bytes, statuses: list[int]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    writer.write_eof()
    async with asyncio.timeout(5):
        answers = await reader.read()
    writer.close()
    assert _statuses(answers) == statuses


async def test_who_says_that_it_was_all_while_asking_has_its_answer(
    port: int, fakes: FakeUseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()
    eof_received = Protocol.eof_received

    async def slowly(_: object) -> None:
        asked.set()
        await ended.wait()

    def end(protocol: Protocol) -> bool:
        ended.set()
        return eof_received(protocol)

    monkeypatch.setattr(type(fakes.check_readiness), "__call__", slowly)
    monkeypatch.setattr(Protocol, "eof_received", end)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(5):
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        await asked.wait()
        writer.write_eof()
        answers = await reader.read()
    writer.close()
    assert _statuses(answers) == [200]


async def test_a_body_that_is_there_is_good_whatever_follows_it(
    port: int, fakes: FakeUseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, bad = asyncio.Event(), asyncio.Event()
    authenticate, refuse = type(fakes.authenticate).__call__, Protocol._give_up_body

    async def slowly(self: Any, key: str | None) -> Any:
        asked.set()
        await bad.wait()
        return await authenticate(self, key)

    def given_up(protocol: Protocol, request: web.BaseRequest) -> None:
        refuse(protocol, request)
        bad.set()

    monkeypatch.setattr(type(fakes.authenticate), "__call__", slowly)
    monkeypatch.setattr(Protocol, "_give_up_body", given_up)
    body = b'{"name": "Production Stripe", "provider": "stripe"}'
    head = f"POST /api/v1/connections HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n"
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(5):
        writer.write(f"{head}{length}".encode() + body)
        await asked.wait()
        writer.write(b"no HTTP!\r\n\r\n")
        answers = await reader.read()
    writer.close()
    assert _statuses(answers) == [201, 400]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "canary"])
async def test_a_webhook_is_taken_byte_for_byte_whatever_its_encoding(
    port: int, fakes: FakeUseCases, encoding: str
) -> None:
    body = gzip.compress(b"{}")
    head = f"POST /api/v1/webhooks/nango HTTP/1.1\r\nHost: x\r\nContent-Encoding: {encoding}\r\n"
    status, _, _ = await exchange_at(port, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert (status, [asked["body"] for asked in fakes.receive_webhook.asked]) == (200, [body])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "canary"])
async def test_a_json_body_is_not_compressed(port: int, encoding: str) -> None:
    head = (
        f"POST /api/v1/connections HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\n"
    )
    status, _, _ = await exchange_at(port, f"{head}{{}}".encode())
    assert status == 415


async def test_a_client_that_goes_before_its_body_is_there_is_told_once(port: int) -> None:
    head = b"POST /api/v1/webhooks/nango HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n"
    with capture_logs() as lines:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"Expect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.transport.abort()
        async with asyncio.timeout(5):
            while not lines:  # noqa: ASYNC110 - a log has no event to wait for
                await asyncio.sleep(0)
        await exchange_at(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [line["status"] for line in lines] == [499, 200]


async def test_what_follows_bad_http_is_not_read(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = web.RequestHandler.data_received

    def received(protocol: web.RequestHandler, data: bytes) -> None:
        read.append(len(data))
        original(protocol, data)

    monkeypatch.setattr(web.RequestHandler, "data_received", received)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GARBAGE\r\n\r\n" + b"x" * (4 * 1024 * 1024))
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        await reader.read()
    writer.close()
    assert len(read) == 1


async def test_a_head_of_many_long_headers_is_not_kept(port: int) -> None:
    header = b"X: " + b"c" * 15_000 + b"\r\n"
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + header * 100
    status, _, body = await exchange_at(port, head)
    message = "The headers are too long: at most 65536 bytes are taken in all"
    assert (status, json.loads(body)["error"]["message"]) == (400, message)


async def test_a_long_body_in_pieces_is_no_head(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(5):
        for _ in range(2):
            writer.write(b"POST /api/v1/webhooks/nango HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n")
            writer.write(b"Expect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"x" * 100_000)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
            await reader.readuntil(b"}}")
    writer.close()


async def test_an_api_key_of_8_kb_is_a_wrong_key(port: int) -> None:
    head = f"GET /api/v1/connections HTTP/1.1\r\nHost: x\r\nx-api-key: {'k' * 8192}\r\n\r\n"
    status, _, _ = await exchange_at(port, head.encode())
    assert status == 401


async def test_aiohttp_s_access_log_stays_silent(port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await exchange_at(port, b"GET /oauth/callback?state=cs_canary HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "canary" not in caplog.text


async def test_the_server_keeps_what_the_runner_was_told(app: web.Application) -> None:
    runner = Runner(app, keepalive_timeout=7, shutdown_timeout=1)
    await runner.setup()
    options: dict[str, Any] = runner.server._kwargs if runner.server else {}
    await runner.cleanup()
    assert options["keepalive_timeout"] == 7


async def test_a_server_that_leaves_says_so_and_closes_after_each_answer(app: web.Application) -> None:
    runner = Runner(app)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        await web.SockSite(runner, listener).start()
        port = listener.getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        leaving = asyncio.create_task(runner.leave(listener, notice=0.2))
        await asyncio.sleep(0)
        status, headers, _ = await exchange_at(port, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, headers["connection"]) == (503, "close")
        # Nobody is let in any more; who was in before is still served.
        while runner.sites != set():  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in answer
        writer.close()
        await leaving
        await runner.cleanup()
