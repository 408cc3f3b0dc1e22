from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from adapters.postgres import store as store_module
from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.store import PostgresStore
from domain.authorization import KEPT, Outcome
from tests.contract.postgres_rows import make_older
from tests.contract.store.api_keys import ApiKeysContract
from tests.contract.store.base import born, tried
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
    await store.sweep()

    assert await postgres_pool.fetchval("SELECT count(*) FROM attempts") == 0
