"""What confirms an attempt, how long it holds its siblings, when it is looked at again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from domain.authorization import (
    GIVE_UP,
    HOLD,
    LIFETIME,
    LOOKUP_DELAY,
    PATIENCE,
    RELAY_DEADLINE,
    Attempt,
    AttemptMode,
    Grant,
    Outcome,
    safe_error,
)
from tests.domain.lives import NOON

ATTEMPT = Attempt(
    id="attempt-1",
    company_id="acme-inc",
    connection_id="conn_1",
    provider="acme",
    integration="acme",
    mode=AttemptMode.RELAY,
    state_hash=b"\x01" * 32,
    created_at=NOON,
    expires_at=NOON + LIFETIME,
    check_at=NOON + LIFETIME,
)
CLAIMED = attrs.evolve(ATTEMPT, claimed_at=NOON)
RECONNECT = attrs.evolve(CLAIMED, nango_id="nango-1")
TAGS = ATTEMPT.tags("deployment-1")
GRANT = Grant(nango_id="nango-1", integration="acme", tags=TAGS)


@pytest.mark.parametrize(
    ("attempt", "until"),
    [
        (ATTEMPT, PATIENCE),
        (CLAIMED, GIVE_UP),
        (attrs.evolve(ATTEMPT, claimed_at=NOON + LIFETIME / 2), LIFETIME / 2 + GIVE_UP),
    ],
    ids=["not back yet", "back", "back late"],
)
def test_nobody_waits_for_an_outcome_without_end(attempt: Attempt, until: timedelta) -> None:
    moments = (NOON + until - timedelta(seconds=1), NOON + until)
    assert [attempt.worth_waiting_for(moment) for moment in moments] == [True, False]


def test_nobody_waits_for_what_has_ended() -> None:
    closed = attrs.evolve(CLAIMED, closed_at=NOON, outcome=Outcome.FAILED, check_at=None)
    assert not closed.worth_waiting_for(NOON)


def test_an_attempt_is_tagged_with_all_that_it_is() -> None:
    assert TAGS == {
        "connection": "conn_1",
        "company": "acme-inc",
        "deployment": "deployment-1",
        "attempt": "attempt-1",
    }


@pytest.mark.parametrize("attempt", [CLAIMED, RECONNECT], ids=["first", "reconnect"])
def test_a_grant_with_all_its_tags_confirms_an_attempt(attempt: Attempt) -> None:
    assert attempt.confirmed_by(GRANT)


def test_a_first_attempt_takes_whatever_id_nango_chose() -> None:
    assert CLAIMED.confirmed_by(attrs.evolve(GRANT, nango_id="nango-9"))


def test_an_attempt_whose_browser_has_not_come_back_is_confirmed_by_nothing() -> None:
    assert not ATTEMPT.confirmed_by(GRANT)


@pytest.mark.parametrize("mode", [AttemptMode.SESSION, AttemptMode.DIRECT])
def test_an_attempt_whose_browser_never_comes_to_us_needs_no_more_than_the_grant(mode: AttemptMode) -> None:
    assert attrs.evolve(ATTEMPT, mode=mode).confirmed_by(GRANT)


@pytest.mark.parametrize("attempt", [CLAIMED, RECONNECT], ids=["first", "reconnect"])
@pytest.mark.parametrize(
    "altered",
    [
        *({"tags": {**TAGS, tag: "other"}} for tag in ("attempt", "connection", "company")),
        *({"tags": {**TAGS, tag: ""}} for tag in ("attempt", "connection", "company")),
        *(
            {"tags": {key: value for key, value in TAGS.items() if key != tag}}
            for tag in ("attempt", "connection", "company")
        ),
        {"tags": {}},
        {"integration": "acme-sandbox"},
        {"integration": ""},
    ],
    ids=str,
)
def test_a_grant_that_differs_in_one_thing_confirms_nothing(
    attempt: Attempt, altered: dict[str, Any]
) -> None:
    assert not attempt.confirmed_by(attrs.evolve(GRANT, **altered))


def test_a_reconnect_is_not_confirmed_by_another_id() -> None:
    assert not RECONNECT.confirmed_by(attrs.evolve(GRANT, nango_id="nango-9"))


def test_a_reconnect_is_not_confirmed_by_the_tags_of_the_attempt_before() -> None:
    before = attrs.evolve(RECONNECT, id="attempt-0")
    assert not RECONNECT.confirmed_by(attrs.evolve(GRANT, tags=before.tags("deployment-1")))


def test_an_unclaimed_attempt_holds_nobody() -> None:
    assert not ATTEMPT.holds(NOON)


@pytest.mark.parametrize(("seconds", "holds"), [(0, True), (59, True), (60, False), (3600, False)])
def test_a_claim_holds_its_siblings_for_a_minute(seconds: int, holds: bool) -> None:
    claimed = attrs.evolve(ATTEMPT, claimed_at=NOON)
    assert claimed.holds(NOON + timedelta(seconds=seconds)) is holds


def test_a_closed_attempt_holds_nobody() -> None:
    closed = attrs.evolve(ATTEMPT, claimed_at=NOON, closed_at=NOON, outcome=Outcome.FAILED)
    assert not closed.holds(NOON)


def test_a_claim_outlasts_its_relay() -> None:
    assert RELAY_DEADLINE < LOOKUP_DELAY < HOLD


@pytest.mark.parametrize(
    ("checks", "seconds"), [(0, 20), (1, 40), (2, 80), (3, 160), (4, 320), (5, 320), (99, 320)]
)
def test_a_claim_is_looked_up_after_20_seconds_and_then_ever_less_often(checks: int, seconds: int) -> None:
    claimed = attrs.evolve(ATTEMPT, claimed_at=NOON, checks=checks)
    assert claimed.next_check(NOON) == NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize("checks", [0, 5])
def test_where_the_browser_comes_to_us_the_end_is_soon_enough(checks: int) -> None:
    assert attrs.evolve(ATTEMPT, checks=checks).next_check(NOON) == NOON + LIFETIME


@pytest.mark.parametrize("mode", [AttemptMode.DIRECT, AttemptMode.SESSION, None])
@pytest.mark.parametrize(("checks", "seconds"), [(0, 5), (1, 15), (2, 30), (3, 60), (4, 60), (50, 60)])
def test_elsewhere_nango_is_asked_soon(mode: AttemptMode | None, checks: int, seconds: int) -> None:
    attempt = attrs.evolve(ATTEMPT, mode=mode, checks=checks)
    assert attempt.next_check(NOON) == NOON + timedelta(seconds=seconds)


def test_the_last_look_is_at_the_end() -> None:
    attempt = attrs.evolve(ATTEMPT, mode=AttemptMode.DIRECT, checks=9)
    assert attempt.next_check(ATTEMPT.expires_at - timedelta(seconds=3)) == ATTEMPT.expires_at


@pytest.mark.parametrize("error", ["access_denied", "a", "_", "x" * 64])
def test_an_oauth_error_code_is_passed_on(error: str) -> None:
    assert safe_error(error) == error


@pytest.mark.parametrize(
    "error",
    [
        *(None, "", "Access_Denied", "access denied", "access-denied", "access_denied\n", "\naccess_denied"),
        *("x" * 65, "<script>", "error1", "é", "\uff41ccess", "a&b=c", "a%0d", "a\x00", "https://evil.com"),
    ],
    ids=ascii,
)
def test_anything_else_becomes_unknown(error: str | None) -> None:
    assert safe_error(error) == "unknown_error"
