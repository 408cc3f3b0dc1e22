"""What goes wrong, and when: switches that tests and people turn."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen

NANGO_KINDS = (
    "rate_limited",
    "server_error",
    "bad_gateway",
    "garbage",
    "hang",
    "disconnect",
    "database_down",
)
API_KINDS = ("dead", "forbidden", "rate_limited", "server_error", "garbage", "unreachable", "not_found")
TOKEN_KINDS = ("invalid_grant", "invalid_client", "server_error", "rate_limited", "html", "empty")

KINDS = {
    "nango": NANGO_KINDS,
    "provider_api": API_KINDS,
    "token_endpoint": TOKEN_KINDS,
}


@frozen
class Fault:
    """One thing that goes wrong.

    Args:
        id: Its number, by which it is taken away again.
        target: Whose fault: nango (its own API), provider_api (the proxied call) or token_endpoint.
        kind: What happens, one of KINDS[target]; None where there is only a delay.
        delay: Seconds to wait before the answer.
        operation: Only for this operation of Nango (as the call log names them).
        integration: Only for this integration.
        connection_id: Only for this connection (Nango's id).
        after: For nango: carry the operation out, then answer with the fault, as when an answer is lost.
        times: How often it happens; None for ever.

    """

    id: int
    target: str
    kind: str | None = None
    delay: float = 0.0
    operation: str | None = None
    integration: str | None = None
    connection_id: str | None = None
    after: bool = False
    times: int | None = None


@define
class Faults:
    """The faults that are switched on; the newest one that fits is the one that happens."""

    active: dict[int, Fault] = field(factory=dict)
    _left: dict[int, int] = field(factory=dict)
    _last: int = 0

    def add(self, target: str, kind: str | None, **where: Any) -> Fault:
        """Switch a fault on.

        Raises:
            ValueError: The target or the kind is not one of KINDS, or the kind and the delay are missing.

        """
        if target not in KINDS or (kind is not None and kind not in KINDS[target]):
            raise ValueError(f"No such fault: {target} {kind}. There are: {KINDS}")
        if kind is None and not where.get("delay"):
            raise ValueError("A fault needs a kind or a delay")
        self._last += 1
        fault = Fault(self._last, target, kind, **where)
        self.active[fault.id] = fault
        if fault.times is not None:
            self._left[fault.id] = fault.times
        return fault

    def remove(self, fault_id: int) -> bool:
        """Switch a fault off; whether it was on."""
        self._left.pop(fault_id, None)
        return self.active.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Switch everything off."""
        self.active.clear()
        self._left.clear()

    def next(
        self,
        target: str,
        *,
        operation: str | None = None,
        integration: str | None = None,
        connection_id: str | None = None,
    ) -> Fault | None:
        """Give the fault that happens to this call, and count it."""
        if not self.active:
            return None
        for fault in reversed(self.active.values()):
            fits = (
                fault.target == target
                and fault.operation in (None, operation)
                and fault.integration in (None, integration)
                and fault.connection_id in (None, connection_id)
            )
            if fits:
                self._count(fault)
                return fault
        return None

    def _count(self, fault: Fault) -> None:
        if fault.id in self._left:
            self._left[fault.id] -= 1
            if self._left[fault.id] <= 0:
                self.remove(fault.id)
