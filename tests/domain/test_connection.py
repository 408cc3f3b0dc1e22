"""What the verbs keep, give back and forget."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from domain.connection import Connection, ConnectionStatus
from domain.errors import IllegalTransition
from domain.events import EventType
from tests.domain.lives import ACTIVE, DISCONNECTED, ERROR, EXPIRED, LIVES, NOON, PENDING, VERBS, after, born

LATER = NOON + timedelta(hours=1)
FAILED, ABANDONED = EventType.AUTHORIZATION_FAILED, EventType.AUTHORIZATION_ABANDONED
RESTARTED = EventType.AUTHORIZATION_RESTARTED
KNOWN = ACTIVE.identify("acct_1", "Juniper", at=NOON, by="worker")


def test_a_birth_is_pending_and_told_in_full() -> None:
    change = born()
    assert change.before is None
    assert (change.event.type, change.event.version, change.event.status_before) == ("created", 1, None)
    assert Connection.replay([change.event]) == change.after


def test_an_authorization_brings_the_credentials_and_the_times() -> None:
    connection = PENDING.authorize(nango_id="n-2", integration="acme-2", at=LATER, by="callback").after
    assert (connection.nango_id, connection.integration) == ("n-2", "acme-2")
    assert connection.authorized_at == connection.last_synced_at == connection.updated_at == LATER


def test_a_first_authorization_that_fails_is_an_error_that_says_why() -> None:
    connection = VERBS[FAILED](PENDING).after
    assert (connection.status, connection.error_message) == ("error", "Authorization failed: access_denied")


def test_a_first_authorization_that_is_abandoned_is_an_error_that_says_why() -> None:
    connection = VERBS[ABANDONED](PENDING).after
    assert connection.error_message == "Authorization was not completed in time. Start it again."


@pytest.mark.parametrize("trigger", [EventType.REFRESHED, EventType.FOUND_HEALTHY])
def test_what_was_never_authorized_cannot_become_active_without_credentials(trigger: EventType) -> None:
    never_authorized = VERBS[FAILED](PENDING).after
    with pytest.raises(IllegalTransition):
        VERBS[trigger](never_authorized)


@pytest.mark.parametrize("before", [ERROR, EXPIRED, DISCONNECTED], ids=lambda c: c.status)
@pytest.mark.parametrize("ending", [FAILED, ABANDONED])
def test_a_reauthorization_that_fails_gives_back_status_and_message(
    before: Connection, ending: EventType
) -> None:
    pending = VERBS[RESTARTED](before).after
    assert pending.error_message is None
    change = VERBS[ending](pending)
    assert (change.after.status, change.after.error_message) == (before.status, before.error_message)
    assert (change.after.status_before_pending, change.after.error_before_pending) == (None, None)
    assert change.event.reason is not None
    assert change.after.nango_id == before.nango_id


@pytest.mark.parametrize("before", [ERROR, EXPIRED, DISCONNECTED], ids=lambda c: c.status)
def test_restarting_what_is_pending_keeps_what_to_give_back(before: Connection) -> None:
    once = VERBS[RESTARTED](before).after
    thrice = VERBS[RESTARTED](VERBS[RESTARTED](once).after).after
    assert VERBS[FAILED](thrice).after.status == before.status
    assert VERBS[FAILED](thrice).after.error_message == before.error_message


def test_restarting_a_first_authorization_still_ends_in_an_error() -> None:
    assert after(RESTARTED, RESTARTED, FAILED).status is ConnectionStatus.ERROR


@pytest.mark.parametrize("before", [PENDING, DISCONNECTED], ids=lambda c: c.status)
def test_a_restart_takes_the_new_parameters_where_there_are_no_credentials(before: Connection) -> None:
    assert _restarted(before, {"accountId": "9"}).parameters == {"accountId": "9"}


@pytest.mark.parametrize("before", [ERROR, EXPIRED], ids=lambda c: c.status)
def test_a_restart_leaves_credentials_the_parameters_they_came_with(before: Connection) -> None:
    assert _restarted(before, {"accountId": "9"}).parameters == before.parameters


def test_a_restart_takes_the_new_integration() -> None:
    assert _restarted(ERROR, {}).integration == "acme-2"


@pytest.mark.parametrize("before", [ERROR, EXPIRED, DISCONNECTED], ids=lambda c: c.status)
def test_reopening_is_a_restart_that_asks_for_nothing_else(before: Connection) -> None:
    change = before.reopen(at=LATER, by="callback")
    assert change.event.type is RESTARTED
    assert change.after.status == "pending"
    assert (change.after.parameters, change.after.integration) == (before.parameters, before.integration)
    assert VERBS[FAILED](change.after).after.status == before.status


def _restarted(before: Connection, parameters: dict[str, str]) -> Connection:
    return before.restart_authorization(
        parameters=parameters, integration="acme-2", at=NOON, by="api_key:ck_1"
    ).after


def test_a_success_forgets_what_was_to_be_given_back() -> None:
    connection = VERBS[EventType.AUTHORIZED](LIVES["pending after expired"]).after
    assert (connection.status_before_pending, connection.error_before_pending) == (None, None)


def test_what_has_expired_stays_expired_with_the_newer_reason() -> None:
    change = EXPIRED.expire(reason="The refresh limit has been reached", at=LATER, by="worker")
    assert (change.after.status, change.after.error_message) == (
        "expired",
        "The refresh limit has been reached",
    )
    assert change.event.type is EventType.REFRESH_FAILED


@pytest.mark.parametrize("trigger", [EventType.REFRESHED, EventType.FOUND_HEALTHY])
@pytest.mark.parametrize("before", [ACTIVE, ERROR, EXPIRED], ids=lambda c: c.status)
def test_good_news_moves_last_synced_at_alone(before: Connection, trigger: EventType) -> None:
    verb = before.refresh if trigger is EventType.REFRESHED else before.find_healthy
    connection = verb(at=LATER, by="api_key:ck_1").after
    assert (connection.last_synced_at, connection.authorized_at) == (LATER, before.authorized_at)


@pytest.mark.parametrize("trigger", [EventType.REFRESH_FAILED, EventType.FOUND_UNHEALTHY, EventType.EXPIRED])
def test_bad_news_keeps_the_credentials_and_gives_the_reason(trigger: EventType) -> None:
    change = VERBS[trigger](ACTIVE)
    assert change.after.nango_id == ACTIVE.nango_id
    assert change.after.error_message == change.event.reason


def test_a_disconnect_forgets_the_credentials_and_keeps_the_account() -> None:
    assert KNOWN is not None
    connection = VERBS[EventType.DISCONNECTED](KNOWN.after).after
    assert (connection.nango_id, connection.external_account_id) == (None, "acct_1")


def test_a_first_account_is_identified() -> None:
    assert KNOWN is not None
    assert (KNOWN.event.type, KNOWN.event.reason) == (EventType.ACCOUNT_IDENTIFIED, None)
    assert (KNOWN.after.external_account_id, KNOWN.after.external_account_name) == ("acct_1", "Juniper")
    assert KNOWN.after.status is ACTIVE.status


def test_the_same_account_again_is_no_news() -> None:
    assert KNOWN is not None
    assert KNOWN.after.identify("acct_1", "Juniper", at=LATER, by="worker") is None


def test_another_account_is_told_with_both_ids() -> None:
    assert KNOWN is not None
    change = KNOWN.after.identify("acct_2", "Harbour", at=LATER, by="worker")
    assert change is not None
    assert change.event.type is EventType.ACCOUNT_CHANGED
    assert change.event.reason == "The account changed from acct_1 to acct_2"


def test_the_same_account_under_a_new_name_has_not_changed() -> None:
    assert KNOWN is not None
    change = KNOWN.after.identify("acct_1", "Juniper & Fern", at=LATER, by="worker")
    assert change is not None
    assert change.event.type is EventType.ACCOUNT_IDENTIFIED
    assert change.event.changes == {"external_account_name": "Juniper & Fern"}


def test_an_update_changes_what_is_named() -> None:
    change = ACTIVE.update(name="Renamed", metadata=None, at=LATER, by="api_key:ck_1")
    assert change is not None
    assert change.event.changes == {"name": "Renamed"}
    assert (change.event.type, change.after.status) == (EventType.UPDATED, ACTIVE.status)


def test_metadata_is_replaced_and_may_become_empty() -> None:
    change = ACTIVE.update(name=None, metadata={}, at=LATER, by="api_key:ck_1")
    assert change is not None
    assert (change.after.metadata, change.after.name) == ({}, ACTIVE.name)


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (1, 1.0), (["a", 1], ["a", True])])
def test_metadata_that_only_python_takes_for_the_same_is_replaced(old: object, new: object) -> None:
    connection = attrs.evolve(ACTIVE, metadata={"key": old})
    change = connection.update(name=None, metadata={"key": new}, at=LATER, by="api_key:ck_1")
    assert change is not None
    assert repr(change.event.changes) == repr({"metadata": {"key": new}})


def test_a_change_happens_no_sooner_than_the_one_before_it() -> None:
    waited = NOON - timedelta(seconds=1)
    change = ACTIVE.update(name="Sandbox", metadata=None, at=waited, by="api_key:ck_1")
    assert change is not None
    assert (change.after.updated_at, change.event.at) == (NOON, NOON)


def test_an_update_to_what_is_there_is_no_news() -> None:
    assert ACTIVE.update(name=ACTIVE.name, metadata=ACTIVE.metadata, at=LATER, by="x") is None
    assert ACTIVE.update(name=None, metadata=None, at=LATER, by="x") is None


def test_a_deletion_leaves_the_tombstone_as_it_was() -> None:
    change = ACTIVE.delete(at=LATER, by="api_key:ck_1")
    assert change.event.changes == {"deleted_at": LATER}
    assert (change.after.nango_id, change.after.status) == (ACTIVE.nango_id, ACTIVE.status)


@pytest.mark.parametrize("versions", [[], [2], [1, 1], [1, 3]])
def test_a_history_with_a_gap_explains_nothing(versions: list[int]) -> None:
    change = born()
    restart = VERBS[RESTARTED](change.after)
    third = VERBS[RESTARTED](restart.after)
    events = {1: change.event, 2: restart.event, 3: third.event}
    with pytest.raises(ValueError, match=r"history has|does not follow"):
        Connection.replay(events[version] for version in versions)
