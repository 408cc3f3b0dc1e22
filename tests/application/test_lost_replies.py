"""A database that commits and cannot say so any more: the caller is told to try again, and may."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from adapters.memory.store import MemoryStore
from domain.connection import ACTIVE, PENDING
from domain.errors import StoreUnavailable
from tests.application.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.memory.transaction import MemoryTransaction

KEY = "7a0f2c3e-0d5b-4f0c-9b6d-1f1d5a7e9b10"
STEPS = pytest.mark.parametrize("step", [1, 2], ids=["the intent", "the outcome"])


class Forgetful(MemoryStore):
    """Loses the reply to the n-th commit from now, after it has taken effect."""

    lose = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryTransaction]:
        async with super().begin() as tx:
            yield tx
        self.lose -= 1
        if self.lose == 0:
            raise StoreUnavailable


@pytest.fixture
async def world() -> World:
    return World(store=Forgetful(World().now))


def _lose(world: World, step: int) -> None:
    assert isinstance(world.store, Forgetful)
    world.store.lose = step


@STEPS
async def test_a_new_connection_whose_reply_is_lost_is_cleared_away(world: World, step: int) -> None:
    _lose(world, step)
    with pytest.raises(StoreUnavailable):
        await world.auth_url()
    await world.work_for(seconds=30)
    assert await world.connections() == []


@STEPS
@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_an_old_connection_whose_reply_is_lost_gets_back_what_it_had(
    world: World, condition: str, step: int
) -> None:
    before = await getattr(world, condition)()
    _lose(world, step)
    with pytest.raises(StoreUnavailable):
        await world.auth_url()
    await world.work_for(seconds=30)
    after = await world.connection(before.id)
    assert (after.status, after.error_message) == (before.status, before.error_message)


@STEPS
async def test_after_a_lost_reply_the_next_call_succeeds(world: World, step: int) -> None:
    _lose(world, step)
    with pytest.raises(StoreUnavailable):
        await world.auth_url()
    started = await world.auth_url()
    await world.work_for(seconds=30)
    assert (await world.come_back(started.url)).outcome == "succeeded"
    assert len(await world.connections()) == 1


@pytest.mark.parametrize("step", [1, 2, 3])
async def test_with_an_idempotency_key_a_lost_reply_makes_no_second_connection(
    world: World, step: int
) -> None:
    _lose(world, step)
    with pytest.raises(StoreUnavailable):
        await world.create(key=KEY)
    created = await world.create(key=KEY)
    await world.work_for(seconds=60)
    assert await world.create(key=KEY) == created
    (connection,) = await world.connections()
    assert (connection.id, connection.status) == (created.connection_id, PENDING)
    assert (await world.come_back(created.oauth_url)).outcome == "succeeded"


@pytest.mark.parametrize("step", [1, 3, 4, 5])
async def test_a_success_whose_reply_is_lost_is_not_lost(world: World, step: int) -> None:
    started = await world.auth_url()
    _lose(world, step)
    try:
        await world.come_back(started.url)
    except StoreUnavailable:
        await world.come_back(started.url)
    await world.work_for(minutes=2)
    assert (await world.connection(started.connection_id)).status is ACTIVE
    assert (await world.come_back(started.url)).outcome == "succeeded"
    assert len(world.grants()) == 1


async def test_a_claim_whose_reply_is_lost_is_not_relayed_and_has_failed_after_five_minutes(
    world: World,
) -> None:
    # Nobody can tell whether Nango was asked: single use comes first, and the user begins again.
    started = await world.auth_url()
    _lose(world, 2)
    with pytest.raises(StoreUnavailable):
        await world.come_back(started.url)
    await world.work_for(minutes=6)
    assert world.gateway.calls["relay_callback"] == 0
    assert (await world.come_back(started.url)).error == "authorization_timeout"
    again = await world.auth_url()
    assert (await world.come_back(again.url)).outcome == "succeeded"


@pytest.mark.parametrize("verb", ["delete", "disconnect"])
async def test_a_removal_whose_reply_is_lost_is_finished_by_the_worker(world: World, verb: str) -> None:
    connection = await world.authorize()
    _lose(world, 1)
    with pytest.raises(StoreUnavailable):
        await getattr(world, verb)(connection.id)
    await world.work_for(minutes=1)
    assert world.grants() == set()
