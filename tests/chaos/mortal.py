"""A process that may die at any step, in memory: the whole service over HTTP, in virtual time.

A step is a call of the gateway or a commit. Once dead, a process does nothing any more: whatever of it still
runs gets CancelledError from all it touches.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from attrs import define, field

from adapters.http.app import HttpOptions, create_app
from adapters.http.server import Runner
from domain.errors import StoreUnavailable
from tests.application.service import SETTINGS, Service
from tests.chaos.crashing_service import REMOTE, SHARED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapters.memory.api_keys import MemoryApiKeys
    from adapters.memory.gateway import MemoryGateway
    from adapters.memory.store import MemoryStore
    from application.ports import AuthGateway, Store, Transaction


@define
class Life:
    """How a process is doing. None: nothing happens to it.

    Args:
        dies_at: the steps it still has.
        loses: the commits until one is done whose reply is lost.
        refuses: the commits until one is not done.

    """

    dies_at: int | None = None
    loses: int | None = None
    refuses: int | None = None
    dead: bool = False

    def spare(self) -> None:
        """Let nothing happen to it any more, unless it is dead."""
        self.dies_at = self.loses = self.refuses = None

    def step(self) -> None:
        """Take a step, or die instead."""
        if self.dies_at is not None:
            self.dead |= self.dies_at <= 0
            self.dies_at -= 1
        if self.dead:
            raise asyncio.CancelledError

    def commits(self) -> None:
        """Be about to commit."""
        self.step()
        if self.refuses is not None:
            self.refuses -= 1
            if self.refuses == -1:
                raise StoreUnavailable

    def committed(self) -> None:
        """Have committed, and wait for the reply."""
        self.step()
        if self.loses is not None:
            self.loses -= 1
            if self.loses == -1:
                raise StoreUnavailable


@define(eq=False)
class _Touched:
    """Passes everything on, a step before and a step after what leaves traces."""

    _inner: Any
    _life: Life
    _steps: frozenset[str]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._steps:
            return found

        async def step(*args: Any, **how: Any) -> Any:
            self._life.step()
            try:
                return await found(*args, **how)
            finally:
                self._life.step()

        return step


class _Store(_Touched):
    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        if self._life.dead:
            raise asyncio.CancelledError
        async with self._inner.begin() as tx:
            yield tx
            self._life.commits()
        self._life.committed()


@define(eq=False)
class Mortal:
    """One process, listening at `url`."""

    service: Service
    life: Life
    _runner: Runner = field(init=False)
    url: str = field(init=False, default="")

    @classmethod
    async def born(cls, store: MemoryStore, gateway: MemoryGateway, api_keys: MemoryApiKeys) -> Mortal:
        """Start one over what all processes share."""
        life = Life()
        service = Service(
            store=cast("Store", _Store(store, life, frozenset(SHARED))),
            gateway=cast("AuthGateway", _Touched(gateway, life, frozenset(REMOTE))),
            api_keys=api_keys,
            monotonic=asyncio.get_running_loop().time,
        )
        made = cls(service, life)
        app = create_app(
            service.use_cases,
            HttpOptions(
                nango_public_url=SETTINGS.nango_public_url, starts_per_minute=0, callbacks_per_minute=0
            ),
        )
        made._runner = Runner(app, handle_signals=False, shutdown_timeout=0.1)
        await made._runner.setup()
        await web.TCPSite(made._runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{made._runner.addresses[0][1]}"
        return made

    async def end(self) -> None:
        """Be gone."""
        self.life.dead = True
        await self._runner.cleanup()
