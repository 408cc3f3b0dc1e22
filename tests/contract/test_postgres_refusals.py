"""A database that answers, and does not serve us: everything is unavailable, and an operator is told why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.migrate import migrate
from adapters.postgres.pool import open_pool
from adapters.postgres.store import PostgresStore
from adapters.postgres.survey import PostgresSurvey
from application.ports import ConnectionFilter, Scope
from domain.errors import StoreRefused
from tests.conftest import named
from tests.contract.store.base import ACME, born

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LET_IN = "Check the user, password and database in CONNECTIONS_DATABASE_URL"


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture
async def stranger(own_database_url: str) -> AsyncIterator[str]:
    """The URL of a migrated database, for a role that is granted nothing in it."""
    owner = await asyncpg.connect(own_database_url)
    role = f"stranger_of_{urlsplit(own_database_url).path.removeprefix('/')}"
    await owner.execute(f"CREATE ROLE {role} LOGIN")
    yield as_role(own_database_url, role)
    await owner.execute(f"DROP ROLE {role}")
    await owner.close()


async def whys(url: str) -> set[str]:
    """Ask in every way for something, and give what an operator is told of it."""
    pool = await open_pool(url)
    store, api_keys = PostgresStore(pool), PostgresApiKeys(pool)
    calls = [
        born(store),
        store.find(ACME, "conn_1"),
        store.list(ACME, ConnectionFilter(), limit=1, cursor=None),
        store.forget_old(),
        store.ping(),
        api_keys.find(b"x"),
        api_keys.add(company_id=ACME, scope=Scope.READ, prefix="p", digest=b"x" * 32, label=None),
        PostgresSurvey(pool)(),
    ]
    try:
        results = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await pool.close()
    assert [type(result) for result in results] == [StoreRefused] * len(calls)
    return {result.why or "" for result in results if isinstance(result, StoreRefused)}


async def test_a_database_that_was_never_migrated_tells_to_migrate_it(empty_database_url: str) -> None:
    told = await whys(empty_database_url)
    assert {why.partition(" ")[0] for why in told} == {"42P01:", "42883:", "it"}
    assert all("`connections migrate`" in why for why in told)


async def test_a_database_that_does_not_exist_is_named(postgres_server: str) -> None:
    (told,) = await whys(named(postgres_server, "nowhere"))
    assert told.startswith(f'3D000: database "nowhere" does not exist. {LET_IN}')


async def test_a_role_that_is_not_let_in_is_named(postgres_server: str) -> None:
    (told,) = await whys(as_role(postgres_server, "nobody"))
    assert told.startswith(f'28000: role "nobody" does not exist. {LET_IN}')


async def test_a_role_that_is_granted_nothing_tells_the_table_it_may_not_use(stranger: str) -> None:
    told = await whys(stranger)
    assert all(why.startswith("42501: permission denied for table ") and LET_IN in why for why in told)


async def test_it_serves_as_soon_as_it_is_migrated(empty_database_url: str) -> None:
    pool = await open_pool(empty_database_url, max_size=1)
    store = PostgresStore(pool)
    try:
        with pytest.raises(StoreRefused, match="temporarily unavailable"):
            await born(store)
        await migrate(empty_database_url)
        await born(store)
    finally:
        await pool.close()
