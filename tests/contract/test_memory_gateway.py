from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest

from adapters.memory.gateway import NOON, MemoryGateway
from application.ports import ProviderAnswer
from domain.errors import GatewayNonsense, GatewayTimeout, GatewayUnavailable, ProviderUnavailable
from tests.contract.gateway_contract import (
    IDENTITY,
    INTEGRATION,
    GatewayContract,
    Query,
    World,
    connected,
    flow,
)

if TYPE_CHECKING:
    from application.ports import Flow

REFUSED = (
    "The external API returned an error when trying to refresh the access token. Please try again later."
)


class MemoryWorld(World):
    bad_key: ClassVar[str] = "bad-key"

    def __init__(self) -> None:
        self.gateway: MemoryGateway = MemoryGateway()
        self.gateway.bad_credentials.add(self.bad_key)

    async def authorize(self, flow: Flow) -> Query:
        return [("code", "c"), ("state", flow.state)]

    async def deny(self, flow: Flow) -> Query:
        return [("error", "access_denied"), ("state", flow.state)]

    def refuse_refresh(self, nango_id: str) -> None:
        self.gateway.refuse_refresh(nango_id, REFUSED)

    def accept_refresh(self, nango_id: str) -> None:
        self.gateway.accept_refresh(nango_id)

    def end_backoff(self, nango_id: str) -> None:
        self.gateway.end_backoff(nango_id)

    def exhaust(self, nango_id: str) -> None:
        self.gateway.refuse_refresh(nango_id, "The refresh limit has been reached.", exhausted=True)

    def drop_refresh_token(self, nango_id: str) -> None:
        self.gateway.change(nango_id, has_refresh_token=False)

    def expire(self, nango_id: str) -> None:
        self.gateway.change(nango_id, expires_at=NOON - timedelta(seconds=1))

    def forget(self, nango_id: str) -> None:
        self.gateway.forget(nango_id)

    def revoke(self, nango_id: str) -> None:
        self.gateway.answers[nango_id] = ProviderAnswer(status=401, body=None)

    def speak_in_nangos_place(self, *, taken: bool) -> None:
        self.gateway.fail_with(GatewayNonsense(), {"relay_callback"}, after=taken)


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld()


class TestMemoryGateway(GatewayContract):
    """The contract."""


class TestScript:
    async def test_calls_are_counted_by_operation(self, world: MemoryWorld) -> None:
        grant = await connected(world)
        await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        assert (world.gateway.calls["relay_callback"], world.gateway.calls["refresh"]) == (1, 1)

    async def test_a_failure_strikes_the_named_operation_as_often_as_told(self, world: MemoryWorld) -> None:
        world.gateway.fail_with(GatewayUnavailable(), {"find_grants"}, times=2)
        await world.gateway.integrations()
        for _ in range(2):
            with pytest.raises(GatewayUnavailable):
                await world.gateway.find_grants({"attempt": "a1"})
        assert await world.gateway.find_grants({"attempt": "a1"}) == []

    async def test_a_failure_without_an_end_lasts_until_healed(self, world: MemoryWorld) -> None:
        world.gateway.fail_with(GatewayUnavailable(), times=None)
        for _ in range(3):
            with pytest.raises(GatewayUnavailable):
                await world.gateway.integrations()
        world.gateway.heal()
        assert await world.gateway.integrations()

    async def test_a_lost_answer_leaves_its_effect(self, world: MemoryWorld) -> None:
        begun = await flow(world, "a1")
        world.gateway.fail_with(GatewayTimeout(), {"relay_callback"}, after=True)
        with pytest.raises(GatewayTimeout):
            await world.gateway.relay_callback(await world.authorize(begun), begun.cookie)
        assert len(await world.gateway.find_grants({"attempt": "a1"})) == 1

    async def test_a_failure_before_the_effect_leaves_none(self, world: MemoryWorld) -> None:
        begun = await flow(world, "a1")
        world.gateway.fail_with(GatewayTimeout(), {"relay_callback"})
        with pytest.raises(GatewayTimeout):
            await world.gateway.relay_callback(await world.authorize(begun), begun.cookie)
        assert await world.gateway.find_grants({"attempt": "a1"}) == []

    @pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)])
    async def test_a_held_call_waits_before_or_after_its_effect(
        self, world: MemoryWorld, *, after: bool, made: int
    ) -> None:
        begun = await flow(world, "a1")
        gate = world.gateway.hold("relay_callback", after=after)
        relay = asyncio.create_task(world.gateway.relay_callback(await world.authorize(begun), begun.cookie))
        await asyncio.wait_for(gate.reached.wait(), 5)
        assert len(await world.gateway.find_grants({"attempt": "a1"})) == made
        gate.set()
        await relay
        assert len(await world.gateway.find_grants({"attempt": "a1"})) == 1

    async def test_a_callback_without_its_cookie_burns_the_state(self, world: MemoryWorld) -> None:
        begun = await flow(world, "a1")
        await world.gateway.relay_callback(await world.authorize(begun), "")
        await world.gateway.relay_callback(await world.authorize(begun), begun.cookie)
        assert await world.gateway.find_grants({"attempt": "a1"}) == []

    async def test_a_provider_may_be_told_what_to_answer_or_raise(self, world: MemoryWorld) -> None:
        grant = await connected(world)
        world.gateway.answers[grant.nango_id] = ProviderUnavailable("Later.")
        with pytest.raises(ProviderUnavailable):
            await world.gateway.call_provider(
                INTEGRATION, grant.nango_id, IDENTITY, base_url="https://b.example"
            )
        assert world.gateway.asked == [(grant.nango_id, IDENTITY, "https://b.example")]

    async def test_what_the_provider_adds_to_the_callback_is_kept(self, world: MemoryWorld) -> None:
        begun = await flow(world, "a1")
        query = [*await world.authorize(begun), ("realmId", "4620816365")]
        await world.gateway.relay_callback(query, begun.cookie)
        (grant,) = await world.gateway.find_grants({"attempt": "a1"})
        details = await world.gateway.fetch(INTEGRATION, grant.nango_id)
        assert details.connection_config == {"realmId": "4620816365"}
