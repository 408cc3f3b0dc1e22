"""Two at once where only a real database shows what each of them sees."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from adapters.memory.api_keys import MemoryApiKeys
from adapters.memory.gateway import MemoryGateway
from adapters.memory.store import now_in_milliseconds
from adapters.postgres.attempts import PostgresAttempts
from adapters.postgres.store import PostgresStore
from adapters.system.ids import SystemIds
from application.authorization_state import hash_state
from application.ports import Job, JobKind
from application.remove_grants import RemoveGrants
from tests.application.service import SETTINGS, Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from adapters.postgres.pool import Pool
    from domain.authorization import Attempt

COMPANY = "acme"


class Scene:
    """A service over PostgreSQL, with one user on the way back from a provider, and Nango done already."""

    def __init__(self, pool: Pool) -> None:
        self.store = PostgresStore(pool)
        self.gateway = MemoryGateway(callback_url=SETTINGS.callback_url)
        self.service = Service(
            store=self.store,
            gateway=self.gateway,
            api_keys=MemoryApiKeys(now_in_milliseconds),
            monotonic=asyncio.get_running_loop().time,
        )
        self.state = ""
        self.connection_id = ""

    async def authorized_at_nango(self) -> None:
        started = await self.service.use_cases.get_auth_url(
            company_id=COMPANY,
            provider="stripe",
            redirect_url=None,
            name=None,
            parameters={},
            actor="api_key:1",
        )
        self.connection_id = started.connection_id
        (self.state,) = parse_qs(urlsplit(started.url).query)["state"]
        async with self.store.begin() as tx:
            attempt = await tx.attempts.by_state(hash_state(self.state))
        assert attempt is not None
        await self.gateway.relay_callback(
            [("code", "c"), ("state", attempt.nango_state or "")], attempt.nango_cookie or ""
        )

    async def come_back(self) -> None:
        await self.service.use_cases.complete_authorization(
            state=self.state, query=[("code", "c"), ("state", self.state)]
        )

    def removal(self) -> Job:
        return Job(
            id="job",
            kind=JobKind.REMOVE,
            company_id=COMPANY,
            connection_id=self.connection_id,
            due_at=now_in_milliseconds(),
        )


@pytest.fixture
async def scene(postgres_pool: Pool) -> Scene:
    scene = Scene(postgres_pool)
    await scene.authorized_at_nango()
    return scene


@pytest.fixture
async def witness(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection beside the pool."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def _done_or_waiting(work: asyncio.Task[None], witness: asyncpg.Connection[asyncpg.Record]) -> None:
    """Wait until it is done, or waits for a lock that somebody else holds."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(30):
        while not work.done() and not await witness.fetchval(waiting):  # noqa: ASYNC110 - a lock has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("who", ["a removal", "a sweep"])
async def test_what_is_being_stored_is_not_taken_for_what_was_lost(
    scene: Scene,
    witness: asyncpg.Connection[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    read = PostgresAttempts.of
    back: list[asyncio.Task[None]] = []

    async def interrupted(self: PostgresAttempts, company_id: str, connection_id: str) -> Sequence[Attempt]:
        if not back:
            # Between the two reads the user comes back, and as much of that is done as the database allows.
            back.append(asyncio.ensure_future(scene.come_back()))
            await _done_or_waiting(back[0], witness)
        return await read(self, company_id, connection_id)

    monkeypatch.setattr(PostgresAttempts, "of", interrupted)
    if who == "a removal":
        await RemoveGrants(scene.store, scene.gateway, SystemIds())(scene.removal())
    else:
        await scene.service.sweep_grants()
    await asyncio.gather(*back)
    connection = await scene.store.find(COMPANY, scene.connection_id)
    assert connection.status == "active"
    assert (connection.integration, connection.nango_id) in scene.gateway.stored
