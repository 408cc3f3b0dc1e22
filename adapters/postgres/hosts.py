"""Find the primary among several hosts, even if one of them is dead and answers nothing at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from adapters.postgres.errors import DRIVER_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Connection = asyncpg.Connection[asyncpg.Record]

_ONLY_ONE_SERVES = frozenset({"read-write", "primary"})


async def connect(url: str, **how: Any) -> Connection:
    """Connect as `asyncpg.connect` does; where only a primary will do, ask all hosts at once.

    asyncpg asks them one after another within one deadline, so that behind a host whose packets are lost
    (power, network) none of the others is ever asked.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: none of the hosts serves.

    """
    urls = each_host(url)
    if len(urls) == 1:
        return await asyncpg.connect(url, **how)
    tries = [asyncio.create_task(asyncpg.connect(each, **how)) for each in urls]
    found: Connection | None = None
    refused: BaseException = OSError("no host answered")
    try:
        for attempt in asyncio.as_completed(tries):
            try:
                found = await attempt
            except DRIVER_ERRORS as error:
                refused = error
            else:
                return found
        raise refused
    finally:
        await _abandon(tries, found)


def each_host(url: str) -> Sequence[str]:
    """Give a URL for each host of one that looks for a primary; any other URL as it is."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if query.get("target_session_attrs") not in _ONLY_ONE_SERVES:
        return [url]
    user, at, hosts = parts.netloc.rpartition("@")
    if hosts and not {"host", "port"} & query.keys():
        return [parts._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")]
    named, ports = query.get("host", "").split(","), query.get("port", "").split(",")
    if hosts or len(named) == 1 or len(ports) not in (1, len(named)):
        return [url]
    ports = ports if len(ports) > 1 else ports * len(named)
    before = url.partition("?")[0]
    return [
        f"{before}?{urlencode(query | {'host': host} | ({'port': port} if port else {}))}"
        for host, port in zip(named, ports, strict=True)
    ]


async def _abandon(tries: Iterable[asyncio.Task[Connection]], kept: Connection | None) -> None:
    for attempt in tries:
        attempt.cancel()
    for outcome in await asyncio.gather(*tries, return_exceptions=True):
        if not isinstance(outcome, BaseException) and outcome is not kept:
            outcome.terminate()
