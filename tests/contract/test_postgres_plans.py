"""How the statements that a caller waits for are planned over a larger table."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from adapters.postgres.connections import _FOR_AUTH_URL
from adapters.postgres.listing import _cursor_after, _statement
from adapters.postgres.pool import open_pool
from adapters.postgres.store import _FIND, _PROVES_NOTHING, _SHOW, _SWEEP, _TAKE_JOBS, PostgresStore
from adapters.postgres.watch import _STALE, _WALK
from application.ports import ConnectionFilter
from domain.connection import ACTIVE
from tests.conftest import TEMPLATE, copied_database
from tests.contract.store.base import ACME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from adapters.postgres.pool import Pool

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

_FILL = """
INSERT INTO connections (company_id, id, provider, name, status, auth_kind, origin, integration, nango_id,
    external_account_id, metadata, parameters, version, created_at, updated_at, last_synced_at)
SELECT CASE WHEN n % 3 = 0 THEN 'acme' ELSE 'company-' || n % 50 END, 'conn_' || n,
    CASE WHEN n % 2 = 0 THEN 'stripe' ELSE 'slack' END, 'Name ' || n, 'active', 'oauth', 'create',
    'integration', 'nango-' || n, 'acct_' || n % 100, '{}', '{}', 1,
    clock() - n * interval '1 second', clock(), clock() - n * interval '1 second'
FROM generate_series(1, 20000) AS n
"""
_FILL_JOBS = """
INSERT INTO jobs (company_id, connection_id, id, kind, due_at, tries)
SELECT company_id, id, 'job of ' || id, 'identify', clock() + interval '1 day', 0 FROM connections
"""

# The older half of them are kept as proof: their removals are owed.
_FILL_ATTEMPTS = """
INSERT INTO attempts (company_id, connection_id, id, provider, integration, state_hash, parameters,
    created_at, expires_at, checks, closed_at, outcome)
SELECT company_id, id, id, provider, integration, sha256(id::bytea), '{}', created_at, created_at, 0,
    created_at - interval '2 days', 'abandoned' FROM connections
"""
_FILL_REMOVALS = """
UPDATE jobs SET kind = 'remove' WHERE substr(connection_id, 6)::int > 10000
"""

_FILL_RECORDS = """
INSERT INTO idempotency_records (company_id, key_hash, fingerprint, connection_id, salt)
SELECT company_id, id::bytea, 'x', id, 'x' FROM connections
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(postgres_server: str) -> AsyncIterator[str]:
    """The name of a database with 20,000 connections of 51 companies, a third of them one company's.

    Each has work owed tomorrow, and was made with a key of today.
    """
    async with copied_database(postgres_server, TEMPLATE) as url:
        await _fill(url)
        yield urlsplit(url).path.removeprefix("/")


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for statement in (_FILL, _FILL_JOBS, _FILL_RECORDS):
            await connection.execute(statement)
        await connection.execute("ANALYZE connections, jobs, idempotency_records")
    await connection.close()


@pytest.fixture
async def full(postgres_server: str, filled: str) -> AsyncIterator[Pool]:
    """A copy of the filled database for one test."""
    async with copied_database(postgres_server, filled) as url:
        pool = await open_pool(url)
        yield pool
        await pool.close()


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


async def _plan(pool: Pool, sql: str, *args: object) -> list[dict[str, Any]]:
    told = await pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *args)
    return list(_nodes(json.loads(told)[0]["Plan"]))


@pytest.mark.parametrize(
    "wanted",
    [
        ConnectionFilter(),
        ConnectionFilter(provider="stripe"),
        ConnectionFilter(status=ACTIVE),
        ConnectionFilter(provider="stripe", status=ACTIVE),
        ConnectionFilter(external_account_id="acct_3"),
        ConnectionFilter(name="name"),
    ],
    ids=["all", "provider", "status", "provider and status", "account", "name"],
)
async def test_a_page_is_read_off_an_index_wherever_it_is(full: Pool, wanted: ConnectionFilter) -> None:
    cursor = None
    for _ in range(3):
        page = await PostgresStore(full).list(ACME, wanted, limit=10, cursor=cursor)
        cursor = _cursor_after(page.items[-1])
        sql, args = _statement(ACME, wanted, 10, cursor)

        nodes = await _plan(full, sql, *args)

        assert {node["Node Type"] for node in nodes} <= {"Limit", "Index Scan"}
        # What a page touches does not grow with the table.
        assert max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in nodes) <= 40


