"""Several hosts in one URL: the primary is found, whatever the others do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.postgres.hosts import connect, each_host
from adapters.postgres.inspect import NoDatabase, inspect
from adapters.postgres.pool import open_pool
from tests.e2e.harness import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def silent_host() -> AsyncIterator[int]:
    """A host that takes connections and never says a word."""
    writers = []

    def keep_waiting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(keep_waiting, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()


def after(dead_port: int, url: str, wanted: str = "read-write") -> str:
    """Name a dead host first, and then the server of this URL."""
    parts = urlsplit(url)
    [socket_directory] = parse_qs(parts.query)["host"]
    query = f"host=127.0.0.1,{socket_directory}&port={dead_port},5432&target_session_attrs={wanted}"
    return parts._replace(query=query).geturl()


async def test_a_silent_host_does_not_hide_the_primary(database_url: str) -> None:
    async with silent_host() as port:
        pool = await open_pool(after(port, database_url))
        try:
            assert await pool.fetchval("SELECT 1") == 1
        finally:
            pool.terminate()


async def test_a_host_that_refuses_does_not_hide_the_primary(database_url: str) -> None:
    connection = await connect(after(free_port(), database_url), timeout=5)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_standby_alone_does_not_serve(own_database_url: str) -> None:
    connection = await connect(own_database_url, timeout=5)
    name = urlsplit(own_database_url).path.removeprefix("/")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await connection.close()
    with pytest.raises(NoDatabase):
        await inspect(after(free_port(), own_database_url))


async def test_that_no_host_is_a_primary_is_told(own_database_url: str) -> None:
    connection = await connect(own_database_url, timeout=5)
    name = urlsplit(own_database_url).path.removeprefix("/")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await connection.close()
    with pytest.raises(NoDatabase, match="None of the hosts"):
        await inspect(f"{own_database_url}&target_session_attrs=read-write")


async def test_where_all_are_gone_the_last_refusal_is_told() -> None:
    url = f"postgresql://a@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/x?target_session_attrs=primary"
    with pytest.raises(NoDatabase, match="Connect call failed"):
        await inspect(url)


async def test_nothing_is_left_open_to_the_hosts_that_lost(database_url: str) -> None:
    before = asyncio.all_tasks()
    async with silent_host() as port:
        connection = await connect(after(port, database_url), timeout=5)
        assert asyncio.all_tasks() == before
        await connection.close()


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://a:p@h/x", ["postgresql://a:p@h/x"]),
        ("postgresql://a@h1,h2/x", ["postgresql://a@h1,h2/x"]),
        (
            "postgresql://a:p%40@h1:1,h2/x?target_session_attrs=read-write",
            [
                "postgresql://a:p%40@h1:1/x?target_session_attrs=read-write",
                "postgresql://a:p%40@h2/x?target_session_attrs=read-write",
            ],
        ),
        (
            "postgresql:///x?host=h1,h2&port=1&target_session_attrs=primary",
            [
                "postgresql:///x?host=h1&port=1&target_session_attrs=primary",
                "postgresql:///x?host=h2&port=1&target_session_attrs=primary",
            ],
        ),
        (
            "postgresql://a@h1,h2/x?target_session_attrs=prefer-standby",
            ["postgresql://a@h1,h2/x?target_session_attrs=prefer-standby"],
        ),
    ],
)
def test_hosts_are_told_apart_only_where_a_primary_is_wanted(url: str, each: list[str]) -> None:
    assert each_host(url) == each
