"""Whatever happens to a connection, in whatever order, its history explains it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from domain.connection import TRANSITIONS, Connection, ConnectionStatus
from domain.errors import IllegalTransition
from domain.events import Event, EventType
from tests.domain.lives import NOON, VERBS, born

if TYPE_CHECKING:
    from domain.history import Change

EXPLAINED = {ConnectionStatus.ERROR, ConnectionStatus.EXPIRED, ConnectionStatus.DISCONNECTED}
RECOVERIES = {EventType.REFRESHED, EventType.FOUND_HEALTHY}
IDS = st.sampled_from(["acct_1", "acct_2"])
NAMES = st.sampled_from(["Production", "Test", None])
Step = EventType | tuple[str, str, object]
STEPS = st.one_of(
    st.sampled_from(sorted(VERBS)),
    st.tuples(st.just("identify"), IDS, NAMES),
    st.tuples(st.just("update"), NAMES, st.none() | st.dictionaries(st.text(max_size=2), st.integers())),
)


def step(connection: Connection, wanted: Step) -> Change | None:
    match wanted:
        case ("identify", str(account_id), str() | None as name):
            return connection.identify(account_id, name, at=NOON, by="worker")
        case ("update", str() | None as name, dict() | None as metadata):
            return connection.update(name=name, metadata=metadata, at=NOON, by="api_key:ck_1")
        case EventType():
            return VERBS[wanted](connection)
    raise AssertionError(wanted)


def walk(steps: list[Step]) -> tuple[list[Connection], list[Event]]:
    birth = born()
    lives, events = [birth.after], [birth.event]
    for wanted in steps:
        try:
            change = step(lives[-1], wanted)
        except IllegalTransition:
            without_credentials = wanted in RECOVERIES and lives[-1].nango_id is None
            assert without_credentials or (lives[-1].status, wanted) not in TRANSITIONS
            continue
        if change:
            lives.append(change.after)
            events.append(change.event)
    return lives, events


@given(st.lists(STEPS, max_size=40))
def test_a_history_replays_to_the_connection_at_every_step(
    steps: list[Step],
) -> None:
    lives, events = walk(steps)
    for count, connection in enumerate(lives, 1):
        assert Connection.replay(events[:count]) == connection


@given(st.lists(STEPS, max_size=40))
def test_versions_have_no_gap_and_statuses_join_up(
    steps: list[Step],
) -> None:
    _, events = walk(steps)
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    for earlier, later in pairwise(events):
        assert later.status_before == earlier.status


@given(st.lists(STEPS, max_size=40))
def test_a_message_is_there_exactly_where_a_status_needs_one(
    steps: list[Step],
) -> None:
    for connection in walk(steps)[0]:
        assert (connection.error_message is not None) == (connection.status in EXPLAINED)


@given(st.lists(STEPS, max_size=40))
def test_credentials_are_there_when_active_and_gone_when_disconnected(
    steps: list[Step],
) -> None:
    for connection in walk(steps)[0]:
        if connection.status is ConnectionStatus.ACTIVE:
            assert connection.nango_id is not None
        if connection.status is ConnectionStatus.DISCONNECTED:
            assert connection.nango_id is None


@given(st.lists(STEPS, max_size=40))
def test_what_to_give_back_is_kept_only_while_pending(
    steps: list[Step],
) -> None:
    for connection in walk(steps)[0]:
        if connection.status is not ConnectionStatus.PENDING:
            assert (connection.status_before_pending, connection.error_before_pending) == (None, None)


def test_a_replay_takes_the_time_of_the_last_event() -> None:
    birth = born()
    change = birth.after.authorize(nango_id="n", integration="acme", at=NOON + timedelta(1), by="callback")
    assert Connection.replay([birth.event, change.event]).updated_at == NOON + timedelta(1)
