"""One piece of work for all who ask for it at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import pytest

from adapters.http.errors import TABLE, refusal
from adapters.memory.store import MemoryStore
from adapters.system.ids import SystemIds
from application import flight_outcome
from application.flights import LEASE, LONGEST, Flights
from application.ports import Flight, FlightKind
from application.single_flight import SingleFlight
from domain import errors
from domain.connection import ACTIVE
from domain.errors import (
    ConnectionNotFound,
    DomainError,
    GatewayNonsense,
    StoreUnavailable,
    Unavailable,
)
from tests.application.world import COMPANY, World

if TYPE_CHECKING:
    from datetime import timedelta

PROMISED = 16
"""Seconds within which a refresh is answered (reliability, "Nango blackholed")."""

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


class Line(MemoryStore):
    """One process's line to the store that all share. Once cut, as by a death, it lands nothing any more."""

    cut = False

    def __init__(self, shared: MemoryStore) -> None:
        super().__init__(shared._clock)
        self._state, self._flights = shared._state, shared._flights

    async def keep_up(self, flight_id: str, *, lease: timedelta) -> None:
        if self.cut:
            raise StoreUnavailable
        await super().keep_up(flight_id, lease=lease)

    async def land(self, flight_id: str, outcome: str) -> None:
        if self.cut:
            raise StoreUnavailable
        await super().land(flight_id, outcome)


class Processes:
    """Two processes over one store, and a connection."""

    def __init__(self, world: World, connection_id: str) -> None:
        self.lines = [Line(world.store), Line(world.store)]
        self.flights = [Flights(line, SystemIds()) for line in self.lines]
        self.connection_id = connection_id

    def fly(self, process: int, work: Work, kind: FlightKind = REFRESH) -> asyncio.Task[None]:
        flying = self.flights[process].fly(kind, COMPANY, self.connection_id, work)
        call = asyncio.ensure_future(flying)
        # Who does not wait for the answer need not hear of it when the call is collected.
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
        return call

    async def die(self, process: int) -> None:
        """Begin to refresh, and die of it."""
        self.fly(process, Work())
        await asyncio.sleep(0)
        self.lines[process].cut = True


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


ERRORS = [
    errors.InvalidInput(("provider", "must be one of stripe"), ("name", "is too long")),
    errors.InvalidParameters(("accountId", "is required: Account id")),
    errors.ConnectionNotFound(),
    errors.AuthorizationNotFound(),
    errors.ActiveConnectionExists("stripe"),
    errors.IllegalTransition("disconnected", "refreshed"),
    errors.ConcurrentChange(),
    errors.RefreshNotPossible("Connection uses an API key"),
    errors.RefreshRefused("Token expired"),
    errors.AuthorizationFailed("access_denied"),
    errors.AuthorizationSuperseded(),
    errors.CredentialsRefused("Invalid API key provided"),
    errors.TooManyAttempts(60),
    errors.TooManyRequests(7),
    errors.IdempotencyKeyReused(),
    errors.Unauthenticated(),
    errors.WebhookRefused(),
    errors.Forbidden(),
    errors.Unavailable("later"),
    errors.StoreUnavailable(),
    errors.StoreRefused(why="3D000"),
    errors.GatewayUnavailable(retry_after=60),
    errors.GatewayTimeout(),
    errors.GatewayRefused(),
    errors.ProviderUnavailable("Stripe is unavailable now.", retry_after=17),
    errors.GatewayNonsense("What?"),
    errors.IntegrationMissing("stripe-app"),
    errors.ProviderCallRefused(),
    errors.ProviderCallImpossible("acme", "it is not described here any more"),
    errors.GrantNotFound(),
    errors.CredentialsUnusable("The refresh limit has been reached", exhausted=True),
]


def test_no_error_is_left_out_here() -> None:
    assert {type(error) for error in ERRORS} == set(TABLE)


@pytest.mark.parametrize("problem", ERRORS, ids=lambda problem: problem.code)
async def test_a_second_process_is_told_what_went_wrong(processes: Processes, problem: DomainError) -> None:
    work = Work(problem)
    first, second = processes.fly(0, work), processes.fly(1, work)
    await asyncio.sleep(1)
    work.go_on.set()
    leader, follower = await asyncio.gather(first, second, return_exceptions=True)
    assert leader is problem
    assert follower is not problem
    assert isinstance(follower, type(problem))
    assert _answer(follower) == _answer(problem)
    assert work.begun == 1


def _answer(problem: Exception) -> object:
    return attrs.asdict(refusal(problem))


@pytest.mark.parametrize("problem", ERRORS, ids=lambda problem: problem.code)
def test_what_is_read_of_an_error_is_what_was_written(problem: DomainError) -> None:
    heard = flight_outcome.read(flight_outcome.write(problem))
    assert heard is not None
    assert (type(heard), str(heard), vars(heard)) == (type(problem), str(problem), vars(problem))


def test_unknown_and_known_names_are_told_in_the_types_they_had() -> None:
    problem = errors.InvalidParameters(("accountId", "is required"), unknown=["acount"], known=["accountId"])
    heard = flight_outcome.read(flight_outcome.write(problem))
    assert isinstance(heard, errors.InvalidParameters)
    assert vars(heard) == vars(problem)
    assert heard.bare() == problem.bare()


