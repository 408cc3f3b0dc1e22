"""What a test may write into an adapter in memory: failures to come, and calls to keep waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from domain.errors import DomainError


@define
class _Fault:
    """An exception to raise: for which operations (None: all), how often yet, before or after the effect."""

    error: DomainError
    operations: frozenset[str] | None
    times: int | None
    after: bool


class Gate(asyncio.Event):
    """Keeps calls waiting until it is set; `reached` is set once the first of them waits."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def pass_through(self) -> None:
        """Wait for the gate to open."""
        self.reached.set()
        await self.wait()


class Scripted:
    """Counts calls by operation, holds them, and makes them fail.

    Attributes:
        calls: how often each operation was called, failed and waiting calls included.

    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._faults: list[_Fault] = []
        self._gates: dict[tuple[str, bool], Gate] = {}

    def fail_with(
        self,
        error: DomainError,
        operations: Iterable[str] | None = None,
        *,
        times: int | None = 1,
        after: bool = False,
    ) -> None:
        """Raise this from the next calls; `after`: once they have taken effect, as when an answer is lost."""
        wanted = None if operations is None else frozenset(operations)
        self._faults.append(_Fault(error, wanted, times, after))

    def heal(self) -> None:
        """Forget all failures to come."""
        self._faults.clear()

    def hold(self, operation: str, *, after: bool = False) -> Gate:
        """Keep calls waiting until the gate is set; `after`: with their effect done."""
        gate = Gate()
        self._gates[operation, after] = gate
        return gate

    @asynccontextmanager
    async def _call(self, operation: str) -> AsyncIterator[None]:
        self.calls[operation] += 1
        await self._obey(operation, after=False)
        yield
        await self._obey(operation, after=True)

    async def _obey(self, operation: str, *, after: bool) -> None:
        gate = self._gates.get((operation, after))
        if gate is not None:
            await gate.pass_through()
        for fault in self._faults:
            if fault.after == after and (fault.operations is None or operation in fault.operations):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                raise fault.error
