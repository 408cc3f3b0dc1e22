"""One process in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats).

No label names a company, a connection or anything else that grows with use.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from attrs import define, field
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from adapters.metrics.tally import Tally, merged
from domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from prometheus_client import Metric

    from application.ports import PoolState, Survey

SURVEYED_FOR = 10.0
"""Seconds for which a count of the database's content is used again, or one that failed is not repeated."""


def _tallies() -> defaultdict[Any, Tally]:
    return defaultdict(Tally)


@define(eq=False)
class PrometheusMetrics(Collector):
    """Counts what this process does, and looks at the rest when somebody asks.

    Attributes:
        version: of the service.
        pool: looks at the pool of connections to the database.
        survey: counts what the database holds; may raise StoreUnavailable.

    """

    _version: str
    _pool: Callable[[], PoolState]
    _survey: Callable[[], Awaitable[Survey]]
    _clock: Callable[[], float] = time.monotonic
    _requests: defaultdict[tuple[str, str, int], Tally] = field(init=False, factory=_tallies)
    _calls: defaultdict[tuple[str, str], Tally] = field(init=False, factory=_tallies)
    _surveyed: Survey | None = field(init=False, default=None)
    _surveyed_at: float = field(init=False, default=float("-inf"))
    _surveying: asyncio.Lock = field(init=False, factory=asyncio.Lock)
    _registry: CollectorRegistry = field(init=False, factory=CollectorRegistry)

    def __attrs_post_init__(self) -> None:
        """Join the collectors that come with the client."""
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by the template of its route."""
        self._requests[method, route, status].add(seconds)

    def nango_call(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call to Nango; `outcome` is "ok" or the code of a domain error."""
        self._calls[operation, outcome].add(seconds)

    async def scrape(self) -> bytes:
        """Write everything down; without what the database would say where it does not answer."""
        async with self._surveying:
            asked_at = self._clock()
            if asked_at - self._surveyed_at >= SURVEYED_FOR:
                try:
                    self._surveyed = await self._survey()
                except StoreUnavailable:
                    self._surveyed = None
                self._surveyed_at = asked_at
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give the numbers to the client."""
        yield InfoMetricFamily(
            "connections_build",
            "What runs here.",
            value={"version": self._version, "python": platform.python_version()},
        )
        yield from self._http()
        yield _histogram(
            "connections_nango_call_duration_seconds",
            "Calls to Nango, by operation and outcome.",
            ("operation", "outcome"),
            self._calls,
        )
        yield from self._database_pool()
        yield from self._database_content()

    def _http(self) -> Iterator[Metric]:
        total = CounterMetricFamily(
            "connections_http_requests", "Requests answered.", labels=("method", "route", "status")
        )
        for (method, route, status), tally in self._requests.items():
            total.add_metric((method, route, str(status)), tally.count)
        yield total
        yield _histogram(
            "connections_http_request_duration_seconds",
            "From a request's head to its answer.",
            ("method", "route"),
            merged(((method, route), tally) for (method, route, _), tally in self._requests.items()),
        )

    def _database_pool(self) -> Iterator[Metric]:
        pool = self._pool()
        for name, meaning, value in (
            ("size", "Open connections to the database.", pool.size),
            ("idle", "Open connections that nobody uses.", pool.idle),
            ("max_size", "The most connections that may be open.", pool.max_size),
            ("waiting", "How many wait for a connection.", pool.waiting),
        ):
            yield GaugeMetricFamily(f"connections_database_pool_{name}", meaning, value=value)

    def _database_content(self) -> Iterator[Metric]:
        survey = self._surveyed
        yield GaugeMetricFamily(
            "connections_database_up", "Whether the database answered.", value=int(survey is not None)
        )
        if survey is None:
            return
        kept = GaugeMetricFamily(
            "connections_connections", "Connections of all companies.", labels=("provider", "status")
        )
        for labels, number in survey.connections.items():
            kept.add_metric(labels, number)
        yield kept
        due = GaugeMetricFamily("connections_worker_due", "What a worker could begin now.", labels=("kind",))
        lag = GaugeMetricFamily(
            "connections_worker_lag_seconds",
            "How long the oldest of it has waited; kind round: a worker's next round.",
            labels=("kind",),
        )
        for kind, overdue in (("attempt", survey.attempts), ("job", survey.jobs)):
            due.add_metric((kind,), overdue.count)
            lag.add_metric((kind,), overdue.oldest.total_seconds())
        lag.add_metric(("round",), survey.round_overdue.total_seconds())
        yield due
        yield lag
        yield GaugeMetricFamily(
            "connections_events_held_seconds",
            "For how long one transaction has been seen to keep later events out of the companies' feeds.",
            value=survey.feed_held.total_seconds(),
        )


def _histogram(name: str, meaning: str, labels: tuple[str, ...], tallies: Mapping[Any, Tally]) -> Metric:
    family = HistogramMetricFamily(name, meaning, labels=labels)
    for values, tally in tallies.items():
        family.add_metric(values, tally.cumulative(), sum_value=tally.seconds)
    return family
