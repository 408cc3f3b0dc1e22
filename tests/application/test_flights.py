"""One piece of work for all who ask for it at the same time."""

from __future__ import annotations

import asyncio

import pytest

from adapters.memory.store import MemoryStore
from application.flights import LEASE, Flights
from application.ports import FlightKind
from application.single_flight import SingleFlight
from domain.errors import (
    ConnectionNotFound,
    DomainError,
    GatewayNonsense,
    IntegrationMissing,
    ProviderUnavailable,
    RefreshRefused,
    StoreUnavailable,
    Unavailable,
)
from tests.application.world import COMPANY, World

REFRESH, VERIFY = FlightKind.REFRESH, FlightKind.VERIFY


class Work:
    """Waits to be told to go on, then gives or raises what it was told; counts how often it was begun."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()
        self._problem = problem

    async def __call__(self) -> None:
        self.begun += 1
        await self.go_on.wait()
        if self._problem:
            raise self._problem

    async def give(self) -> int:
        await self()
        return self.begun


# ── within a process ──────────────────────────────────────────────────────────────────────────────────


async def test_callers_at_the_same_time_share_the_work_and_its_result() -> None:
    flights, work = SingleFlight(), Work()
    calls = [asyncio.ensure_future(flights.join("key", work.give)) for _ in range(3)]
    await asyncio.sleep(1)
    work.go_on.set()
    assert await asyncio.gather(*calls) == [1, 1, 1]


async def test_a_caller_who_comes_later_begins_anew() -> None:
    flights, work = SingleFlight(), Work()
    work.go_on.set()
    assert [await flights.join("key", work.give) for _ in range(2)] == [1, 2]


async def test_other_keys_are_other_work() -> None:
    flights, work = SingleFlight(), Work()
    work.go_on.set()
    await asyncio.gather(*(flights.join(key, work.give) for key in "ab"))
    assert work.begun == 2


async def test_a_caller_who_goes_away_does_not_take_the_others_along() -> None:
    flights, work = SingleFlight(), Work()
    first, second = (asyncio.ensure_future(flights.join("key", work.give)) for _ in range(2))
    await asyncio.sleep(1)
    first.cancel()
    work.go_on.set()
    assert await second == 1


async def test_a_failure_reaches_all() -> None:
    flights, work = SingleFlight(), Work(GatewayNonsense())
    calls = [asyncio.ensure_future(flights.join("key", work)) for _ in range(3)]
    await asyncio.sleep(1)
    work.go_on.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [GatewayNonsense] * 3


async def test_a_failure_that_nobody_waits_for_disturbs_nobody() -> None:
    flights, work = SingleFlight(), Work(GatewayNonsense())
    only = asyncio.ensure_future(flights.join("key", work))
    await asyncio.sleep(1)
    only.cancel()
    work.go_on.set()
    await asyncio.sleep(1)
    assert work.begun == 1


# ── across processes ──────────────────────────────────────────────────────────────────────────────────


class Processes:
    """Two processes over one store, and a connection."""

    def __init__(self, world: World, connection_id: str) -> None:
        self.flights = [Flights(world.store), Flights(world.store)]
        self.connection_id = connection_id

    def fly(self, process: int, work: Work, kind: FlightKind = REFRESH) -> asyncio.Task[None]:
        return asyncio.ensure_future(self.flights[process].fly(kind, COMPANY, self.connection_id, work))


@pytest.fixture
async def processes(world: World) -> Processes:
    return Processes(world, (await world.auth_url()).connection_id)


async def test_a_second_process_waits_for_the_first(processes: Processes) -> None:
    work = Work()
    first, second = processes.fly(0, work), processes.fly(1, work)
    await asyncio.sleep(5)
    assert not second.done()
    work.go_on.set()
    await asyncio.gather(first, second)
    assert work.begun == 1


@pytest.mark.parametrize(
    "problem",
    [
        RefreshRefused("Token expired"),
        ProviderUnavailable("Stripe is unavailable now.", retry_after=17),
        GatewayNonsense("What?"),
        IntegrationMissing("stripe-app"),
        ConnectionNotFound(),
    ],
    ids=lambda problem: problem.code,
)
async def test_a_second_process_is_told_what_went_wrong(processes: Processes, problem: DomainError) -> None:
    work = Work(problem)
    first, second = processes.fly(0, work), processes.fly(1, work)
    await asyncio.sleep(1)
    work.go_on.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [str(result) for result in results] == [str(problem)] * 2
    assert work.begun == 1


async def test_a_second_process_is_told_how_long_to_wait(processes: Processes) -> None:
    work = Work(ProviderUnavailable("later", retry_after=17))
    processes.fly(0, work)
    await asyncio.sleep(0)
    second = processes.fly(1, work)
    await asyncio.sleep(1)
    work.go_on.set()
    with pytest.raises(Unavailable) as raised:
        await second
    assert raised.value.retry_after == 17


async def test_a_connection_that_was_deleted_is_not_found_in_either_process(processes: Processes) -> None:
    work = Work(ConnectionNotFound())
    calls = [processes.fly(process, work) for process in (0, 1)]
    await asyncio.sleep(1)
    work.go_on.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionNotFound] * 2


async def test_an_unforeseen_end_is_told_as_an_interruption(processes: Processes) -> None:
    work = Work(RuntimeError("a bug"))
    first = processes.fly(0, work)
    await asyncio.sleep(0.01)
    second = processes.fly(1, work)
    await asyncio.sleep(1)
    work.go_on.set()
    with pytest.raises(RuntimeError):
        await first
    ended = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match="interrupted"):
        await second
    assert asyncio.get_running_loop().time() < ended + 1


async def test_refreshing_and_verifying_are_two_flights(processes: Processes) -> None:
    work = Work()
    calls = [processes.fly(0, work, REFRESH), processes.fly(1, work, VERIFY)]
    await asyncio.sleep(1)
    work.go_on.set()
    await asyncio.gather(*calls)
    assert work.begun == 2


async def test_after_a_landing_the_next_caller_begins_anew(processes: Processes) -> None:
    work = Work()
    work.go_on.set()
    await processes.fly(0, work)
    await processes.fly(1, work)
    assert work.begun == 2


async def test_where_a_process_died_those_who_wait_are_told_to_try_again(processes: Processes) -> None:
    dead, alive = Work(), Work()
    processes.fly(0, dead)
    await asyncio.sleep(1)
    with pytest.raises(Unavailable):
        await processes.fly(1, alive)


async def test_where_a_process_died_the_next_caller_takes_over_when_its_lease_is_over(
    processes: Processes,
) -> None:
    dead, alive = Work(), Work()
    processes.fly(0, dead)
    await asyncio.sleep(LEASE.total_seconds())
    alive.go_on.set()
    await processes.fly(1, alive)
    assert alive.begun == 1


# ── with a database that goes away ────────────────────────────────────────────────────────────────────


class Away(MemoryStore):
    """Is away for whoever wants to land, for so many seconds."""

    until = 0.0

    async def land(self, flight_id: str, outcome: str) -> None:
        if asyncio.get_running_loop().time() < self.until:
            raise StoreUnavailable
        await super().land(flight_id, outcome)


@pytest.fixture
async def away() -> World:
    store = Away(World().now)
    store.until = 3.0
    return World(store=store)


async def test_an_outcome_is_told_when_the_database_is_back(away: World) -> None:
    work = Work(GatewayNonsense())
    work.go_on.set()
    processes = Processes(away, (await away.auth_url()).connection_id)
    with pytest.raises(GatewayNonsense):
        await processes.fly(0, work)
    with pytest.raises(GatewayNonsense):
        await asyncio.wait_for(processes.fly(1, work), 5)


async def test_work_that_is_done_has_not_failed_because_it_could_not_be_told(away: World) -> None:
    work = Work()
    work.go_on.set()
    processes = Processes(away, (await away.auth_url()).connection_id)
    await processes.fly(0, work)
    await asyncio.sleep(5)
    await processes.fly(1, work)
    assert work.begun == 2


async def test_who_waits_for_a_process_that_died_is_told_before_a_balancer_gives_up(
    processes: Processes,
) -> None:
    processes.fly(0, Work())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(processes.fly(1, Work()), 29)
