"""Two servers of ours and a worker over a pair of PostgreSQL servers, and who notes every answer."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from attrs import define, field, frozen

from adapters.postgres.migrate import migrate
from tests.chaos.balancer import Balancer, open_session
from tests.chaos.cluster import REPLICAS, ChaosWorld, Cluster
from tests.chaos.proxy import Proxy, to_port
from tests.chaos.scene import Scene
from tests.e2e.harness import Process, free_port
from tests.e2e.journeys import Browser, Nango
from tests.e2e.world import start_nango

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.e2e.journeys import Answer
    from tests.failover.servers import Pair


@frozen
class Noted:
    """An answer, and when it was asked for and given, on the monotonic clock."""

    asked: float
    given: float
    method: str
    path: str
    status: int
    retry_after: str | None

    @property
    def acknowledges(self) -> bool:
        """Whether somebody was told that a write was done."""
        return self.method != "GET" and self.status in (200, 201)


@define(eq=False)
class Witness(Balancer):
    """A balancer that notes every answer in `noted`; 0 stands for none."""

    noted: list[Noted] = field(factory=list)

    async def send(self, method: str, path: str, **how: Any) -> Answer | None:
        """See the balancer."""
        asked = time.monotonic()
        answer = await super().send(method, path, **how)
        status = answer.status if answer else 0
        after = answer.headers.get("Retry-After") if answer else None
        self.noted.append(Noted(asked, time.monotonic(), method, path, status, after))
        return answer

    def acknowledged(self, since: float) -> Sequence[Noted]:
        """Give the acknowledgements of writes that began after a moment, oldest first."""
        return sorted(
            (each for each in self.noted if each.acknowledges and each.asked > since),
            key=lambda each: each.given,
        )


@define(eq=False)
class Deployment:
    """Everything there is."""

    pair: Pair
    scene: Scene
    witness: Witness


@asynccontextmanager
async def deployment(
    pair: Pair, database_url: str | None = None, *, seed: int = 1
) -> AsyncIterator[Deployment]:
    """Start the service over a pair, or over another way to it; nothing of it is left afterwards."""
    logs = pair.primary.home / "logs"
    logs.mkdir()
    url = database_url or pair.url
    await migrate(pair.url)
    async with AsyncExitStack() as stack:
        ports = [free_port() for _ in range(REPLICAS)]
        public_url = f"http://127.0.0.1:{ports[0]}"
        nango = start_nango(logs, f"{public_url}/oauth/callback")
        stack.callback(nango.kill)
        nango.wait_ready("/ready")
        gateway = await Proxy(to_port(urlsplit(nango.url).port or 0)).start()
        stack.push_async_callback(gateway.stop)
        world = ChaosWorld(
            database_url=url, nango_url=f"http://127.0.0.1:{gateway.port}", public_url=public_url, logs=logs
        )
        cluster = Cluster(
            directory=pair.primary.home,
            logs=logs,
            nango=nango,
            world=world,
            database_url=pair.url,
            database=Proxy(
                to_port(pair.primary.port)
            ),  # nobody goes through it: the servers are hurt themselves
            gateway=gateway,
            ports=ports,
            postgres=nango,  # nobody ends it either
        )
        stack.callback(_end, cluster)
        await cluster.whole()
        session = await stack.enter_async_context(open_session())
        browsing = await stack.enter_async_context(aiohttp.ClientSession())
        witness = Witness(session, cluster.urls)
        scene = Scene(cluster, seed, session, witness, Browser(browsing), Nango(session, nango.url))
        yield Deployment(pair, scene, witness)


def _end(cluster: Cluster) -> None:
    processes: list[Process | None] = [*cluster.replicas.values(), cluster.worker]
    for process in processes:
        if process is not None:
            process.kill()
