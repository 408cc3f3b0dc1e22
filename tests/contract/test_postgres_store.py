from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from adapters.postgres import store as store_module
from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.store import PostgresStore
from application.ports import IdempotencyRecord, Job, JobKind
from domain.authorization import KEPT, Outcome
from tests.contract.postgres_rows import make_older
from tests.contract.store.api_keys import ApiKeysContract
from tests.contract.store.base import ACME, born, tried
from tests.contract.store_contract import StoreContract

if TYPE_CHECKING:
    from adapters.postgres.pool import Pool
    from tests.contract.store.base import Age


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, postgres_pool: Pool) -> PostgresStore:
        return PostgresStore(postgres_pool)

    @pytest.fixture
    def age(self, postgres_pool: Pool) -> Age:
        return partial(make_older, postgres_pool)


class TestPostgresApiKeys(ApiKeysContract):
    @pytest.fixture
    def api_keys(self, postgres_pool: Pool) -> PostgresApiKeys:
        return PostgresApiKeys(postgres_pool)


async def test_a_sweep_forgets_more_than_one_statement_takes(
    postgres_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SWEPT_AT_ONCE", 2)
    store = PostgresStore(postgres_pool)
    connection = await born(store)
    for _ in range(5):
        attempt = await tried(store, connection)
        async with store.begin() as tx:
            await tx.attempts.close(attempt.id, Outcome.FAILED, "denied", at=tx.now)
    await make_older(postgres_pool, KEPT)
    await store.forget_old()

    assert await postgres_pool.fetchval("SELECT count(*) FROM attempts") == 0


async def test_a_sweep_leaves_alone_what_is_being_used_again(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    connection = await born(store)
    record = IdempotencyRecord(
        key_hash=b"key", fingerprint=b"request", connection_id=connection.id, salt=b"salt"
    )
    async with store.begin() as tx:
        await tx.idempotency.put(ACME, record)
    await make_older(postgres_pool, KEPT)
    async with store.begin() as tx:
        await tx.idempotency.put(ACME, record)
        await store.forget_old()

    assert await postgres_pool.fetchval("SELECT count(*) FROM idempotency_records") == 1


async def test_a_worker_leaves_alone_what_another_one_is_taking(postgres_pool: Pool) -> None:
    store = PostgresStore(postgres_pool)
    connection = await born(store)
    await tried(store, connection)
    async with store.begin() as tx:
        await tx.jobs.add(
            Job(
                id="job",
                kind=JobKind.IDENTIFY,
                company_id=connection.company_id,
                connection_id=connection.id,
                due_at=tx.now,
            )
        )
    async with postgres_pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM attempts FOR UPDATE")
        await other.execute("SELECT FROM jobs FOR UPDATE")
        # Neither waits for the other one's locks, nor takes what is his.
        assert not await store.take_due_attempts(limit=10, lease=timedelta(minutes=1))
        assert not await store.take_due_jobs(limit=10, lease=timedelta(minutes=1))
