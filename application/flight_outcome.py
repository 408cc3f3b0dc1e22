"""How a flight ended, in the words that processes leave each other: those who wait get the leader's error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from domain import errors
from domain.errors import DomainError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERRUPTED = "The call was interrupted. Try again."

_KINDS: Mapping[str, type[DomainError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DomainError)
}


def interrupted() -> Unavailable:
    """Say that nobody knows how it would have ended."""
    return Unavailable(INTERRUPTED, retry_after=1)


def write(problem: DomainError | None) -> str:
    """Write down what came of it; None is success."""
    if problem is None:
        return "{}"
    return json.dumps({"code": problem.code, "message": str(problem), "facts": vars(problem)})


def read(outcome: str) -> DomainError | None:
    """Give the very error that was written, of its own kind; None is success.

    A kind that this release does not know, of one that runs beside it, is an interruption.
    """
    told = json.loads(outcome)
    if not told:
        return None
    kind = _KINDS.get(told.get("code"))
    if kind is None:
        return interrupted()
    # Not by its own constructor: each takes other things.
    problem = kind.__new__(kind, told["message"])
    vars(problem).update({name: _unchangeable(fact) for name, fact in told["facts"].items()})
    return problem


def _unchangeable(fact: Any) -> Any:
    """Make tuples, which errors hold, of the lists that JSON made of them."""
    return tuple(_unchangeable(each) for each in fact) if isinstance(fact, list) else fact
