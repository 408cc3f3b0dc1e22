from __future__ import annotations

import asyncio
import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING

import aiohttp
import pytest

from application.ports import Scope
from tests.conftest import TEMPLATE, copied_database
from tests.e2e.harness import Process, free_port, running
from tests.e2e.journeys import Browser, Company, Nango
from tests.e2e.world import World, start_nango

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    NewCompany = Callable[..., Awaitable[Company]]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_database_url(postgres_server: str) -> Iterator[str]:
    """One migrated database for the shared world."""
    with asyncio.Runner() as runner:
        database = copied_database(postgres_server, TEMPLATE)
        yield runner.run(database.__aenter__())
        runner.run(database.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def servers(
    shared_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Process, Process, Process]]:
    """The shared world and its processes: Nango, a server, and a server that is the worker, too."""
    logs = tmp_path_factory.mktemp("logs")
    port = free_port()
    public_url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        nango = stack.enter_context(running(start_nango(logs, f"{public_url}/oauth/callback")))
        world = World(database_url=shared_database_url, nango_url=nango.url, public_url=public_url, logs=logs)
        first = stack.enter_context(running(world.serve(port=port)))
        second = stack.enter_context(running(world.serve("--with-worker")))
        nango.wait_ready("/ready")
        first.wait_ready()
        second.wait_ready()
        yield world, nango, first, second
        first.stop()
        second.stop()


@pytest.fixture(scope="session")
def world(servers: tuple[World, Process, Process, Process]) -> World:
    return servers[0]


@pytest.fixture(scope="session")
def nango_process(servers: tuple[World, Process, Process, Process]) -> Process:
    return servers[1]


@pytest.fixture(scope="session")
def second(servers: tuple[World, Process, Process, Process]) -> str:
    """The address of the second server."""
    return servers[3].url


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Any number of connections at once."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session


@pytest.fixture
async def nango(world: World, session: aiohttp.ClientSession) -> AsyncIterator[Nango]:
    """Nango in good health; what a test breaks is mended after it."""
    nango = Nango(session, world.nango_url)
    await nango.forget_calls()
    yield nango
    await nango.heal()


@pytest.fixture
def new_company(world: World, session: aiohttp.ClientSession) -> NewCompany:
    async def create(scope: Scope = Scope.WRITE, *, company_id: str | None = None) -> Company:
        company_id = company_id or f"company-{next(_numbers)}"
        key = await world.create_key(company_id, scope)
        return Company(session=session, base=world.public_url, key=key, id=company_id)

    return create


@pytest.fixture
async def company(new_company: NewCompany) -> Company:
    """A company of the test's own."""
    return await new_company()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session)
