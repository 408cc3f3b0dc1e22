"""An event loop whose clock jumps to the next timer: hours pass in no time, and always in the same order."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectors import SelectorKey


class _Skipping(selectors.SelectSelector):
    """Moves the time on instead of waiting. Nothing here does I/O: no one else can wake the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise AssertionError("Everybody waits for somebody else: nothing will ever happen again")
        self.elapsed += max(timeout, 0.0)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0; `sleep` and `timeout` take exactly as long as they say, by this clock."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Give the seconds that have passed."""
        return self._skipping.elapsed
