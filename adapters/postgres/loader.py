"""Reads that arrive together share one statement.

A read never joins a statement that was sent before it arrived, so it sees every write that was acknowledged
before it: nothing is cached.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from attrs import define, field

from domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

Key = TypeVar("Key")
Value = TypeVar("Value")

LANES = 2
"""Statements under way at once: a second one goes out while the first is on its way back."""

DEADLINE = 3.0
"""Seconds that a read waits at most, for its turn and its answer together."""


@define(eq=False)
class _Batch(Generic[Key, Value]):
    """Readers that will share a statement; each has a future of its own, so that it can give up alone."""

    _readers: dict[Key, list[asyncio.Future[Value | None]]] = field(factory=dict)
    _timer: asyncio.TimerHandle | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    """Kept, because before Python 3.12 `get_running_loop` makes a system call each time."""

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._readers)

    @property
    def keys(self) -> Sequence[Key]:
        """What they want, each key once."""
        return list(self._readers)

    def join(self, key: Key) -> asyncio.Future[Value | None]:
        """Add a reader; the first one, or the first after the clock ran out, starts it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = self._loop.call_later(DEADLINE, self.fail, StoreUnavailable())
        future: asyncio.Future[Value | None] = self._loop.create_future()
        self._readers.setdefault(key, []).append(future)
        return future

    def settle(self, found: Mapping[Key, Value]) -> None:
        """Answer everybody; None to those whose key was not found."""
        for key, future in self._unanswered():
            future.set_result(found.get(key))

    def fail(self, error: Exception) -> None:
        """Fail everybody who is still waiting."""
        for _, future in self._unanswered():
            future.set_exception(error)

    def _unanswered(self) -> Iterator[tuple[Key, asyncio.Future[Value | None]]]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # who joins from here on starts the clock anew
        for key, futures in self._readers.items():
            yield from ((key, future) for future in futures if not future.done())


@define(eq=False)
class Loader(Generic[Key, Value]):
    """Collects keys until a lane is free, then fetches them all at once."""

    _fetch: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]
    _waiting: _Batch[Key, Value] = field(factory=_Batch, init=False)
    _lanes: set[asyncio.Task[None]] = field(factory=set, init=False)
    """Held here, as the loop holds tasks only weakly."""

    async def load(self, key: Key) -> Value | None:
        """Give the value of a key, or None.

        Raises:
            StoreUnavailable: the statement failed, or took too long.

        """
        first = not self._waiting
        future = self._waiting.join(key)
        # Later readers are taken along by the lane of the first, or by the next one that comes free.
        if first and len(self._lanes) < LANES:
            lane = asyncio.create_task(self._drive())
            self._lanes.add(lane)
        return await future

    async def _drive(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, _Batch()
                await self._serve(batch)
        finally:
            # At once, and not in a done callback: a reader who came in between would wait for nobody.
            self._lanes.remove(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _serve(self, batch: _Batch[Key, Value]) -> None:
        try:
            batch.settle(await self._fetch(batch.keys))
        except Exception as error:  # noqa: BLE001 - whatever it was, it belongs to those who wait
            batch.fail(error)
        except BaseException:
            batch.fail(StoreUnavailable())
            raise
