"""One piece of work for all who ask for it at the same time, within one process; see `flights` for more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

Result = TypeVar("Result")


@frozen
class SingleFlight:
    """Callers with the same key share one task; one that goes away does not take it along."""

    _tasks: dict[Hashable, asyncio.Task[Any]] = field(init=False, factory=dict)

    async def join(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """Await the work under way for `key`, or start it."""
        task: asyncio.Task[Result] | None = self._tasks.get(key)
        if task is None:
            task = asyncio.ensure_future(_as_coroutine(work))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def _land(self, key: Hashable, done: asyncio.Task[Any]) -> None:
        del self._tasks[key]
        if not done.cancelled():
            done.exception()  # whoever still waits gets it; nobody need be left to


async def _as_coroutine(work: Callable[[], Awaitable[Result]]) -> Result:
    return await work()
