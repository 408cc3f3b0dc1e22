"""Processes that die under load: servers, the worker, PostgreSQL, its backends."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.chaos.load import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.chaos.scene import Scene

USERS = 32
WAIT_FOR_DEATH = 5000
"""Milliseconds: a backend that was told to end and has not yet would hurt whatever comes next."""


async def _while_loading(
    scene: Scene, hurt: Callable[[asyncio.Event], Awaitable[None]], requests: int | None = None
) -> None:
    """Do something to the deployment while everybody works; both end when either has done its part."""
    users = await scene.users(USERS)
    done = asyncio.Event()

    async def load() -> None:
        try:
            await run(users, requests=requests, until=done)
        finally:
            done.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load())
        try:
            await hurt(done)
        finally:
            done.set()
    unexpected = [answer for user in users for answer in user.unexpected]
    assert not unexpected, "\n".join(unexpected[:20])


async def _passed(event: asyncio.Event, seconds: float) -> bool:
    """Wait; whether the event came meanwhile."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def sigkill(scene: Scene, *, requests: int, every: float = 2.0) -> str:
    """SIGKILL of the service every 2 s under load."""
    kills = 0

    async def kill(done: asyncio.Event) -> None:
        nonlocal kills
        while not await _passed(done, every * scene.rng.uniform(0.5, 1.5)):
            victim = scene.rng.choice([0, 1, 0, 1, None])
            if victim is None:
                assert scene.cluster.worker is not None
                scene.cluster.worker.kill()
                scene.cluster.start_worker()
            else:
                scene.cluster.kill(victim)
                scene.cluster.start(victim)
            kills += 1

    await _while_loading(scene, kill, requests)
    await scene.judge()
    answered = sum(scene.balancer.statuses.values())
    return f"0 in {answered:,} requests, {kills} kills, {scene.balancer.statuses[0]} calls cut"


async def postgres_killed(scene: Scene, *, times: int) -> str:
    """kill -9 of PostgreSQL under load."""
    slowest = 0.0

    async def kill(done: asyncio.Event) -> None:
        nonlocal slowest
        for _ in range(times):
            if await _passed(done, scene.rng.uniform(0.5, 2.0)):
                return
            await scene.cluster.kill_postgres()
            await asyncio.sleep(scene.rng.uniform(0.0, 1.0))
            await scene.cluster.start_postgres()
            began = time.monotonic()
            await scene.cluster.ready()
            slowest = max(slowest, time.monotonic() - began)

    await _while_loading(scene, kill)
    assert slowest < 1.0 * scene.slack, f"healthy only {slowest:.2f} s after PostgreSQL's return"
    assert not scene.balancer.statuses[0], f"calls were lost: {scene.balancer.lost}"
    assert scene.balancer.slowest < 12.0 * scene.slack
    await scene.judge()
    return (
        f"0 lost in {times} kills, only 503 ({scene.balancer.statuses[503]}), "
        f"healthy after {slowest * 1000:.0f} ms, slowest answer {scene.balancer.slowest:.1f} s"
    )


async def backends_terminated(scene: Scene, *, seconds: float) -> str:
    """Backends terminated every 100 ms.

    But not while a read that lost its own is tried again: that the retry may be struck as well is no news.
    """
    terminated = 0
    terminate = f"""
        SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, {WAIT_FOR_DEATH})) AS killed
        FROM pg_stat_activity WHERE application_name = 'connections' AND random() < 0.5
    """  # noqa: S608 - a constant

    reader = await scene.company()
    retrying = asyncio.Lock()
    retries: Counter[int] = Counter()

    async def retry() -> int:
        async with retrying:
            for attempt in itertools.count(1):
                answer = await reader.get("/connections")
                if answer.status == 200:
                    return attempt
                assert answer.status == 503, answer.body
                assert attempt < scene.slack, f"a read was refused {1 + attempt} times"
        raise AssertionError

    async def read(done: asyncio.Event) -> None:
        while not done.is_set():
            answer = await reader.get("/connections")
            assert answer.status in (200, 503), answer.body
            retries[0 if answer.status == 200 else await retry()] += 1
            await asyncio.sleep(0.02)

    async def kill(done: asyncio.Event) -> None:
        nonlocal terminated
        end = time.monotonic() + seconds
        reading = asyncio.ensure_future(read(done))
        while time.monotonic() < end and not await _passed(done, 0.1):
            async with retrying:
                [row] = await scene.cluster.sql(terminate)
            terminated += row["killed"]
        done.set()
        await reading

    await _while_loading(scene, kill)
    assert terminated
    await scene.judge()
    statuses = scene.balancer.statuses
    later = retries.total() - retries[0] - retries[1]
    return (
        f"no 500 in {sum(statuses.values()):,} requests, {terminated} killed; "
        f"{retries[0]} reads at once, {retries[1]} after one retry, {later} later"
    )


async def sigterm(scene: Scene, *, times: int) -> str:
    """SIGTERM under load, behind a balancer with 2 replicas."""

    async def end(done: asyncio.Event) -> None:
        for turn in range(times):
            if await _passed(done, scene.rng.uniform(0.5, 1.0)):
                return
            number = turn % 2
            await asyncio.to_thread(scene.cluster.replicas[number].stop)
            scene.cluster.start(number)
            await scene.cluster.ready(number)

    await _while_loading(scene, end)
    statuses = scene.balancer.statuses
    assert not statuses[0], f"{statuses[0]} of {sum(statuses.values())} calls failed: {scene.balancer.lost}"
    # On a shared machine, some wait too long for their turn.
    assert not statuses[503] or scene.slack > 1, (
        f"{statuses[503]} of {sum(statuses.values())} calls were refused"
    )
    await scene.judge()
    return f"0 failed in {sum(statuses.values()):,} requests, {times} restarts"
