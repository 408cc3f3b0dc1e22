"""How much one caller may ask for: a token bucket for each, refilled evenly.

The buckets are this process's own: with N processes a caller gets up to N times as much.
"""

from __future__ import annotations

import math
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from time import monotonic
from typing import TYPE_CHECKING

from attrs import define, field

from domain.errors import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

_REMEMBERED = 20_000


@define
class RateLimit:
    """So many requests a minute, which may also come all at once. `per_minute` 0: no limit."""

    _per_minute: int
    _clock: Callable[[], float] = monotonic
    _buckets: dict[str, tuple[float, float]] = field(init=False, factory=dict)

    def spend(self, caller: str) -> None:
        """Take one from the caller's bucket.

        Raises:
            TooManyRequests: it is empty; `retry_after` says when it is not.

        """
        if not self._per_minute:
            return
        now, rate = self._clock(), self._per_minute / 60
        left, since = self._buckets.pop(caller, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - since) * rate)
        if left < 1:
            self._buckets[caller] = (left, now)
            raise TooManyRequests(retry_after=math.ceil((1 - left) / rate))
        # Put back at the end: the first is the one that has been quiet the longest.
        self._buckets[caller] = (left - 1, now)
        if len(self._buckets) > _REMEMBERED:
            del self._buckets[next(iter(self._buckets))]


def address_of(request: web.Request, proxies: int) -> str:
    """Give the address of whoever calls; of IPv6 the /64, since every customer has that many (RFC 6177).

    `proxies` is how many of our own stand before us, each of which adds the address that it sees to the end
    of X-Forwarded-For; what stands before those was written by anybody. Some add the port, which is another
    for each connection. What is no address counts for the proxy that wrote it.
    """
    told = None
    if proxies:
        hops = [hop for line in request.headers.getall("X-Forwarded-For", ()) for hop in line.split(",")]
        if len(hops) >= proxies:
            told = _parsed(hops[-proxies].strip())
    address = told or _parsed(request.remote or "")
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), 64), strict=False))
    return str(address)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without a port; one of IPv4 that is dressed up as IPv6 is itself."""
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
