"""Attempts: single use, expiry, leases."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest

from application.ports import Job, JobKind
from domain.authorization import KEPT, LIFETIME, AttemptMode, Outcome
from domain.errors import ConnectionNotFound
from domain.redirect import RedirectUrl
from tests.contract.store.base import ACME, RIVAL, StoreRules, an_attempt, born, together, tried, undone

if TYPE_CHECKING:
    from application.ports import Store
    from domain.authorization import Attempt
    from domain.connection import Connection
    from tests.contract.store.base import Age

MINUTE = timedelta(minutes=1)


async def _get(store: Store, attempt: Attempt) -> Attempt | None:
    async with store.begin() as tx:
        return await tx.attempts.get(attempt.id)


async def _claim(store: Store, attempt: Attempt) -> Attempt | None:
    async with store.begin() as tx:
        return await tx.attempts.claim(attempt.id, at=tx.now, check_at=tx.now + MINUTE)


async def _close(store: Store, attempt: Attempt, outcome: Outcome, error: str | None = None) -> bool:
    async with store.begin() as tx:
        return await tx.attempts.close(attempt.id, outcome, error, at=tx.now)


async def _owe(store: Store, connection: Connection, kind: JobKind, name: str = "owed") -> None:
    async with store.begin() as tx:
        await tx.jobs.add(
            Job(
                id=name,
                kind=kind,
                company_id=connection.company_id,
                connection_id=connection.id,
                due_at=tx.now,
            )
        )


class AttemptRules(StoreRules):
    async def test_an_attempt_is_read_as_it_was_written(self, store: Store) -> None:
        attempt = await tried(
            store,
            await born(store),
            nango_id="nango-1",
            parameters={"accountId": "1234567-sb1"},
            mode=AttemptMode.RELAY,
            nango_state="state",
            nango_cookie="cookie",
            redirect_url=RedirectUrl.parse("https://app.example.com/settings?tab=1"),
        )

        assert await _get(store, attempt) == attempt

    async def test_an_attempt_is_found_by_its_state(self, store: Store) -> None:
        attempt = await tried(store, await born(store))

        async with store.begin() as tx:
            assert await tx.attempts.by_state(attempt.state_hash) == attempt

    async def test_an_unknown_state_finds_nothing(self, store: Store) -> None:
        async with store.begin() as tx:
            assert await tx.attempts.by_state(b"\0" * 32) is None

    async def test_an_attempt_belongs_to_a_connection_of_its_company(self, store: Store) -> None:
        theirs = attrs.evolve(await born(store), company_id=RIVAL)

        with pytest.raises(ConnectionNotFound):
            await tried(store, theirs)

    async def test_a_block_that_fails_leaves_no_attempt(self, store: Store) -> None:
        connection = await born(store)
        async with undone(store) as tx:
            attempt = an_attempt(connection, tx.now)
            await tx.attempts.add(attempt)

        assert await _get(store, attempt) is None

    async def test_a_connections_attempts_are_told_oldest_first(self, store: Store, age: Age) -> None:
        connection = await born(store)
        older = await tried(store, connection)
        await age(MINUTE)
        newer = await tried(store, connection)
        await _close(store, older, Outcome.FAILED, "access_denied")

        async with store.begin() as tx:
            attempts = await tx.attempts.of(ACME, connection.id)
        assert [attempt.id for attempt in attempts] == [older.id, newer.id]

    async def test_open_attempts_are_counted_for_the_connection_and_the_company(self, store: Store) -> None:
        connection, other = await born(store), await born(store)
        await tried(store, connection)
        await tried(store, other)
        await _close(store, await tried(store, connection), Outcome.FAILED)
        await tried(store, await born(store, company_id=RIVAL))

        async with store.begin() as tx:
            assert await tx.attempts.count_open(ACME, connection.id) == (1, 2)

    async def test_an_expired_attempt_is_not_counted_as_open(self, store: Store, age: Age) -> None:
        connection = await born(store)
        await tried(store, connection)
        await age(LIFETIME)

        async with store.begin() as tx:
            assert await tx.attempts.count_open(ACME, connection.id) == (0, 0)

    async def test_what_may_change_is_written(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        changed = attrs.evolve(
            attempt,
            nango_id="nango-2",
            mode=AttemptMode.DIRECT,
            nango_state="state",
            nango_cookie="cookie",
            check_at=attempt.created_at + MINUTE,
        )
        async with store.begin() as tx:
            assert await tx.attempts.update(changed)

        assert await _get(store, attempt) == changed

    async def test_a_closed_attempt_is_not_written_any_more(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        await _close(store, attempt, Outcome.SUPERSEDED)
        closed = await _get(store, attempt)
        async with store.begin() as tx:
            assert not await tx.attempts.update(attrs.evolve(attempt, nango_id="late"))
            await tx.attempts.hurry(attempt.id, check_at=tx.now)
            assert not await tx.attempts.checked(attempt, check_at=tx.now)

        assert await _get(store, attempt) == closed

    async def test_what_an_attempt_was_started_with_does_not_change(self, store: Store) -> None:
        attempt = await tried(store, await born(store), parameters={"accountId": "1"})
        async with store.begin() as tx:
            await tx.attempts.update(attrs.evolve(attempt, parameters={"accountId": "2"}))

        assert await _get(store, attempt) == attempt

    async def test_a_look_that_found_nothing_is_counted_and_the_next_one_noted(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        again = attempt.created_at + MINUTE
        async with store.begin() as tx:
            assert await tx.attempts.checked(attempt, check_at=again)

        assert await _get(store, attempt) == attrs.evolve(attempt, check_at=again, checks=1)

    async def test_the_look_of_whoever_took_it_is_noted(self, store: Store) -> None:
        await tried(store, await born(store))
        (taken,) = await store.take_due_attempts(limit=1, lease=MINUTE)

        async with store.begin() as tx:
            assert await tx.attempts.checked(taken, check_at=tx.now)

    async def test_a_look_leaves_a_claim_that_came_meanwhile(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        claimed = await _claim(store, attempt)

        async with store.begin() as tx:
            assert not await tx.attempts.checked(attempt, check_at=attempt.expires_at)
        assert await _get(store, attempt) == claimed

    async def test_a_look_leaves_the_hurry_that_came_meanwhile(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        hurried = attempt.created_at + MINUTE
        async with store.begin() as tx:
            await tx.attempts.hurry(attempt.id, check_at=hurried)

        async with store.begin() as tx:
            assert not await tx.attempts.checked(attempt, check_at=attempt.expires_at)
        assert await _get(store, attempt) == attrs.evolve(attempt, check_at=hurried)

    async def test_a_hurry_changes_nothing_but_when_to_look(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        claimed = await _claim(store, attempt)
        assert claimed is not None
        async with store.begin() as tx:
            await tx.attempts.hurry(attempt.id, check_at=claimed.created_at)

        assert await _get(store, attempt) == attrs.evolve(claimed, check_at=claimed.created_at)

    async def test_what_is_unknown_is_not_hurried(self, store: Store) -> None:
        async with store.begin() as tx:
            await tx.attempts.hurry("unknown", check_at=tx.now)
            assert await tx.attempts.get("unknown") is None

    async def test_a_claim_notes_when_it_was_made_and_when_to_look(self, store: Store) -> None:
        attempt = await tried(store, await born(store))

        claimed = await _claim(store, attempt)

        assert claimed is not None
        assert claimed.claimed_at is not None
        assert claimed.check_at == claimed.claimed_at + MINUTE
        assert await _get(store, attempt) == claimed

    async def test_a_released_claim_can_be_made_again(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        await _claim(store, attempt)
        async with store.begin() as tx:
            await tx.attempts.release(attempt.id, check_at=attempt.expires_at)
        released = await _get(store, attempt)
        assert released is not None
        assert (released.claimed_at, released.check_at) == (None, attempt.expires_at)
        assert await _claim(store, attempt) is not None

    async def test_of_twenty_parallel_claims_one_wins(self, store: Store) -> None:
        attempt = await tried(store, await born(store))

        results = await together(20, lambda _: _claim(store, attempt))

        assert sum(result is not None for result in results) == 1

    async def test_an_attempt_can_be_claimed_until_it_expires(self, store: Store, age: Age) -> None:
        attempt = await tried(store, await born(store))
        await age(LIFETIME - MINUTE)

        assert await _claim(store, attempt) is not None

    async def test_an_expired_attempt_cannot_be_claimed(self, store: Store, age: Age) -> None:
        attempt = await tried(store, await born(store))
        await age(LIFETIME)

        assert await _claim(store, attempt) is None

    async def test_a_closed_attempt_cannot_be_claimed(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        await _close(store, attempt, Outcome.SUPERSEDED)

        assert await _claim(store, attempt) is None

    async def test_an_unknown_attempt_cannot_be_claimed(self, store: Store) -> None:
        async with store.begin() as tx:
            assert await tx.attempts.claim("unknown", at=tx.now, check_at=tx.now) is None

    async def test_the_first_outcome_stays(self, store: Store) -> None:
        attempt = await tried(store, await born(store))
        assert await _close(store, attempt, Outcome.FAILED, "access_denied")

        assert not await _close(store, attempt, Outcome.SUCCEEDED)

        closed = await _get(store, attempt)
        assert closed is not None
        assert (closed.outcome, closed.error) == (Outcome.FAILED, "access_denied")

    async def test_of_twenty_parallel_outcomes_one_is_kept(self, store: Store) -> None:
        attempt = await tried(store, await born(store))

        results = await together(20, lambda _: _close(store, attempt, Outcome.SUCCEEDED))

        assert sorted(results) == [False] * 19 + [True]

    async def test_a_due_attempt_is_given_to_one_worker_only(self, store: Store) -> None:
        attempt = await tried(store, await born(store))

        taken = await together(5, lambda _: store.take_due_attempts(limit=10, lease=MINUTE))

        assert [found.id for batch in taken for found in batch] == [attempt.id]

    async def test_a_due_attempt_comes_again_when_the_lease_is_over(self, store: Store, age: Age) -> None:
        attempt = await tried(store, await born(store))
        await store.take_due_attempts(limit=10, lease=MINUTE)
        await age(2 * MINUTE)

        taken = await store.take_due_attempts(limit=10, lease=MINUTE)

        assert [found.id for found in taken] == [attempt.id]

    async def test_an_attempt_is_not_due_early(self, store: Store) -> None:
        connection = await born(store)
        await tried(store, connection, check_at=connection.created_at + MINUTE)

        assert not await store.take_due_attempts(limit=10, lease=MINUTE)

    async def test_a_closed_attempt_is_never_due(self, store: Store, age: Age) -> None:
        await _close(store, await tried(store, await born(store)), Outcome.FAILED)
        await age(MINUTE)

        assert not await store.take_due_attempts(limit=10, lease=MINUTE)

    async def test_no_more_attempts_are_taken_than_asked_for(self, store: Store) -> None:
        connection = await born(store)
        for _ in range(3):
            await tried(store, connection)

        assert len(await store.take_due_attempts(limit=2, lease=MINUTE)) == 2

    async def test_a_closed_attempt_is_forgotten_after_a_day(self, store: Store, age: Age) -> None:
        connection = await born(store)
        closed, still_open = await tried(store, connection), await tried(store, connection)
        await _close(store, closed, Outcome.FAILED)
        await age(KEPT)
        await store.forget_old()

        assert await _get(store, closed) is None
        assert await _get(store, still_open) is not None

    async def test_a_closed_attempt_is_kept_for_a_day(self, store: Store, age: Age) -> None:
        closed = await tried(store, await born(store))
        await _close(store, closed, Outcome.FAILED)
        await age(KEPT - MINUTE)
        await store.forget_old()

        assert await _get(store, closed) is not None

    async def test_a_closed_attempt_is_kept_while_a_removal_needs_its_proof(
        self, store: Store, age: Age
    ) -> None:
        connection = await born(store)
        closed = await tried(store, connection)
        await _close(store, closed, Outcome.FAILED)
        await _owe(store, connection, JobKind.REMOVE)
        await age(2 * KEPT)
        await store.forget_old()
        kept = await _get(store, closed)
        async with store.begin() as tx:
            await tx.jobs.finish("owed")
        await store.forget_old()

        assert kept is not None
        assert await _get(store, closed) is None

    async def test_other_work_and_other_connections_keep_no_closed_attempt(
        self, store: Store, age: Age
    ) -> None:
        connection, other = await born(store), await born(store)
        closed = await tried(store, connection)
        await _close(store, closed, Outcome.FAILED)
        await _owe(store, connection, JobKind.RECHECK)
        await _owe(store, other, JobKind.REMOVE, "another")
        await age(2 * KEPT)
        await store.forget_old()

        assert await _get(store, closed) is None
