"""Random legal lives of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st

from domain.connection import ACTIVE, AuthKind, Connection, Origin
from domain.errors import IllegalTransition
from tests.contract.store.base import born

if TYPE_CHECKING:
    from datetime import datetime

    from application.ports import Store
    from domain.history import Change

Step: TypeAlias = tuple[str, dict[str, Any]]
Walk: TypeAlias = tuple[dict[str, Any], list[Step]]

_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_metadata = st.dictionaries(_text, _json, max_size=3)
_parameters = st.dictionaries(_text, _text, max_size=2)

_STEPS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "authorize": {"integration": _text},
    "restart_authorization": {"parameters": _parameters, "integration": _text},
    "reopen": {},
    "fail_authorization": {"error": st.sampled_from(["access_denied", "unknown_error"])},
    "abandon_authorization": {},
    "refresh": {},
    "find_healthy": {},
    "fail_refresh": {"reason": _text},
    "find_unhealthy": {"reason": _text},
    "expire": {"reason": _text},
    "disconnect": {"reason": _text},
    "identify": {"account_id": _text, "account_name": st.none() | _text},
    "update": {"name": st.none() | _text, "metadata": st.none() | _metadata},
    "delete": {},
}


def walks() -> st.SearchStrategy[Walk]:
    """Give a birth's facts and steps to try, most of them not from where the connection will stand."""
    birth = st.fixed_dictionaries(
        {
            "name": _text,
            "integration": _text,
            "metadata": _metadata,
            "parameters": _parameters,
            "auth_kind": st.sampled_from(AuthKind),
            "origin": st.just(Origin.CREATE),
        }
    )
    step = st.sampled_from(sorted(_STEPS)).flatmap(
        lambda verb: st.tuples(st.just(verb), st.fixed_dictionaries(_STEPS[verb]))
    )
    return st.tuples(birth, st.lists(step, max_size=12))


async def take(store: Store, walk: Walk) -> Connection:
    """Store the birth and every step that is legal; give where it ended."""
    birth, steps = walk
    connection = await born(store, **birth)
    for verb, facts in steps:
        async with store.begin() as tx:
            change = _try(connection, verb, facts, tx.now)
            if change is not None:
                assert await tx.connections.save(change)
                connection = change.after
    return connection


def _try(connection: Connection, verb: str, facts: dict[str, Any], at: datetime) -> Change | None:
    if connection.deleted_at is not None:
        return None
    if verb == "authorize":
        facts = {**facts, "nango_id": connection.nango_id or f"nango-{connection.id}"}
    try:
        change: Change | None = getattr(connection, verb)(at=at, by="tests", **facts)
    except IllegalTransition:
        return None
    # Nobody finds credentials healthy that were never granted.
    if change and change.after.status is ACTIVE and change.after.nango_id is None:
        return None
    return change
