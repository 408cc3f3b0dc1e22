"""A Nango that says something else of its connections than it was told: nobody else's is taken or removed."""

from __future__ import annotations

import pytest

from domain.connection import ACTIVE, ERROR
from domain.errors import GatewayTimeout
from tests.application.world import World, nango_id


@pytest.mark.parametrize("verb", ["delete", "disconnect"])
async def test_what_another_connection_uses_is_not_removed_whatever_its_tags_say(
    world: World, verb: str
) -> None:
    kept = await world.authorize("slack")
    ended = await world.authorize("stripe")
    told = dict(world.gateway.grant(nango_id(ended)).tags)
    world.gateway.change(nango_id(kept), tags=told)
    await (world.delete if verb == "delete" else world.disconnect)(ended.id)
    await world.later(days=1)
    await world.work()
    assert world.grants() == {nango_id(kept)}
    assert (await world.connection(kept.id)).status is ACTIVE


async def test_what_another_connection_uses_proves_no_authorization(world: World) -> None:
    kept = await world.authorize()
    begun = await world.create()
    (attempt,) = await world.attempts(begun.connection_id)
    told = {**world.gateway.grant(nango_id(kept)).tags, "connection": attempt.connection_id}
    world.gateway.change(nango_id(kept), tags={**told, "attempt": attempt.id})
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(begun.oauth_url)
    await world.work_for(minutes=10)
    assert (await world.connection(begun.connection_id)).status is ERROR
    assert await world.connection(kept.id) == kept
