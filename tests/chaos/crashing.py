"""Crashes at every point between intent, Nango and outcome, of every endpoint."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import aiohttp
from attrs import define

from tests.chaos.crashes import ENDPOINTS, Case, Endpoint
from tests.e2e.harness import ROOT, environment, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.chaos.cluster import Cluster
    from tests.chaos.scene import Scene
    from tests.e2e.journeys import Answer

AT_ONCE = 6
MOST_STEPS = 40
PATIENCE = 30.0
IMPATIENCE = 2.0
"""Seconds that callers wait who come again at once: whoever does not get an answer by then comes later."""

TRANSIENT = frozenset({202, 409, 503})
"""What a repetition may be answered while the crash is not settled yet."""


@define(eq=False)
class Nursery:
    """Forks servers that die on purpose."""

    popen: subprocess.Popen[bytes]
    cluster: Cluster
    _made: int = 0

    async def server(self, at: int | None) -> str:
        """Start one that dies after so many steps; give its address once it listens."""
        port = free_port()
        self._made += 1
        wanted = {"port": port, "at": at, "steps": str(self.cluster.directory / f"steps-{self._made}")}
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(wanted).encode() + b"\n")
        self.popen.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert time.monotonic() < deadline, "the server to be killed did not start"
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return f"http://127.0.0.1:{port}"


@contextmanager
def nursery(cluster: Cluster) -> Iterator[Nursery]:
    """Open a nursery; all its children end with it."""
    log = cluster.logs / "serve-crashing.log"
    with log.open("ab") as said:
        popen = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.crashing_service"],
            cwd=ROOT,
            env=environment(cluster.world.settings()),
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Nursery(popen, cluster)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        assert popen.stdin is not None
        popen.stdin.close()


@define(eq=False)
class Crash:
    """One call of one endpoint that was cut off after so many steps."""

    name: str
    endpoint: Endpoint
    at: int
    case: Case
    again: Answer | None = None

    async def repeat(self, base: str, *, patiently: bool) -> None:
        """Call again, elsewhere: at once, for as long as it says "later"; or just once."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                async with asyncio.timeout(PATIENCE if patiently else IMPATIENCE):
                    self.again = await self.endpoint.act(self.case, base)
            except TimeoutError:
                assert not patiently, f"{self.name}, cut off after {self.at} steps: no answer"
                return
            if self.again.status not in TRANSIENT or not patiently or time.monotonic() > deadline:
                return
            await asyncio.sleep(0.2)

    def judge(self) -> str | None:
        """Say what is wrong with the answer to the repetition."""
        if self.again is None or self.again.status in self.endpoint.again:
            return None
        return f"{self.name}, cut off after {self.at} steps: {self.again.status} {self.again.body[:300]!r}"


async def crash_points(scene: Scene, *, only: Mapping[str, Endpoint] = ENDPOINTS, every: int = 1) -> str:
    """Crash at every named point between intent, Nango and outcome, every endpoint."""
    crashes: list[Crash] = []
    lanes = asyncio.Semaphore(AT_ONCE)
    with nursery(scene.cluster) as nest:

        async def exhaust(name: str, endpoint: Endpoint) -> None:
            for at in range(scene.rng.randrange(every), MOST_STEPS, every):
                async with lanes:
                    case = Case(await scene.company(), scene.browser, scene.nango)
                    await endpoint.prepare(case)
                    try:
                        await endpoint.act(case, await nest.server(at))
                    except aiohttp.ClientError:
                        crashes.append(Crash(name, endpoint, at, case))
                    else:
                        return
            raise AssertionError(f"{name} does not come to an end")

        await asyncio.gather(*(exhaust(name, endpoint) for name, endpoint in only.items()))
    # Half of the callers come again at once, half once the worker has cleared up.
    at_once = [crash for number, crash in enumerate(crashes) if (number + scene.seed) % 2]
    later = [crash for number, crash in enumerate(crashes) if not (number + scene.seed) % 2]
    # Those who come twice find another server the second time: the first still waits for the one that died.
    first, second = scene.cluster.urls
    await asyncio.gather(*(crash.repeat(first, patiently=False) for crash in at_once))
    await scene.cluster.settle()
    later += [crash for crash in at_once if crash.again is None or crash.again.status in TRANSIENT]
    await asyncio.gather(*(crash.repeat(second, patiently=True) for crash in later))
    wrong = [problem for crash in crashes if (problem := crash.judge())]
    wrong += [problem for crash in crashes if (problem := await _too_many(crash))]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(crashes)}:", *wrong[:20]])
    await scene.judge()
    return f"0 violations after {len(crashes)} crashes of {len(only)} calls"


async def _too_many(crash: Crash) -> str | None:
    """Say where a call made more connections than were asked for."""
    listed = (await crash.case.company.get("/connections")).data
    others = [each for each in listed if each["id"] != crash.case.id]
    if len(others) <= crash.endpoint.made:
        return None
    return f"{crash.name}, cut off after {crash.at} steps: {others}"