@pytest.mark.parametrize("sql", [_FIND, _SHOW], ids=["find", "show"])
async def test_connections_are_found_by_key(full: Pool, sql: str) -> None:
    nodes = await _plan(full, sql, [ACME] * 20, [f"conn_{3 * n}" for n in range(1, 21)])

    assert "Seq Scan" not in {node["Node Type"] for node in nodes}
    assert nodes[0]["Actual Rows"] == 20


async def test_what_auth_url_addresses_is_found_however_many_the_company_has(full: Pool) -> None:
    nodes = await _plan(full, _FOR_AUTH_URL, ACME, "stripe")

    assert nodes[0]["Actual Rows"] == 1
    assert max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in nodes) <= 10


@pytest.mark.parametrize("older_than", [MINUTE, DAY], ids=["all are due", "none is due"])
async def test_what_is_due_for_a_look_is_read_off_an_index_for_each_company(
    full: Pool, older_than: timedelta
) -> None:
    walked = [row["company_id"] for row in await full.fetch(_WALK, "", 1000)]

    nodes = await _plan(full, _STALE, older_than, walked, 60, 10)

    assert len(walked) == 51
    assert {node["Index Name"] for node in nodes if node.get("Relation Name") == "connections"} == {
        "connections_stale",
        "connections_pkey",
    }
    assert not any(node.get("Rows Removed by Filter") for node in nodes)
    # What a round touches grows with the companies, and not with what they have.
    assert max(node["Actual Rows"] * node["Actual Loops"] for node in nodes) <= (51 + 1) * (10 + 1)


async def test_a_walk_steps_from_company_to_company_and_no_further_than_it_should(full: Pool) -> None:
    nodes = await _plan(full, _WALK, "company-3", 7)

    assert {node["Index Name"] for node in nodes if "Index Name" in node} == {"connections_stale"}
    assert nodes[0]["Actual Rows"] == 7
    assert max(node["Actual Rows"] * node["Actual Loops"] for node in nodes) <= 7 + 1


async def test_owed_looks_are_found_by_key(full: Pool) -> None:
    await full.execute("UPDATE jobs SET kind = 'recheck'")

    nodes = await _plan(full, _STALE, MINUTE, ["acme", "company-1"], 60, 10)

    assert {node["Node Type"] for node in nodes if node.get("Relation Name") == "jobs"} <= {
        "Index Scan",
        "Index Only Scan",
    }


async def test_a_company_with_very_many_leaves_every_other_its_turn(full: Pool) -> None:
    found = await PostgresStore(full).stale(MINUTE, turn="checks", companies=1000, limit=51, per_company=17)

    assert len({connection.company_id for connection in found}) == 51


async def test_work_that_is_owed_later_is_not_walked_over(full: Pool) -> None:
    nodes = await _plan(full, _TAKE_JOBS, 10, MINUTE)

    assert not any(node.get("Rows Removed by Filter") for node in nodes)


async def test_a_sweep_does_not_walk_over_what_is_young(full: Pool) -> None:
    sql = _SWEEP.format(table="idempotency_records", age="created_at", condition="true")
    nodes = await _plan(full, sql, 1000, None)

    assert "Seq Scan" not in {node["Node Type"] for node in nodes}
    assert not any(node.get("Rows Removed by Filter") for node in nodes)


async def test_a_sweep_walks_once_over_what_has_to_stay(full: Pool) -> None:
    async with full.acquire() as connection:
        for statement in (_FILL_ATTEMPTS, _FILL_REMOVALS, "ANALYZE attempts, jobs"):
            await connection.execute(statement)
    sql = _SWEEP.format(table="attempts", age="closed_at", condition=_PROVES_NOTHING)
    first = await full.fetchrow(sql, 1000, None)
    assert first is not None
    nodes = await _plan(full, sql, 1000, first["reached"])

    walked = [node for node in nodes if node.get("Index Name") == "attempts_closed"]
    assert [node["Rows Removed by Filter"] for node in walked] == [0]
