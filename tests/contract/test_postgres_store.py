from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.store import PostgresStore
from tests.contract.postgres_rows import make_older
from tests.contract.store.api_keys import ApiKeysContract
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
