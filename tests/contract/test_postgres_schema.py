"""The guards of the schema itself, tried by hand-written SQL that goes around the adapter."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import attrs
import pytest

from adapters.postgres.errors import StoreFault
from adapters.postgres.rows import ConnectionFields
from adapters.postgres.store import PostgresStore
from adapters.system.ids import SystemIds
from application.owed import owe_a_look
from domain.connection import TRANSITIONS, TRIGGERS, Connection
from domain.errors import ConcurrentChange
from domain.events import EventType
from domain.history import DERIVED
from tests.contract.store.base import ACME, RIVAL, a_birth, an_attempt, authorized, born, stepped, tried
from tests.contract.store.flights import board

if TYPE_CHECKING:
    from adapters.postgres.pool import Pool
    from domain.history import Change

_WITH_EVENT = """
WITH moved AS (UPDATE connections SET version = version + 1, {} WHERE id = $1 RETURNING *)
INSERT INTO events (company_id, connection_id, version, type, at, actor, status_before, status, changes)
SELECT company_id, id, version, $2, clock(), 'hand', $3, $4, '{{}}' FROM moved
"""


@pytest.fixture
def store(postgres_pool: Pool) -> PostgresStore:
    return PostgresStore(postgres_pool)


async def test_the_table_of_transitions_is_the_domains(postgres_pool: Pool) -> None:
    rows = await postgres_pool.fetch("SELECT status_before, trigger, status FROM transitions")

    assert sorted(tuple(row) for row in rows) == sorted(
        (before.value, trigger.value, after.value)
        for (before, trigger), targets in TRANSITIONS.items()
        for after in targets
    )


@pytest.mark.parametrize("type", EventType)
async def test_an_event_is_a_trigger_where_the_domain_says_so(
    postgres_pool: Pool, store: PostgresStore, type: EventType
) -> None:
    await _one_of(store, type)

    triggers = {row["trigger"] for row in await postgres_pool.fetch("SELECT trigger FROM events")}
    assert (type.value in triggers) == (type in TRIGGERS)


async def _one_of(store: PostgresStore, type: EventType) -> None:
    """Make an event of this type happen."""
    pending = await born(store)
    verbs: dict[EventType, tuple[str, dict[str, object]]] = {
        EventType.AUTHORIZATION_RESTARTED: (
            "restart_authorization",
            {"parameters": {}, "integration": "stripe"},
        ),
        EventType.AUTHORIZATION_FAILED: ("fail_authorization", {"error": "access_denied"}),
        EventType.AUTHORIZATION_ABANDONED: ("abandon_authorization", {}),
        EventType.DISCONNECTED: ("disconnect", {"reason": "x"}),
        EventType.DELETED: ("delete", {}),
        EventType.UPDATED: ("update", {"name": "Other", "metadata": None}),
        EventType.ACCOUNT_IDENTIFIED: ("identify", {"account_id": "acct_1", "account_name": None}),
    }
    active_verbs: dict[EventType, tuple[str, dict[str, object]]] = {
        EventType.REFRESHED: ("refresh", {}),
        EventType.FOUND_HEALTHY: ("find_healthy", {}),
        EventType.REFRESH_FAILED: ("fail_refresh", {"reason": "x"}),
        EventType.FOUND_UNHEALTHY: ("find_unhealthy", {"reason": "x"}),
        EventType.EXPIRED: ("expire", {"reason": "x"}),
    }
    if type in verbs:
        verb, facts = verbs[type]
        await stepped(store, pending, verb, **facts)
    elif type is EventType.ACCOUNT_CHANGED:
        known = await stepped(store, pending, "identify", account_id="acct_1", account_name=None)
        await stepped(store, known, "identify", account_id="acct_2", account_name=None)
    elif type is not EventType.CREATED:
        active = await authorized(store)
        if type in active_verbs:
            verb, facts = active_verbs[type]
            await stepped(store, active, verb, **facts)


def test_the_json_of_an_event_can_hold_every_field_of_a_connection() -> None:
    fields = {field.name for field in attrs.fields(Connection)} - DERIVED

    assert set(ConnectionFields.__annotations__) == fields


async def test_an_update_that_no_trigger_explains_is_refused(
    postgres_pool: Pool, store: PostgresStore
) -> None:
    active = await authorized(store)

    with pytest.raises(asyncpg.CheckViolationError, match="no trigger leads from active to pending"):
        await postgres_pool.execute(
            _WITH_EVENT.format("status = 'pending'"), active.id, "updated", "active", "active"
        )


async def test_an_event_of_an_illegal_transition_is_refused(
    postgres_pool: Pool, store: PostgresStore
) -> None:
    active = await authorized(store)

    with pytest.raises(asyncpg.ForeignKeyViolationError, match="events_are_legal_transitions"):
        await postgres_pool.execute(
            _WITH_EVENT.format("status = 'expired', error_message = 'x'"),
            active.id,
            "refreshed",
            "active",
            "expired",
        )


async def test_an_event_beside_the_state_machine_moves_no_status(
    postgres_pool: Pool, store: PostgresStore
) -> None:
    active = await authorized(store)

    with pytest.raises(asyncpg.CheckViolationError, match="keep_the_status"):
        await postgres_pool.execute(
            _WITH_EVENT.format("status = 'expired', error_message = 'x'"),
            active.id,
            "updated",
            "active",
            "expired",
        )


async def test_a_version_without_its_event_is_refused(postgres_pool: Pool, store: PostgresStore) -> None:
    connection = await born(store)

    with pytest.raises(asyncpg.ForeignKeyViolationError, match="version_is_explained"):
        await postgres_pool.execute(
            "UPDATE connections SET version = version + 1, name = 'x' WHERE id = $1", connection.id
        )


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ("name = 'x'", "exactly one new version"),
        ("version = version + 2", "exactly one new version"),
        ("version = version + 1, provider = 'x'", "born as"),
        ("version = version + 1, company_id = 'x'", "born as"),
        ("version = version + 1, created_at = clock() - interval '1 day'", "born as"),
    ],
)
async def test_a_hand_written_change_is_refused(
    postgres_pool: Pool, store: PostgresStore, change: str, because: str
) -> None:
    connection = await born(store)
    sql = f"UPDATE connections SET {change} WHERE id = $1"  # noqa: S608 - our own words

    with pytest.raises(asyncpg.CheckViolationError, match=because):
        await postgres_pool.execute(sql, connection.id)


async def test_a_deleted_connection_cannot_be_brought_back(postgres_pool: Pool, store: PostgresStore) -> None:
    gone = await stepped(store, await born(store), "delete")

    with pytest.raises(asyncpg.CheckViolationError, match="a deleted connection does not change"):
        await postgres_pool.execute(
            "UPDATE connections SET version = version + 1, deleted_at = NULL WHERE id = $1", gone.id
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "active"},
        {"status": "error"},
        {"status": "unknown"},
        {"error_message": "x"},
        {"name": ""},
        {"company_id": ""},
        {"auth_kind": "password"},
        {"status_before_pending": "active"},
        {"status": "error", "error_message": "x", "status_before_pending": "expired"},
        {"status": "disconnected", "error_message": "x", "nango_id": "n"},
    ],
)
async def test_a_row_that_contradicts_itself_is_refused(store: PostgresStore, wrong: dict[str, Any]) -> None:
    async with store.begin() as tx:
        change = a_birth(tx.now)
    broken = attrs.evolve(change, after=attrs.evolve(change.after, **wrong))

    with pytest.raises(StoreFault, match="23514"):
        await _save(store, broken)


async def _save(store: PostgresStore, change: Change) -> None:
    async with store.begin() as tx:
        await tx.connections.save(change)


_OTHER_COMPANY = "UPDATE {} SET company_id = 'rival'"
_LONELY_EVENT = """
INSERT INTO events (company_id, connection_id, version, type, at, actor, status, changes)
VALUES ('acme', 'nobody', 1, 'created', clock(), 'hand', 'pending', '{}')
"""
_KEY_ITSELF = """
INSERT INTO api_keys (company_id, scope, prefix, digest) VALUES ('acme', 'read', 'ck_', 'a key itself')
"""


@pytest.mark.parametrize(
    "statement",
    [
        _OTHER_COMPANY.format("attempts"),
        _OTHER_COMPANY.format("jobs"),
        _OTHER_COMPANY.format("flights"),
        _LONELY_EVENT,
        _KEY_ITSELF,
        "UPDATE attempts SET state_hash = 'a state'",
        "UPDATE attempts SET closed_at = clock(), check_at = NULL",
        "UPDATE attempts SET outcome = 'failed', check_at = NULL",
        "UPDATE events SET type = 'updated'",
        "UPDATE events SET status_before = 'pending'",
    ],
)
async def test_a_row_that_means_nothing_is_refused(
    postgres_pool: Pool, store: PostgresStore, statement: str
) -> None:
    connection = await born(store)
    await tried(store, connection)
    await board(store, connection)
    async with store.begin() as tx:
        await owe_a_look(tx, connection, SystemIds(), delay=timedelta())

    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await postgres_pool.execute(statement)


async def test_a_state_is_one_attempts(store: PostgresStore) -> None:
    connection = await born(store)
    attempt = await tried(store, connection)

    with pytest.raises(ConcurrentChange):
        await tried(store, connection, state_hash=attempt.state_hash)


async def test_a_stored_address_that_is_accepted_no_more_is_not_followed(
    postgres_pool: Pool, store: PostgresStore
) -> None:
    attempt = await tried(store, await born(store))
    await postgres_pool.execute("UPDATE attempts SET redirect_url = 'javascript:alert(1)'")

    async with store.begin() as tx:
        assert await tx.attempts.get(attempt.id) == attempt


async def test_every_foreign_key_begins_with_the_company(postgres_pool: Pool) -> None:
    rows = await postgres_pool.fetch(
        """
        SELECT conname, (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1])
        FROM pg_constraint WHERE contype = 'f' AND confrelid <> 'transitions'::regclass
        """
    )

    assert {row["attname"] for row in rows} == {"company_id"}


async def test_a_row_cannot_point_into_another_company(postgres_pool: Pool, store: PostgresStore) -> None:
    attempt = await tried(store, await born(store))

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await postgres_pool.execute("UPDATE attempts SET company_id = $2 WHERE id = $1", attempt.id, RIVAL)


async def test_only_an_oauth_error_code_is_kept(store: PostgresStore) -> None:
    async with store.begin() as tx:
        change = a_birth(tx.now)
        await tx.connections.save(change)

    with pytest.raises(StoreFault, match="23514"):
        await tried(store, change.after, error="<script>")


async def test_metadata_comes_back_number_by_number(store: PostgresStore) -> None:
    metadata = {"big": 2**53, "small": 1e-300, "whole": 1.0, "zero": 0}
    connection = await born(store, metadata=metadata)

    found = (await store.find(ACME, connection.id)).metadata

    assert [(value, type(value)) for value in found.values()] == [
        (value, type(value)) for value in metadata.values()
    ]


async def test_an_attempt_lives_by_the_databases_clock(store: PostgresStore) -> None:
    connection = await born(store)
    async with store.begin() as tx:
        # The caller's idea of the time does not count.
        attempt = an_attempt(connection, tx.now, expires_at=tx.now - timedelta(milliseconds=1))
        await tx.attempts.add(attempt)
        assert await tx.attempts.claim(attempt.id, at=tx.now - timedelta(days=1), check_at=tx.now) is None
