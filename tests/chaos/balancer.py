"""A load balancer of the simplest kind: in turn, and on to the next where a connection is refused."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import define, field

from tests.e2e.journeys import Answer, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_REFUSED_FOR = 15.0
CALL_SECONDS = 30.0


def open_session(**options: Any) -> aiohttp.ClientSession:
    """Open a session that keeps connections alive and repeats nothing by itself."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
        **options,
    )
    session._retry_connection = False
    return session


@define(eq=False)
class Balancer:
    """Spreads calls over servers; `statuses` counts the answers, 0 where there was none.

    `slowest` is the longest call in seconds, `said` every body that was answered, `lost` how calls without an
    answer ended.
    """

    session: aiohttp.ClientSession
    urls: Sequence[str]
    statuses: Counter[int] = field(factory=Counter)
    lost: Counter[str] = field(factory=Counter)
    said: list[bytes] = field(factory=list)
    slowest: float = 0.0
    _turn: Iterator[int] = field(init=False, factory=itertools.count)

    async def send(self, method: str, path: str, **how: Any) -> Answer | None:
        """Give the answer; None where a server took the request and never answered."""
        began = time.monotonic()
        while True:
            url = self.urls[next(self._turn) % len(self.urls)]
            try:
                answer = await ask(self.session, method, f"{url}{path}", **how)
            except aiohttp.ClientConnectorError:
                assert time.monotonic() - began < _REFUSED_FOR, "nobody listens any more"
                await asyncio.sleep(0.02)
                continue
            except (aiohttp.ClientError, TimeoutError, OSError) as problem:
                self.statuses[0] += 1
                self.lost[type(problem).__name__] += 1
                return None
            self.statuses[answer.status] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.said.append(answer.body)
            return answer