def test_what_decides_beside_the_answer_is_told_too() -> None:
    told = flight_outcome.write(errors.CredentialsUnusable("no more", exhausted=True))
    heard = flight_outcome.read(told)
    assert isinstance(heard, errors.CredentialsUnusable)
    assert heard.exhausted


@pytest.mark.parametrize(
    "told", ['{"code": "of_tomorrow", "message": "?", "facts": {}}', '{"refused": "no"}']
)
def test_what_another_release_says_is_an_interruption_and_no_success(told: str) -> None:
    assert isinstance(flight_outcome.read(told), Unavailable)


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


async def test_a_flight_is_not_taken_from_whoever_still_flies(processes: Processes) -> None:
    work = Work()
    first = processes.fly(0, work)
    await asyncio.sleep(LEASE.total_seconds() * 2)
    second = processes.fly(1, work)
    await asyncio.sleep(LEASE.total_seconds())
    work.go_on.set()
    await asyncio.gather(first, second)
    assert work.begun == 1


async def test_a_flight_of_which_two_signs_of_life_were_lost_is_not_taken(processes: Processes) -> None:
    work = Work()
    first, second = processes.fly(0, work), processes.fly(1, work)
    processes.lines[0].cut = True
    await asyncio.sleep(LEASE.total_seconds() * 0.75)
    processes.lines[0].cut = False
    await asyncio.sleep(LEASE.total_seconds())
    work.go_on.set()
    await asyncio.gather(first, second)
    assert work.begun == 1


async def test_who_waits_for_a_process_that_died_takes_over_when_its_lease_is_over(
    processes: Processes,
) -> None:
    await processes.die(0)
    alive = Work()
    alive.go_on.set()
    await asyncio.wait_for(processes.fly(1, alive), LEASE.total_seconds() + 0.1)
    assert alive.begun == 1


async def test_of_several_who_waited_for_a_process_that_died_one_takes_over(processes: Processes) -> None:
    await processes.die(0)
    third = Flights(processes.lines[1], SystemIds())
    alive = Work()
    calls = [processes.fly(1, alive), asyncio.ensure_future(_refresh(third, processes, alive))]
    await asyncio.sleep(LEASE.total_seconds() + 1)
    alive.go_on.set()
    await asyncio.gather(*calls)
    assert alive.begun == 1


async def _refresh(flights: Flights, processes: Processes, work: Work) -> None:
    await flights.fly(REFRESH, COMPANY, processes.connection_id, work)


@pytest.mark.parametrize("process", [0, 1], ids=["who leads", "who waits"])
async def test_a_caller_is_answered_within_what_is_promised(processes: Processes, process: int) -> None:
    slow = Work()
    calls = [processes.fly(number, slow) for number in (0, 1)]
    with pytest.raises(Unavailable) as raised:
        await asyncio.wait_for(calls[process], PROMISED)
    assert refusal(raised.value).headers["Retry-After"] == "5"


async def test_work_that_nobody_waits_for_any_more_is_still_done(processes: Processes) -> None:
    slow = Work()
    with pytest.raises(Unavailable):
        await processes.fly(0, slow)
    again = processes.fly(1, slow)
    await asyncio.sleep(1)
    slow.go_on.set()
    await again
    assert slow.begun == 1


async def test_work_that_never_ends_is_not_waited_for_for_ever(processes: Processes) -> None:
    processes.fly(0, Work())
    await asyncio.sleep((LONGEST + LEASE).total_seconds())
    alive = Work()
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


class Deaf(MemoryStore):
    """Loses the reply to so many boardings, each of which has taken effect."""

    lose = 1

    async def board(
        self, company_id: str, connection_id: str, kind: FlightKind, *, flight_id: str, lease: timedelta
    ) -> tuple[Flight, bool]:
        boarded = await super().board(company_id, connection_id, kind, flight_id=flight_id, lease=lease)
        self.lose -= 1
        if self.lose >= 0:
            raise StoreUnavailable
        return boarded


@pytest.fixture
async def deaf() -> World:
    return World(store=Deaf(World().now))


async def test_a_flight_whose_beginning_was_not_acknowledged_is_led(deaf: World) -> None:
    connection = await deaf.authorize()
    assert (await deaf.refresh(connection.id)).status is ACTIVE


async def test_a_flight_that_could_not_be_boarded_at_all_keeps_nobody_waiting_for_long(deaf: World) -> None:
    connection = await deaf.authorize()
    assert isinstance(deaf.store, Deaf)
    deaf.store.lose = 2
    with pytest.raises(StoreUnavailable):
        await deaf.refresh(connection.id)
    again = deaf.another_process().refresh(connection.id)
    assert (await asyncio.wait_for(again, PROMISED)).status is ACTIVE


class Silent(MemoryStore):
    """Never says whether anybody has boarded."""

    async def board(self, *_: object, **__: object) -> tuple[Flight, bool]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_database_that_is_silent_is_unavailable_within_what_is_promised() -> None:
    world = World(store=Silent(World().now))
    connection = await world.authorize()
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(world.refresh(connection.id), 4)
