"""The call log: what was asked of the sandbox, counted by operation."""

from __future__ import annotations

from collections import Counter, deque

from attrs import define, field, frozen

KEPT = 10_000


@frozen
class Call:
    """One call: what, on which connection, how it ended, and when (seconds since the epoch).

    `connection_id` is Nango's, or the tag that a list was asked for.
    """

    operation: str
    status: int
    at: float
    integration: str | None = None
    connection_id: str | None = None


@define
class CallLog:
    """The last calls, and the number of all since the last reset."""

    _calls: deque[Call] = field(factory=lambda: deque(maxlen=KEPT))
    counts: Counter[str] = field(factory=Counter)

    def record(self, call: Call) -> None:
        """Add a call."""
        self._calls.append(call)
        self.counts[call.operation] += 1

    def matching(self, operation: str | None = None, connection_id: str | None = None) -> list[Call]:
        """Give the kept calls of an operation, of a connection, or all."""
        return [
            call
            for call in self._calls
            if operation in (None, call.operation) and connection_id in (None, call.connection_id)
        ]

    def reset(self) -> None:
        """Forget all calls."""
        self._calls.clear()
        self.counts.clear()
