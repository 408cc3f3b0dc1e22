"""What operators see: numbers that are right, and never a company's name."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from attrs import define, field
from prometheus_client.parser import text_string_to_metric_families

from adapters.metrics.prometheus import SURVEYED_FOR, PrometheusMetrics
from application.ports import Overdue, PoolState, Survey
from domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

IDLE = Overdue(count=0, oldest=timedelta(0))
SURVEY = Survey(
    connections={("slack", "active"): 7},
    attempts=Overdue(count=2, oldest=timedelta(seconds=1.5)),
    jobs=IDLE,
    feed_held=timedelta(seconds=12),
    round_overdue=timedelta(seconds=90),
)
POOL = PoolState(size=3, idle=2, max_size=10, waiting=1)
GET_ONE = {"method": "GET", "route": "/one/{id}"}


@define
class World:
    """A clock and a database that do as they are told."""

    now: float = 0.0
    surveys: int = 0
    survey: Survey | Exception = SURVEY
    metrics: PrometheusMetrics = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.metrics = PrometheusMetrics("1.2.3", lambda: POOL, self.look, lambda: self.now)

    async def look(self) -> Survey:
        self.surveys += 1
        await asyncio.sleep(0)
        if isinstance(self.survey, Exception):
            raise self.survey
        return self.survey

    async def scraped(self) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
        text = (await self.metrics.scrape()).decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def value(self, name: str, **labels: str) -> float:
        return (await self.scraped())[name, frozenset(labels.items())]


@pytest.fixture
def world() -> World:
    return World()


async def test_requests_are_counted_by_route_and_status(world: World) -> None:
    for status in (200, 200, 404):
        world.metrics.request("GET", "/one/{id}", status, 0.001)

    assert await world.value("connections_http_requests_total", **GET_ONE, status="200") == 2
    assert await world.value("connections_http_requests_total", **GET_ONE, status="404") == 1


@pytest.mark.parametrize(
    ("bound", "count"), [("0.001", 1), ("0.0025", 1), ("0.5", 2), ("10.0", 2), ("20.0", 2), ("+Inf", 3)]
)
async def test_latencies_of_all_statuses_are_one_histogram(world: World, bound: str, count: int) -> None:
    world.metrics.request("GET", "/one/{id}", 200, 0.001)
    world.metrics.request("GET", "/one/{id}", 404, 0.3)
    world.metrics.request("GET", "/one/{id}", 503, 25.0)

    name = "connections_http_request_duration_seconds_bucket"
    assert await world.value(name, **GET_ONE, le=bound) == count


async def test_a_histogram_has_its_sum_and_count(world: World) -> None:
    world.metrics.request("GET", "/one/{id}", 200, 0.25)
    world.metrics.request("GET", "/one/{id}", 503, 0.5)

    name = "connections_http_request_duration_seconds"
    scraped = await world.scraped()
    assert scraped[f"{name}_sum", frozenset(GET_ONE.items())] == 0.75
    assert scraped[f"{name}_count", frozenset(GET_ONE.items())] == 2


async def test_calls_to_nango_are_told_by_operation_and_outcome(world: World) -> None:
    world.metrics.nango_call("refresh", "ok", 0.1)
    world.metrics.nango_call("refresh", "gateway_timeout", 15.0)

    name = "connections_nango_call_duration_seconds_count"
    assert await world.value(name, operation="refresh", outcome="ok") == 1
    assert await world.value(name, operation="refresh", outcome="gateway_timeout") == 1


@pytest.mark.parametrize(("what", "value"), [("size", 3), ("idle", 2), ("max_size", 10), ("waiting", 1)])
async def test_the_state_of_the_pool_is_among_the_metrics(world: World, what: str, value: float) -> None:
    assert await world.value(f"connections_database_pool_{what}") == value


async def test_what_the_database_holds_is_among_the_metrics(world: World) -> None:
    assert await world.value("connections_connections", provider="slack", status="active") == 7
    assert await world.value("connections_worker_due", kind="attempt") == 2
    assert await world.value("connections_worker_lag_seconds", kind="attempt") == 1.5
    assert await world.value("connections_worker_lag_seconds", kind="job") == 0
    assert await world.value("connections_worker_lag_seconds", kind="round") == 90
    assert await world.value("connections_events_held_seconds") == 12
    assert await world.value("connections_database_up") == 1


async def test_the_build_and_the_process_are_told(world: World) -> None:
    scraped = await world.scraped()
    builds = [dict(labels) for name, labels in scraped if name == "connections_build_info"]
    assert [build["version"] for build in builds] == ["1.2.3"]
    assert scraped["process_resident_memory_bytes", frozenset()] > 0


async def test_the_database_is_counted_once_in_a_while(world: World) -> None:
    await world.scraped()
    world.now = SURVEYED_FOR - 1
    await world.scraped()
    assert world.surveys == 1

    world.now = SURVEYED_FOR
    await world.scraped()
    assert world.surveys == 2


async def test_scrapes_that_come_together_count_it_once(world: World) -> None:
    await asyncio.gather(*(world.scraped() for _ in range(5)))
    assert world.surveys == 1


async def test_without_the_database_the_rest_is_told(world: World) -> None:
    await world.scraped()
    world.now, world.survey = SURVEYED_FOR, StoreUnavailable()
    world.metrics.request("GET", "/one/{id}", 503, 0.1)

    scraped = await world.scraped()

    assert scraped["connections_database_up", frozenset()] == 0
    assert scraped["connections_http_requests_total", frozenset({**GET_ONE, "status": "503"}.items())] == 1
    assert not [name for name, _ in scraped if name in ("connections_connections", "connections_worker_due")]


async def test_a_database_that_does_not_answer_is_not_asked_by_every_scrape(world: World) -> None:
    world.survey = StoreUnavailable()
    await world.scraped()
    await world.scraped()
    assert world.surveys == 1
