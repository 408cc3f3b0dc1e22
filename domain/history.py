"""A step of a connection, together with the fact that explains it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from domain.events import Event, EventType

if TYPE_CHECKING:
    from domain.connection import Connection

DERIVED = frozenset({"id", "company_id", "version", "updated_at"})
"""Fields that an event carries itself, so that its `changes` need not repeat them."""


@frozen
class Change:
    """A step of a connection with the fact that explains it: the only thing a repository can save.

    `before` is None at a birth.
    """

    before: Connection | None
    after: Connection
    event: Event

    @classmethod
    def of(
        cls, before: Connection | None, after: Connection, type: EventType, reason: str | None, *, by: str
    ) -> Change:
        """Derive the fact from the step: `changes` holds the fields that differ, all of them at a birth."""
        names = [a.name for a in attrs.fields(after.__class__) if a.name not in DERIVED]
        event = Event(
            company_id=after.company_id,
            connection_id=after.id,
            version=after.version,
            type=type,
            at=after.updated_at,
            actor=by,
            status_before=before.status if before else None,
            status=after.status,
            reason=reason,
            changes={
                name: getattr(after, name)
                for name in names
                if before is None or not same(getattr(after, name), getattr(before, name))
            },
        )
        return cls(before, after, event)


def same(one: Any, other: Any) -> bool:
    """Whether two values of a field are the same once written: to Python true equals 1, in JSON not."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return json.dumps(dict(one), sort_keys=True) == json.dumps(dict(other), sort_keys=True)
    return bool(one == other)
