"""The primary dies under load, its synchronous standby takes over, and the service follows by itself."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from tests.chaos.load import run
from tests.failover.deployment import deployment
from tests.failover.servers import new_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tests.failover.deployment import Deployment, Noted
    from tests.failover.servers import Pair

pytestmark = pytest.mark.failover

USERS = 16
UNAVAILABLE = 503
BEFORE, MOMENT, AFTER = 3.0, 1.0, 4.0
"""Seconds of load before the primary's end, until the standby is promoted, and with the new primary."""

AT_ONCE, IN_TIME = 2.0, 6.0
"""Seconds after the promotion was asked for within which writes must be acknowledged again."""


@frozen
class Moments:
    """When the primary's end began and was over, and the promotion was asked for; by the monotonic clock."""

    ending: float
    gone: float
    promoting: float


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with new_pair() as made:
        yield made


async def fail_over(there: Deployment, end: Callable[[], None]) -> Moments:
    """End the primary under load and promote its standby."""
    users = await there.scene.users(USERS)
    done = asyncio.Event()
    load = asyncio.create_task(run(users, until=done))
    try:
        await asyncio.sleep(BEFORE)
        ending = time.monotonic()
        await asyncio.to_thread(end)
        gone = time.monotonic()
        await asyncio.sleep(MOMENT)
        promoting = time.monotonic()
        await asyncio.to_thread(there.pair.standby.promote)
        await asyncio.sleep(AFTER)
    finally:
        done.set()
        await load
    unexpected = [answer for user in users for answer in user.unexpected]
    assert not unexpected, "\n".join(unexpected[:20])
    return Moments(ending, gone, promoting)


def tell(how: str, noted: Sequence[Noted], at: Moments, first: float) -> None:
    """Print the figures for docs/operations.md; they show with `-s`."""
    refused = [each.given - each.asked for each in noted if each.status == UNAVAILABLE]
    print(  # noqa: T201 - figures are what this is run for
        f"\n{how}: a write was acknowledged again {first - at.ending:.2f} s after the primary's end began, "
        f"{first - at.promoting:.2f} s after the promotion was asked for; {len(noted):,} calls, "
        f"{sum(each.acknowledges for each in noted):,} writes acknowledged, 503 {len(refused)} times, "
        f"the slowest after {max(refused, default=0):.2f} s"
    )


@pytest.mark.parametrize(
    ("how", "within"),
    [("kill", AT_ONCE), ("freeze", IN_TIME), ("stop", AT_ONCE)],
    ids=["killed", "gone silently", "switched over"],
)
async def test_no_acknowledged_write_is_lost_with_the_primary(pair: Pair, how: str, within: float) -> None:
    async with deployment(pair) as there:
        at = await fail_over(there, getattr(pair.primary, how))
        noted, acknowledged = there.witness.noted, there.witness.acknowledged(since=at.gone)
        assert acknowledged, "nothing was acknowledged any more"
        first = acknowledged[0].given
        tell(how, noted, at, first)

        cut = [f"{each.method} {each.path}" for each in noted if not each.status]
        assert not cut, f"calls without an answer: {cut}, {there.witness.lost}"
        between = {each.status for each in noted if at.gone < each.asked and each.given < at.promoting}
        assert between <= {UNAVAILABLE}, f"answers without a primary: {between}"
        assert all(each.retry_after for each in noted if each.status == UNAVAILABLE)
        assert first - at.promoting < within
        pair.primary.end()
        await there.scene.judge()
