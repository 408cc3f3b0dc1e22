"""A PostgreSQL for the whole run, and a fresh, migrated database for each test that asks for one."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import shutil
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import settings

from adapters.postgres.migrate import migrate
from adapters.postgres.pool import open_pool
from entrypoints.embedded_postgres import embedded_postgres
from tests.failover.servers import new_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from adapters.postgres.pool import Pool

# The same examples each time, however slow the machine: `make chaos` is what looks for new ones.
settings.register_profile("connections", deadline=None, derandomize=True)
settings.load_profile("connections")

# Thousands of tests are made and stay: looking for garbage among them took a third of the collection.
gc.disable()

_LONG = ("test_scenarios.py", "test_outage.py", "test_processes.py", "test_slow_clients.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin each folder with the files that take long: what begins last keeps one process alone busy."""
    items.sort(key=lambda item: (item.path.parent, item.path.name not in _LONG))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


TEMPLATE = "template_of_tests"
_EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
SET session_replication_role = replica;
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public'
        AND tablename NOT IN ('schema_migrations', 'deployment', 'transitions')
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
END $$;
"""
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of the server's maintenance database; throw-away data need no fsync.

    With POSTGRES_BIN, a folder, it is the PostgreSQL from there (`make failover`) and not the embedded one.
    """
    if "POSTGRES_BIN" in os.environ:
        with new_server() as server:
            try:
                server.start()
                asyncio.run(_prepare(server.url))
                yield server.url
            finally:
                server.end()
        return
    # Not under pytest's own directory: as root, PostgreSQL's user must be able to enter it.
    directory = Path(tempfile.mkdtemp(prefix="connections-tests-"))
    try:
        with embedded_postgres(directory) as url:
            asyncio.run(_prepare(url))
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _prepare(url: str) -> None:
    async with _maintenance(url) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
            await connection.execute(f"ALTER SYSTEM SET {setting} = off")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    await migrate(named(url, TEMPLATE))


@pytest.fixture
async def empty_database_url(postgres_server: str) -> AsyncIterator[str]:
    """A database that was never migrated, for this test alone."""
    async with copied_database(postgres_server, "template1") as url:
        yield url


@pytest.fixture
async def own_database_url(postgres_server: str) -> AsyncIterator[str]:
    """A migrated database for this test alone, whose schema it may damage."""
    async with copied_database(postgres_server, TEMPLATE) as url:
        yield url


class _Databases:
    """Migrated databases, used again and again.

    Emptying one takes a tenth of the time that creating one takes, if its connection stays: a new one would
    have to learn the schema first.
    """

    def __init__(self, server: str, runner: asyncio.Runner) -> None:
        self._server = server
        self._runner = runner
        self._spare: dict[str, asyncpg.Connection[asyncpg.Record]] = {}

    @contextmanager
    def one(self) -> Iterator[str]:
        """Give the URL of one without rows, for as long as the block takes."""
        name, connection = self._runner.run(self._emptied() if self._spare else self._new())
        yield named(self._server, name)
        self._spare[name] = connection

    async def _new(self) -> tuple[str, asyncpg.Connection[asyncpg.Record]]:
        name = f"test_{next(_numbers)}"
        async with _maintenance(self._server) as connection:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return name, await asyncpg.connect(named(self._server, name))

    async def _emptied(self) -> tuple[str, asyncpg.Connection[asyncpg.Record]]:
        name, connection = self._spare.popitem()
        try:
            await connection.execute(_EMPTY)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            # Some tests end every connection there is.
            connection = await asyncpg.connect(named(self._server, name))
            await connection.execute(_EMPTY)
        return name, connection

    def close(self) -> None:
        """Close the connections."""
        for connection in self._spare.values():
            self._runner.run(connection.close())


@pytest.fixture(scope="session")
def _databases(postgres_server: str) -> Iterator[_Databases]:
    with asyncio.Runner() as runner:
        databases = _Databases(postgres_server, runner)
        yield databases
        databases.close()


@pytest.fixture
def database_url(_databases: _Databases) -> Iterator[str]:
    """A migrated database without rows."""
    with _databases.one() as url:
        yield url


@pytest.fixture
async def postgres_pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool over a fresh database, as the entrypoint opens it."""
    pool = await open_pool(database_url)
    try:
        yield pool
    finally:
        pool.terminate()


@asynccontextmanager
async def copied_database(server: str, template: str) -> AsyncIterator[str]:
    """Give the URL of a copy of a database, which is gone with the block."""
    name = f"test_{next(_numbers)}"
    async with _maintenance(server) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield named(server, name)
    finally:
        async with _maintenance(server) as connection:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def _maintenance(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def named(url: str, database: str) -> str:
    """Give the URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()
