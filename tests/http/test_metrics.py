"""`/metrics`, and what is observed of each request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from aiohttp import web

from adapters.http.app import HttpOptions, create_app, create_metrics_app
from adapters.http.server import Runner
from tests.http.conftest import NANGO
from tests.http.fakes import ABSENT_ID, ID, WRITE_KEY, FakeUseCases
from tests.http.raw import exchange_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.http.conftest import Client

KEY = {"x-api-key": WRITE_KEY}


async def scrape() -> bytes:
    return b"up 1\n"


@pytest.fixture
def seen() -> list[tuple[str, str, int]]:
    return []


@pytest.fixture
async def client(aiohttp_client: Callable[..., Awaitable[Any]], seen: list[tuple[str, str, int]]) -> Client:
    def observe(method: str, route: str, status: int, seconds: float) -> None:
        assert 0 < seconds < 5
        seen.append((method, route, status))

    options = HttpOptions(nango_public_url=NANGO, observe=observe, scrape=scrape)
    client: Client = await aiohttp_client(create_app(FakeUseCases().all(), options))
    return client


async def test_metrics_need_no_key(client: Client) -> None:
    answer = await client.get("/metrics")
    assert (answer.status, await answer.read()) == (200, b"up 1\n")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_the_document_says_that_metrics_are_text(client: Client) -> None:
    document = await (await client.get("/openapi.json")).json()
    assert set(document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}


async def test_metrics_with_a_port_of_their_own_are_not_beside_the_api(
    aiohttp_client: Callable[..., Awaitable[Any]],
) -> None:
    client = await aiohttp_client(create_app(FakeUseCases().all(), HttpOptions(nango_public_url=NANGO)))
    assert (await client.get("/metrics")).status == 404


async def test_a_port_of_their_own_has_nothing_else(aiohttp_client: Callable[..., Awaitable[Any]]) -> None:
    client = await aiohttp_client(create_metrics_app(scrape))
    assert await (await client.get("/metrics")).read() == b"up 1\n"
    assert (await client.head("/metrics")).status == 200
    assert (await client.get("/healthz")).status == 404


@pytest.mark.parametrize(
    ("path", "headers", "observed"),
    [
        (f"/api/v1/connections/{ID}", KEY, ("/api/v1/connections/{id}", 200)),
        (f"/api/v1/connections/{ABSENT_ID}", KEY, ("/api/v1/connections/{id}", 404)),
        (f"/api/v1/connections/{ID}", {}, ("/api/v1/connections/{id}", 401)),
        ("/nowhere/at/all", {}, ("unknown", 404)),
    ],
)
async def test_a_request_is_observed_by_its_routes_template(
    client: Client,
    seen: list[tuple[str, str, int]],
    path: str,
    headers: dict[str, str],
    observed: tuple[str, int],
) -> None:
    await client.get(path, headers=headers)
    assert seen == [("GET", *observed)]


async def test_what_is_no_http_is_observed_too(seen: list[tuple[str, str, int]]) -> None:
    options = HttpOptions(nango_public_url=NANGO, observe=lambda *told: seen.append(told[:3]))
    runner = Runner(create_app(FakeUseCases().all(), options))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await exchange_at(runner.addresses[0][1], b"GARBAGE\r\n\r\n")
    await runner.cleanup()
    assert seen == [("unknown", "unreadable", 400)]


def test_the_application_runs_without_an_observer() -> None:
    assert attrs.fields(HttpOptions).observe.default is None
