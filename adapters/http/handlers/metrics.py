"""What operators watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from adapters.http.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    Scrape = Callable[[], Awaitable[bytes]]

_HEADERS = {
    "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


@frozen
class MetricsHandlers:
    """The numbers of one process, in Prometheus' text format; `scrape` writes them."""

    _scrape: Scrape

    async def metrics(self, _: web.Request) -> web.StreamResponse:
        """Answer with the numbers of now. No key: they name no company, and Prometheus carries none."""
        return Answer(body=await self._scrape(), headers=_HEADERS)
