"""The judge itself: each invariant can fail, and what is sound is not accused."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from domain.authorization import Attempt
from domain.connection import AuthKind, Connection, Origin
from tests.chaos import checker
from tests.chaos.checker import ANSWERS, INVARIANTS, Evidence, Held, violations
from tests.chaos.ledger import Promise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.history import Change

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def begun(name: str, company: str = "acme") -> Change:
    return Connection.begin(
        id=f"conn_{name}",
        company_id=company,
        provider="slack",
        name=name,
        auth_kind=AuthKind.OAUTH,
        origin=Origin.AUTH_URL,
        integration="slack",
        parameters={},
        metadata={},
        at=NOON,
        by="test",
    )


FIRST = begun("first")
AUTHORIZED = FIRST.after.authorize(nango_id="n1", integration="slack", at=NOON, by="test")
ACTIVE = AUTHORIZED.after
WAITING = begun("waiting")
TAGS = {"connection": "conn_first", "company": "acme", "deployment": "d", "attempt": "a1"}
HELD = Held(integration="slack", nango_id="n1", tags=TAGS)
OPEN = Attempt(
    id="a2",
    company_id="acme",
    connection_id="conn_waiting",
    provider="slack",
    integration="slack",
    state_hash=b"",
    created_at=NOON,
    expires_at=NOON,
    check_at=NOON,
)
TOLD = Promise(
    id="conn_first", company="acme", statuses={"active"}, names={"first"}, facts=Counter({"authorized": 1})
)
SOUND = Evidence(
    connections=[ACTIVE, WAITING.after],
    events=[FIRST.event, AUTHORIZED.event, WAITING.event],
    attempts=[OPEN],
    deployment="d",
    held=[HELD],
    remembered=[TOLD],
    uncertain={"acme": 1},
    texts={"serve.log": "nothing", ANSWERS: "https://provider.example/?state=cs_" + "x" * 43},
)


def test_what_is_sound_is_not_accused() -> None:
    assert violations(SOUND) == []


def test_what_a_front_end_did_at_nango_is_no_orphan_while_it_is_waited_for() -> None:
    tags = TAGS | {"connection": "conn_waiting", "attempt": "a2"}
    held = Held(integration="slack", nango_id="n2", tags=tags)
    assert violations(attrs.evolve(SOUND, held=[HELD, held])) == []


def told(**different: Any) -> Evidence:
    return attrs.evolve(SOUND, remembered=[attrs.evolve(TOLD, **different)])


def with_tags(**different: str) -> Evidence:
    return attrs.evolve(SOUND, held=[attrs.evolve(HELD, tags=TAGS | different)])


def with_row(connection: Connection) -> Evidence:
    return attrs.evolve(SOUND, connections=[connection, WAITING.after])


ANOTHER = attrs.evolve(WAITING.after, id="conn_another")
UNSOUND: Mapping[str, tuple[Callable[..., object], Evidence]] = {
    "active, and not at Nango": (checker.active_is_held, attrs.evolve(SOUND, held=[])),
    "active, with other tags": (checker.active_is_held, with_tags(company="other")),
    "two pending": (
        checker.one_pending,
        attrs.evolve(SOUND, connections=[ACTIVE, WAITING.after, ANOTHER]),
    ),
    "a grant shared": (
        checker.grants_are_unique,
        attrs.evolve(SOUND, connections=[ACTIVE, attrs.evolve(ACTIVE, id="conn_another")]),
    ),
    "a row changed": (checker.history_replays, with_row(attrs.evolve(ACTIVE, name="changed"))),
    "an event lost": (
        checker.history_replays,
        attrs.evolve(SOUND, events=[AUTHORIZED.event, WAITING.event]),
    ),
    "pending for ever": (checker.pending_has_somebody, attrs.evolve(SOUND, attempts=[])),
    "a key that is tried for ever": (
        checker.pending_has_somebody,
        attrs.evolve(SOUND, connections=[ACTIVE, attrs.evolve(WAITING.after, auth_kind=AuthKind.API_KEY)]),
    ),
    "half done": (checker.nothing_is_half_done, attrs.evolve(SOUND, half_done=["a claim: a1"])),
    "an attempt of another company": (
        checker.companies_are_apart,
        attrs.evolve(SOUND, attempts=[attrs.evolve(OPEN, company_id="other")]),
    ),
    "another company at Nango": (checker.companies_are_apart, with_tags(company="other")),
    "an orphan": (
        checker.nothing_is_orphaned,
        attrs.evolve(SOUND, held=[HELD, attrs.evolve(HELD, nango_id="n2")]),
    ),
    "a promise lost": (checker.promises_are_kept, told(id="conn_lost")),
    "a status lost": (checker.promises_are_kept, told(statuses={"disconnected"})),
    "a delete lost": (checker.promises_are_kept, told(statuses={"deleted"})),
    "a name lost": (checker.promises_are_kept, told(names={"renamed"})),
    "an event not written": (checker.promises_are_kept, told(facts=Counter({"refreshed": 1}))),
    "one too many": (checker.nothing_is_made_twice, attrs.evolve(SOUND, uncertain={"acme": 0})),
    "a token in a log": (
        checker.secrets_are_kept,
        attrs.evolve(SOUND, texts={"serve.log": '{"token": "at_' + "x" * 32 + '"}'}),
    ),
    "a state in a log": (
        checker.secrets_are_kept,
        attrs.evolve(SOUND, texts={"serve.log": "?state=cs_" + "x" * 43}),
    ),
    "a canary in an answer": (
        checker.secrets_are_kept,
        attrs.evolve(SOUND, texts={ANSWERS: '"canary-api-key"'}),
    ),
}


@pytest.mark.parametrize(("rule", "evidence"), UNSOUND.values(), ids=UNSOUND.keys())
def test_a_violation_is_reported_by_its_rule(rule: Callable[[Evidence], object], evidence: Evidence) -> None:
    assert list(rule(evidence)) != []  # type: ignore[call-overload] # an iterator of strings


def test_every_rule_was_seen_to_fail() -> None:
    assert {rule for rule, _ in UNSOUND.values()} == set(INVARIANTS)
