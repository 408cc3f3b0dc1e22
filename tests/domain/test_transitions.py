"""Every state against every trigger: what is legal leads where the design says, all else is refused."""

from __future__ import annotations

from itertools import product

import attrs
import pytest

from domain.connection import TRANSITIONS, TRIGGERS, ConnectionStatus
from domain.errors import IllegalTransition
from domain.events import EventType
from tests.domain.lives import LIVES, NOON, VERBS

_LOST = {"refresh_failed": "error", "found_unhealthy": "error", "expired": "expired"}
_FOUND = {"refreshed": "active", "found_healthy": "active", "authorized": "active"}
_PENDING = {"authorized": "active", "authorization_restarted": "pending", "disconnected": "disconnected"}
_AGAIN = {"authorization_restarted": "pending", "disconnected": "disconnected"}


def _falls_back_to(status: str) -> dict[str, str]:
    return {"authorization_failed": status, "authorization_abandoned": status}


LEGAL: dict[str, dict[str, str]] = {
    "pending": _PENDING | _falls_back_to("error"),
    "pending after error": _PENDING | _falls_back_to("error"),
    "pending after expired": _PENDING | _falls_back_to("expired"),
    "pending after disconnected": _PENDING | _falls_back_to("disconnected"),
    "active": _FOUND | _LOST | {"disconnected": "disconnected"},
    "error": _FOUND | _LOST | _AGAIN,
    "expired": _FOUND | dict.fromkeys(_LOST, "expired") | _AGAIN,
    "disconnected": {"authorization_restarted": "pending"},
}
"""The design's table of states, by hand: what a trigger leads to from each state; absent: illegal."""

PAIRS = list(product(LIVES, sorted(TRIGGERS)))
LEGAL_PAIRS = [(life, trigger) for life, trigger in PAIRS if trigger in LEGAL[life]]
ILLEGAL_PAIRS = [(life, trigger) for life, trigger in PAIRS if trigger not in LEGAL[life]]


def test_every_trigger_has_a_verb_and_every_status_a_life() -> None:
    assert set(VERBS) == TRIGGERS
    assert {connection.status for connection in LIVES.values()} == set(ConnectionStatus)


@pytest.mark.parametrize(("life", "trigger"), LEGAL_PAIRS)
def test_a_legal_trigger_leads_where_the_design_says(life: str, trigger: EventType) -> None:
    change = VERBS[trigger](LIVES[life])
    assert change.after.status == LEGAL[life][trigger]


@pytest.mark.parametrize(("life", "trigger"), LEGAL_PAIRS)
def test_a_step_is_told_by_one_event(life: str, trigger: EventType) -> None:
    before = LIVES[life]
    change = VERBS[trigger](before)
    # expiring what has expired is one more failure, since nothing new has happened to it
    told = EventType.REFRESH_FAILED if (life, trigger) == ("expired", "expired") else trigger
    event = change.event
    assert (event.type, event.status_before, event.status) == (told, before.status, change.after.status)
    assert (change.before, event.version, event.at) == (before, before.version + 1, NOON)


@pytest.mark.parametrize(("life", "trigger"), ILLEGAL_PAIRS)
def test_an_illegal_trigger_is_refused_and_changes_nothing(life: str, trigger: EventType) -> None:
    connection = LIVES[life]
    copy = attrs.evolve(connection)
    with pytest.raises(IllegalTransition) as caught:
        VERBS[trigger](connection)
    assert str(caught.value) == f"A connection that is {copy.status} cannot be {trigger.replace('_', ' ')}"
    assert connection == copy


def test_the_verbs_reach_exactly_the_targets_of_the_table() -> None:
    reached: dict[tuple[ConnectionStatus, EventType], frozenset[ConnectionStatus]] = {}
    for life, trigger in LEGAL_PAIRS:
        change = VERBS[trigger](LIVES[life])
        pair = (LIVES[life].status, change.event.type)
        reached[pair] = reached.get(pair, frozenset()) | {change.after.status}
    assert reached == TRANSITIONS


@pytest.mark.parametrize(("life", "trigger"), PAIRS)
def test_nothing_moves_a_deleted_connection(life: str, trigger: EventType) -> None:
    deleted = LIVES[life].delete(at=NOON, by="api_key:ck_1").after
    with pytest.raises(IllegalTransition):
        VERBS[trigger](deleted)


def test_nobody_can_change_the_table() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[ConnectionStatus.ACTIVE, EventType.CREATED] = frozenset()  # type: ignore[index]  # the point
