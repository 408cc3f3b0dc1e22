"""What every scenario begins and ends with: users on a deployment, and the judge."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING

import aiohttp
from attrs import define, field

from tests.chaos.balancer import Balancer, open_session
from tests.chaos.checker import ANSWERS, gather, violations
from tests.chaos.ledger import Ledger
from tests.chaos.load import User
from tests.e2e.journeys import Browser, Company, Nango

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.cluster import Cluster
    from tests.e2e.journeys import Answer

_numbers = count(1)


@define(eq=False)
class Scene:
    """A deployment with people around it. `rng` follows from the seed alone.

    `slack` is how many times longer than promised anything may take: 1, but for a machine that is shared.
    """

    cluster: Cluster
    seed: int
    session: aiohttp.ClientSession
    balancer: Balancer
    browser: Browser
    nango: Nango
    slack: float = 1.0
    rng: random.Random = field(init=False)
    ledger: Ledger = field(init=False, factory=Ledger)

    def __attrs_post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311 - to be repeated

    async def users(self, number: int) -> list[User]:
        """Give so many users, each with a company of its own."""
        users = []
        for _ in range(number):
            company = f"chaos-{next(_numbers)}"
            self.ledger.uncertain[company] = 0
            users.append(
                User(
                    company,
                    await self.cluster.world.create_key(company),
                    self.balancer,
                    self.browser,
                    self.ledger,
                    random.Random(self.rng.random()),  # noqa: S311 - to be repeated
                )
            )
        return users

    async def company(self) -> Company:
        """Give a company of the scenario's own, at the first server."""
        company = f"chaos-{next(_numbers)}"
        key = await self.cluster.world.create_key(company)
        return Company(session=self.session, base=self.cluster.urls[0], key=key, id=company)

    def counts(self, answer: Answer) -> bool:
        """Whether an answer is one to judge by: on a shared machine, some wait too long and are refused."""
        return self.slack == 1 or answer.status != HTTPStatus.SERVICE_UNAVAILABLE

    async def judge(self) -> None:
        """Mend everything, let the worker finish, and hold everybody to everything."""
        await self.nango.heal()
        await self.cluster.whole()
        await self.cluster.settle()
        evidence = await gather(
            self.cluster.database_url,
            self.nango,
            remembered=list(self.ledger.promises.values()),
            uncertain=self.ledger.uncertain,
            texts={**self.cluster.said(), ANSWERS: b"\n".join(self.balancer.said).decode(errors="replace")},
        )
        found = violations(evidence)
        assert not found, "\n".join([f"{len(found)} violations:", *found[:20]])


@asynccontextmanager
async def scene(cluster: Cluster, seed: int, *, slack: float = 1.0) -> AsyncIterator[Scene]:
    """Set a scene; whoever watched it fails is told how to see it again."""
    await cluster.whole()
    async with open_session() as session, aiohttp.ClientSession() as browsing:
        try:
            yield Scene(
                cluster,
                seed,
                session,
                Balancer(session, cluster.urls),
                Browser(browsing),
                Nango(session, cluster.nango.url),
                slack=slack,
            )
        finally:
            cluster.database.heal()
            cluster.gateway.heal()
