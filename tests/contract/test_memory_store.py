from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from attrs import define

from adapters.memory.api_keys import MemoryApiKeys
from adapters.memory.store import MemoryStore
from tests.contract.store.api_keys import ApiKeysContract
from tests.contract.store_contract import StoreContract

if TYPE_CHECKING:
    from datetime import timedelta

    from tests.contract.store.base import Age

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@define
class _Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    async def advance(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, clock: _Clock) -> MemoryStore:
        return MemoryStore(clock)

    @pytest.fixture
    def age(self, clock: _Clock) -> Age:
        return clock.advance


class TestMemoryApiKeys(ApiKeysContract):
    @pytest.fixture
    def api_keys(self) -> MemoryApiKeys:
        return MemoryApiKeys()
