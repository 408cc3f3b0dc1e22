"""Floods: who asks for too much is told when to come back, and nobody else notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adapters.http.app import HttpOptions, create_app
from adapters.http.limits import RateLimit
from domain.errors import TooManyRequests
from tests.http.conftest import NANGO
from tests.http.fakes import STRANGER_KEY, WRITE_KEY, FakeUseCases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.http.conftest import Client

AUTH_URL = "/api/v1/connections/stripe/auth-url"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_minute_s_worth_may_come_at_once(clock: Clock) -> None:
    limit = RateLimit(60, clock)
    for _ in range(60):
        limit.spend("a")
    with pytest.raises(TooManyRequests) as refused:
        limit.spend("a")
    assert refused.value.retry_after == 1


def test_the_bucket_refills_evenly(clock: Clock) -> None:
    limit = RateLimit(60, clock)
    for _ in range(60):
        limit.spend("a")
    clock.now = 2.0
    limit.spend("a")
    limit.spend("a")
    with pytest.raises(TooManyRequests):
        limit.spend("a")


def test_being_refused_costs_nothing(clock: Clock) -> None:
    limit = RateLimit(1, clock)
    limit.spend("a")
    for _ in range(10):
        with pytest.raises(TooManyRequests):
            limit.spend("a")
    clock.now = 60.0
    limit.spend("a")


def test_callers_do_not_share_a_bucket(clock: Clock) -> None:
    limit = RateLimit(1, clock)
    limit.spend("a")
    limit.spend("b")


def test_a_long_silence_saves_nothing_up(clock: Clock) -> None:
    limit = RateLimit(2, clock)
    limit.spend("a")
    clock.now = 3600.0
    limit.spend("a")
    limit.spend("a")
    with pytest.raises(TooManyRequests):
        limit.spend("a")


def test_many_callers_do_not_fill_the_memory(clock: Clock) -> None:
    limit = RateLimit(60, clock)
    for n in range(20_050):
        limit.spend(f"caller {n}")
    assert len(limit._buckets) <= 20_000


def test_no_limit_is_no_limit(clock: Clock) -> None:
    limit = RateLimit(0, clock)
    for _ in range(10_000):
        limit.spend("a")


@pytest.fixture
def start(aiohttp_client: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Client]]:
    async def start(**options: Any) -> Client:
        app = create_app(
            FakeUseCases().all(),
            HttpOptions(nango_public_url=NANGO, **options),
        )
        client: Client = await aiohttp_client(app)
        return client

    return start


async def _statuses(client: Client, path: str, times: int, **headers: str) -> list[int]:
    found = []
    for _ in range(times):
        async with client.get(path, headers=headers, allow_redirects=False) as answer:
            found.append(answer.status)
    return found


async def test_a_key_that_starts_too_much_is_told_when_to_come_back(
    start: Callable[..., Awaitable[Client]], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.http.routes.RateLimit", lambda per_minute: RateLimit(per_minute, clock))
    client = await start(starts_per_minute=2)
    assert await _statuses(client, AUTH_URL, 2, **{"x-api-key": WRITE_KEY}) == [200, 200]
    async with client.get(AUTH_URL, headers={"x-api-key": WRITE_KEY}) as answer:
        assert (answer.status, answer.headers["Retry-After"], await answer.json()) == (
            429,
            "30",
            {
                "success": False,
                "error": {"code": "TOO_MANY_REQUESTS", "message": "Too many requests. Try again in 30 s."},
            },
        )


async def test_a_key_past_its_limit_does_not_slow_another_down(
    start: Callable[..., Awaitable[Client]],
) -> None:
    client = await start(starts_per_minute=1)
    await _statuses(client, AUTH_URL, 2, **{"x-api-key": WRITE_KEY})
    assert await _statuses(client, AUTH_URL, 1, **{"x-api-key": STRANGER_KEY}) == [200]


async def test_a_key_past_its_limit_still_reads(start: Callable[..., Awaitable[Client]]) -> None:
    client = await start(starts_per_minute=1)
    await _statuses(client, AUTH_URL, 2, **{"x-api-key": WRITE_KEY})
    assert await _statuses(client, "/api/v1/connections", 1, **{"x-api-key": WRITE_KEY}) == [200]


async def test_an_address_that_floods_the_callbacks_is_slowed_down(
    start: Callable[..., Awaitable[Client]],
) -> None:
    client = await start(callbacks_per_minute=2)
    assert await _statuses(client, "/oauth/callback?state=x", 3) == [307, 307, 429]


async def test_what_a_stranger_writes_into_the_header_makes_no_new_address(
    start: Callable[..., Awaitable[Client]],
) -> None:
    client = await start(callbacks_per_minute=1, proxies=1)
    found = [
        await _statuses(client, "/oauth/callback?state=x", 1, **{"X-Forwarded-For": f"10.0.0.{n}, 192.0.2.1"})
        for n in range(2)
    ]
    assert found == [[307], [429]]


async def test_behind_a_proxy_each_browser_has_its_own_bucket(
    start: Callable[..., Awaitable[Client]],
) -> None:
    client = await start(callbacks_per_minute=1, proxies=1)
    found = [
        await _statuses(client, "/oauth/callback?state=x", 1, **{"X-Forwarded-For": f"192.0.2.{n}"})
        for n in range(2)
    ]
    assert found == [[307], [307]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1:5000", "192.0.2.1:5001"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:db8::ffff"),
        ("[2001:db8::1]:5000", "2001:db8::2"),
        ("unknown", "canary"),
        ("", "192.0.2.1.2"),
    ],
)
async def test_what_one_caller_can_have_at_will_is_one_address(
    start: Callable[..., Awaitable[Client]], one: str, other: str
) -> None:
    client = await start(callbacks_per_minute=1, proxies=1)
    found = [
        await _statuses(client, "/oauth/callback?state=x", 1, **{"X-Forwarded-For": hop})
        for hop in (one, other)
    ]
    assert found == [[307], [429]]


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8:0:1::1", "2001:db8:0:2::1"), ("::ffff:192.0.2.1", "::ffff:192.0.2.2")],
)
async def test_two_callers_are_two_addresses(
    start: Callable[..., Awaitable[Client]], one: str, other: str
) -> None:
    client = await start(callbacks_per_minute=1, proxies=1)
    found = [
        await _statuses(client, "/oauth/callback?state=x", 1, **{"X-Forwarded-For": hop})
        for hop in (one, other)
    ]
    assert found == [[307], [307]]
