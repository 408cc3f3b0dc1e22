"""What every answer has, and the one line that tells of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import http_parser
from attrs import define, field
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from adapters.http.app import HttpOptions, create_app
from domain.errors import StoreRefused, StoreUnavailable
from tests.http.fakes import ID, READ_KEY, WRITE_KEY, FakeFind, FakeUseCases
from tests.http.raw import exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    from domain.connection import Connection
    from tests.http.conftest import Client

ONE = f"/api/v1/connections/{ID}"


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs(processors=[merge_contextvars]) as captured:
        yield captured


@pytest.mark.parametrize(
    "path",
    [ONE, "/nowhere", "/healthz", "/oauth/callback", "/oauth/callback?state=cs_a", "/docs", "/openapi.json"],
)
async def test_every_answer_has_a_request_id_and_no_banner(client: Client, path: str) -> None:
    headers = (await client.get(path, allow_redirects=False)).headers
    assert (len(headers["X-Request-Id"]), "Server" in headers, headers["X-Content-Type-Options"]) == (
        32,
        False,
        "nosniff",
    )


async def test_a_request_keeps_the_id_it_came_with(client: Client) -> None:
    answer = await client.get("/healthz", headers={"X-Request-Id": "Abc-1.2_3"})
    assert answer.headers["X-Request-Id"] == "Abc-1.2_3"


@pytest.mark.parametrize("id", [b"", b"a b", b"x" * 65, b"\xc3\xa9", b"a;b", b"<b>", b"\xff"])
async def test_a_request_id_that_is_none_is_replaced(client: Client, id: bytes) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: " + id + b"\r\n\r\n"
    _, headers, _ = await exchange(client, request)
    assert len(headers["x-request-id"]) == 32


async def test_two_requests_have_two_ids(client: Client) -> None:
    ids = {(await client.get("/healthz")).headers["X-Request-Id"] for _ in range(2)}
    assert len(ids) == 2


async def test_answers_of_the_api_are_not_cached(company: Client) -> None:
    assert (await company.get(ONE)).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        ONE,
        "/api/v1/connections/stripe/auth-url",
        "/oauth/callback?state=cs_a",
        "/api/v1/connections",
        "/api/v1/providers",
    ],
)
async def test_head_is_refused_where_the_service_itself_is_not_asked_for(
    company: Client, fakes: FakeUseCases, path: str
) -> None:
    answer = await company.head(path)
    assert (answer.status, "HEAD" in answer.headers["Allow"]) == (405, False)
    assert fakes.get_auth_url.asked + fakes.complete_authorization.asked == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/metrics"])
async def test_monitors_may_ask_for_the_head_of_what_the_service_says_of_itself(
    aiohttp_client: Callable[..., Awaitable[Client]], fakes: FakeUseCases, path: str
) -> None:
    async def scrape() -> bytes:
        return b"up 1\n"

    app = create_app(fakes.all(), HttpOptions(nango_public_url="https://nango.example", scrape=scrape))
    client = await aiohttp_client(app)
    head, get = await client.head(path), await client.get(path)
    assert (head.status, await head.read()) == (200, b"")
    kept = ("Content-Length", "Content-Type", "ETag", "Cache-Control")
    assert [head.headers.get(name) for name in kept] == [get.headers.get(name) for name in kept]
    assert (await client.post(path)).headers["Allow"] == "GET,HEAD"


async def test_a_head_of_a_server_that_cannot_serve_says_so(client: Client, fakes: FakeUseCases) -> None:
    fakes.check_readiness.answer = StoreUnavailable()
    assert (await client.head("/readyz")).status == 503


async def test_a_head_to_the_reference_s_callback_is_refused(client: Client, fakes: FakeUseCases) -> None:
    answer = await client.head(f"/api/v1/connections/stripe/callback?connectionId={ID}")
    assert (answer.status, fakes.report_authorization.asked) == (405, [])


async def test_a_request_is_told_in_one_line(company: Client, lines: list[MutableMapping[str, Any]]) -> None:
    await company.get(ONE, headers={"X-Request-Id": "r-1"})
    (line,) = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "request_id": "r-1",
        "company": "acme",
        "actor": "api_key:write",
        "route": "/api/v1/connections/{id}",
        "method": "GET",
        "status": 200,
        "error": None,
        "reason": None,
        "connection_id": ID,
    }


@pytest.mark.parametrize("id", ["canary", ID.upper(), f"{ID}%0acanary"])
async def test_what_is_no_connection_s_id_is_not_told(
    company: Client, lines: list[MutableMapping[str, Any]], id: str
) -> None:
    await company.get(f"/api/v1/connections/{id}")
    assert ["connection_id" in line for line in lines] == [False]
    assert "canary" not in str(lines)


async def test_a_refusal_is_told_with_its_code(client: Client, lines: list[MutableMapping[str, Any]]) -> None:
    await client.get(ONE)
    told = [(line["status"], line["company"], line["actor"], line["error"], line["reason"]) for line in lines]
    assert told == [(401, None, None, "UNAUTHORIZED", "unauthenticated")]


async def test_why_the_database_refuses_us_is_told_to_the_log_alone(
    company: Client, fakes: FakeUseCases, lines: list[MutableMapping[str, Any]]
) -> None:
    fakes.get_connection.there = StoreRefused(why="3D000: no such database")
    answer = await company.get(ONE)
    told = [(line["log_level"], line["status"], line["reason"], line["why"]) for line in lines]
    assert told == [("error", 503, "store_refused", "3D000: no such database")]
    assert "3D000" not in await answer.text()


async def test_a_forbidden_call_is_told_with_its_company_and_key(
    client: Client, lines: list[MutableMapping[str, Any]]
) -> None:
    await client.delete(ONE, headers={"x-api-key": READ_KEY})
    assert [(line["company"], line["actor"], line["error"]) for line in lines] == [
        ("acme", "api_key:read", "FORBIDDEN")
    ]


async def test_an_unknown_path_is_not_told(client: Client, lines: list[MutableMapping[str, Any]]) -> None:
    await client.get("/canary%0a%1b[31m?canary=1")
    assert [line["route"] for line in lines] == ["unknown"]
    assert "canary" not in str(lines)


async def test_neither_keys_nor_queries_nor_bodies_are_told(
    company: Client, lines: list[MutableMapping[str, Any]]
) -> None:
    await company.get("/api/v1/connections?canary=1")
    await company.post("/api/v1/connections", json={"canary": "canary"})
    await company.get("/oauth/callback?state=cs_canary&code=canary")
    assert len(lines) == 3
    assert "canary" not in str(lines)
    assert WRITE_KEY not in str(lines)


async def test_the_unexpected_is_told_with_its_traceback_and_the_request_s_id(
    company: Client, fakes: FakeUseCases, lines: list[MutableMapping[str, Any]]
) -> None:
    surprise = RuntimeError("surprise")
    fakes.get_connection.there = surprise
    await company.get(ONE, headers={"X-Request-Id": "r-1"})
    assert [(line["event"], line["request_id"], line.get("exc_info")) for line in lines] == [
        ("unexpected error", "r-1", surprise),
        ("request", "r-1", None),
    ]


async def test_requests_under_way_together_keep_their_own_ids(
    company: Client, lines: list[MutableMapping[str, Any]]
) -> None:
    await asyncio.gather(*(company.get(ONE, headers={"X-Request-Id": f"r-{n}"}) for n in range(20)))
    assert {line["request_id"] for line in lines} == {f"r-{n}" for n in range(20)}


@define
class _SlowFind(FakeFind):
    reached: asyncio.Event = field(factory=asyncio.Event)

    async def __call__(self, *, company_id: str, connection_id: str) -> Connection:
        self.reached.set()
        return await asyncio.Future()


async def test_a_cancelled_request_is_told_too(
    aiohttp_client: Callable[..., Awaitable[Client]],
    fakes: FakeUseCases,
    lines: list[MutableMapping[str, Any]],
) -> None:
    fakes.get_connection = slow = _SlowFind()
    app = create_app(fakes.all(), HttpOptions(nango_public_url="https://nango.example"))
    client = await aiohttp_client(app, server_kwargs={"handler_cancellation": True})
    call = asyncio.create_task(client.get(ONE, headers={"x-api-key": WRITE_KEY}))
    async with asyncio.timeout(30):
        await slow.reached.wait()
        call.cancel()
        while not lines:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0)
    assert [(line["company"], line["status"]) for line in lines] == [("acme", 499)]


async def test_a_client_that_waits_for_100_continue_is_told_to_go_on(client: Client) -> None:
    head = f"POST {ONE}/verify HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\nExpect: 100-continue\r\n"
    status, _, _ = await exchange(client, f"{head}Content-Length: 2\r\n\r\n".encode())
    assert status == 100


def test_the_application_refuses_to_run_without_the_c_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(RuntimeError, match="C parser"):
        create_app(FakeUseCases().all(), HttpOptions(nango_public_url="https://nango.example"))
