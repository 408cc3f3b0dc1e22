"""What callers were told, and what may be besides where they were told nothing."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

STANDING = frozenset({"active", "error", "expired", "disconnected", "pending"})


@define
class Promise:
    """A connection as its company may rely on it.

    Args:
        id: the connection's.
        company: whose it is.
        statuses: what its status may be, "deleted" included: one, unless a call was not answered.
        names: what its name may be.
        facts: how often an event of a type was acknowledged, so that its history must have as many.
        undecided: a callback was not answered: Nango and the worker may decide on their own, later.

    """

    id: str
    company: str
    statuses: set[str]
    names: set[str]
    provider: str = ""
    facts: Counter[str] = field(factory=Counter)
    undecided: bool = False

    def became(self, status: str, fact: str | None = None) -> None:
        """Note an acknowledged change."""
        # A new link ends no callback that is under way; a success, a delete and a disconnect end them all.
        self.undecided &= status == "pending"
        self.statuses = {status, *(STANDING if self.undecided else ())}
        if fact is not None:
            self.facts[fact] += 1

    def may_be(self, *statuses: str) -> None:
        """Note a change that was not acknowledged."""
        self.statuses |= set(statuses)

    def seen(self, status: str) -> None:
        """Compare with what a read says, which is the truth from then on."""
        assert status in self.statuses, f"{self.id} reads {status}; callers were told {sorted(self.statuses)}"
        if not self.undecided:
            self.statuses = {status}


@define
class Ledger:
    """Everything that was promised in a run."""

    promises: dict[str, Promise] = field(factory=dict)
    uncertain: Counter[str] = field(factory=Counter)

    def begun(self, connection_id: str, company: str, name: str, provider: str) -> Promise:
        """Note a connection that was acknowledged as pending."""
        promise = self.promises.setdefault(
            connection_id,
            Promise(id=connection_id, company=company, statuses={"pending"}, names={name}, provider=provider),
        )
        promise.became("pending")
        return promise
