"""The worker's kinds of rounds, each of which goes on whatever becomes of the others."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

import attrs
import pytest
from structlog.testing import capture_logs

from adapters.memory.store import MemoryStore
from domain.errors import GatewayUnavailable, StoreRefused, StoreUnavailable
from entrypoints import service
from entrypoints.container import compose
from entrypoints.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from entrypoints.container import Container

    Round = Callable[[], Awaitable[int]]

SETTINGS = Settings(
    public_url="https://connections.example.com", redirect_origins=frozenset({"https://app.example.com"})
)
NOBODY_THERE = Settings(
    database_url="postgresql://postgres@127.0.0.1:1/postgres",
    nango_url="http://127.0.0.1:1",
    nango_secret_key="8b9a4a52-1c7e-4d0f-9a55-6f1f7f0f2a11",
)
KINDS = ["do_due_work", "schedule_checks", "sweep_grants", "housekeeping"]


class Work:
    """A worker that counts its rounds, and does in one kind of them what a test wants."""

    def __init__(self, kind: str, special: Round) -> None:
        self.rounds: Counter[str] = Counter()
        self._rounds = {each: self._counting(each, special if each == kind else None) for each in KINDS}
        container = compose(SETTINGS, pool=None, session=None)
        container.do_due_work.override(self._rounds["do_due_work"])
        container.schedule_checks.override(self._rounds["schedule_checks"])
        container.sweep_grants.override(self._rounds["sweep_grants"])
        container.store.override(_Swept(self._rounds["housekeeping"]))
        self.task = asyncio.ensure_future(service.work(container))

    def _counting(self, kind: str, special: Round | None) -> Round:
        async def do_round() -> int:
            self.rounds[kind] += 1
            return await special() if special else 0

        return do_round

    async def until(self, **rounds: int) -> None:
        async with asyncio.timeout(30):
            while any(self.rounds[kind] < count for kind, count in rounds.items()):  # noqa: ASYNC110 - a count
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


class _Swept(MemoryStore):
    def __init__(self, do_round: Round) -> None:
        super().__init__()
        self._do_round = do_round

    async def forget_old(self) -> None:
        await self._do_round()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PAUSE", 0.01)
    monkeypatch.setattr(service, "_TELL_AGAIN", 0.0)


def others(kind: str) -> dict[str, int]:
    # Housekeeping comes once in ten minutes.
    return {each: 1 if each == "housekeeping" else 3 for each in KINDS if each != kind}


@pytest.mark.parametrize("kind", KINDS)
async def test_none_waits_for_another(kind: str) -> None:
    work = Work(kind, asyncio.Event().wait)
    await work.until(**others(kind), **{kind: 1})
    await work.end()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("problem", "level"),
    [
        (StoreUnavailable(), "warning"),
        (StoreRefused(), "error"),
        (GatewayUnavailable(), "warning"),
        (RuntimeError("a bug"), "error"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_one_that_fails_is_told_and_stops_neither_itself_nor_another(
    kind: str, problem: Exception, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> int:
        raise problem

    with capture_logs() as logs:
        work = Work(kind, fails)
        await work.until(**others(kind), **{kind: 3})
        await work.end()
    assert {(log["event"], log["log_level"]) for log in logs} == {("worker round failed", level)}
    assert len({log["work"] for log in logs}) == 1


async def test_why_the_database_refuses_us_is_told_without_a_traceback() -> None:
    async def fails() -> int:
        raise StoreRefused(why="3D000: no such database")

    with capture_logs() as logs:
        work = Work("do_due_work", fails)
        await work.until(do_due_work=2)
        await work.end()
    assert {(log["code"], log["problem"], "exc_info" in log) for log in logs} == {
        ("store_refused", "3D000: no such database", False)
    }


async def test_a_trouble_that_lasts_is_told_when_it_begins_when_it_changes_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "_TELL_AGAIN", 60.0)
    rounds = count()

    async def recovers() -> int:
        number = next(rounds)
        if number < 10:
            raise StoreUnavailable(why="nobody listens" if number < 5 else "too many clients")
        return 0

    with capture_logs() as logs:
        work = Work("do_due_work", recovers)
        await work.until(do_due_work=13)
        await work.end()
    assert [(log["event"], log.get("problem")) for log in logs] == [
        ("worker round failed", "nobody listens"),
        ("worker round failed", "too many clients"),
        ("worker round works again", None),
    ]


async def test_a_round_that_had_work_is_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PAUSE", 60)

    async def busy() -> int:
        return 1

    work = Work("do_due_work", busy)
    await work.until(do_due_work=10)
    await work.end()


async def test_the_end_of_the_worker_is_the_end_of_all_it_does() -> None:
    ended = asyncio.Event()

    async def walk() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    work = Work("sweep_grants", walk)
    await work.until(sweep_grants=1)
    await work.end()
    assert ended.is_set()


async def test_a_bootstrap_key_that_cannot_be_made_is_told_once() -> None:
    stop = asyncio.Event()
    settings = attrs.evolve(NOBODY_THERE, bootstrap_api_key="k" * 40, notice=timedelta(0))
    with capture_logs() as logs, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        serving = asyncio.create_task(service.serve(settings, listener, stop, with_worker=True))
        async with asyncio.timeout(30):
            while sum(log["event"] == "worker round failed" for log in logs) < 9:  # noqa: ASYNC110 - a count
                await asyncio.sleep(0.005)
        stop.set()
        await serving
    (told,) = (log for log in logs if log["event"] == "bootstrap key not made yet")
    assert (told["log_level"], told["code"]) == ("warning", "store_unavailable")


async def _alone(settings: Settings) -> None:
    await service.work_until(settings, asyncio.Event())


async def _beside_the_api(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        await service.serve(settings, listener, asyncio.Event(), with_worker=True)


@pytest.mark.parametrize("run", [_alone, _beside_the_api])
async def test_a_worker_that_dies_ends_its_process(
    run: Callable[[Settings], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(_: Container) -> None:
        raise MemoryError

    monkeypatch.setattr(service, "work", dies)
    with pytest.raises(ExceptionGroup) as ended:
        await asyncio.wait_for(run(NOBODY_THERE), 30)
    assert ended.group_contains(MemoryError)


async def test_a_worker_says_that_it_works_and_that_it_stops() -> None:
    stop = asyncio.Event()
    stop.set()
    with capture_logs() as told:
        await service.work_until(NOBODY_THERE, stop)
    assert [line["event"] for line in told if line["log_level"] == "info"] == ["working", "stopping"]
