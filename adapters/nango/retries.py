"""Second tries for calls that may be repeated, without multiplying an outage."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import stamina
from attrs import define

from adapters.nango.failures import unavailable
from domain.errors import GatewayTimeout, GatewayUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adapters.nango.client import Answer

TRIES = 3
FIRST_PAUSE = 0.2
SHORTEST = 0.05
"""Seconds; to aiohttp, 0 would be no deadline at all."""

FLOOR = 0.25
"""Seconds to wait at the least where Nango says Retry-After, even if it says 0."""


@define
class RetryBudget:
    """How many second tries a process may make: a share of its calls, and a small reserve for quiet times.

    When everything fails, Nango gets 1 + `share` times the calls, not three times.
    """

    reserve: float = 10.0
    share: float = 0.1
    _left: float | None = None

    @property
    def left(self) -> float:
        """Second tries that may be made now."""
        return self.reserve if self._left is None else self._left

    def call(self) -> None:
        """Note a call."""
        self._left = min(self.reserve, self.left + self.share)

    def spend(self) -> bool:
        """Take one second try, where there is one."""
        if self.left < 1:
            return False
        self._left = self.left - 1
        return True


async def repeated(
    send: Callable[[float], Awaitable[Answer]], *, deadline: float, budget: RetryBudget
) -> Answer:
    """Send, and send again on an outage: at most three times, all within one deadline in seconds.

    `send` gets the seconds that are left. An outage is a broken or refused connection, a 5xx, or a 429 whose
    Retry-After fits into the deadline. A timeout has used the deadline up. Pauses have full jitter.

    Raises:
        GatewayUnavailable: the last failure, in the same words as without second tries.

    """
    clock = asyncio.get_running_loop().time
    end = clock() + deadline
    asked_to_wait: int | None = None
    tries = 0

    def pause(error: Exception) -> bool | float:
        if not isinstance(error, GatewayUnavailable) or isinstance(error, GatewayTimeout):
            return False
        wait = random.uniform(0, FIRST_PAUSE * 2**tries)  # noqa: S311 - jitter, no secret
        if asked_to_wait is not None:
            wait += max(FLOOR, asked_to_wait)
        return wait if tries < TRIES and clock() + wait < end and budget.spend() else False

    budget.call()
    async for attempt in stamina.retry_context(on=pause, attempts=TRIES, timeout=None):
        with attempt:
            tries += 1
            asked_to_wait = None
            answer = await send(max(end - clock(), SHORTEST))
            outage = unavailable(answer)
            if outage is not None:
                asked_to_wait = answer.retry_after
                raise outage
    return answer
