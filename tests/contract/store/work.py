"""Owed work, used Idempotency-Keys, and the database's own id."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest

from application.ports import IdempotencyRecord, Job, JobKind
from domain.errors import ConnectionNotFound
from tests.contract.store.base import ACME, RIVAL, StoreRules, a_birth, born, together, undone

if TYPE_CHECKING:
    from datetime import datetime

    from application.ports import Store
    from domain.connection import Connection
    from tests.contract.store.base import Age

MINUTE = timedelta(minutes=1)
DAY = timedelta(hours=24)


def _job(connection: Connection, due_at: datetime, name: str = "job") -> Job:
    return Job(
        id=name,
        kind=JobKind.REMOVE,
        company_id=connection.company_id,
        connection_id=connection.id,
        due_at=due_at,
        integration="stripe",
        nango_id="nango-1",
    )


async def _owe(
    store: Store, connection: Connection, delay: timedelta = timedelta(), name: str = "job"
) -> Job:
    async with store.begin() as tx:
        job = _job(connection, tx.now + delay, name)
        await tx.jobs.add(job)
    return job


class JobRules(StoreRules):
    async def test_a_due_job_is_taken_with_all_it_says(self, store: Store) -> None:
        job = await _owe(store, await born(store))

        (taken,) = await store.take_due_jobs(limit=10, lease=MINUTE)

        assert attrs.evolve(taken, due_at=job.due_at) == job

    async def test_a_job_is_not_due_early(self, store: Store) -> None:
        await _owe(store, await born(store), MINUTE)

        assert not await store.take_due_jobs(limit=10, lease=MINUTE)

    async def test_a_job_is_given_to_one_worker_only(self, store: Store) -> None:
        await _owe(store, await born(store))

        taken = await together(5, lambda _: store.take_due_jobs(limit=10, lease=MINUTE))

        assert sum(len(batch) for batch in taken) == 1

    async def test_a_job_comes_again_when_the_lease_is_over(self, store: Store, age: Age) -> None:
        await _owe(store, await born(store))
        await store.take_due_jobs(limit=10, lease=MINUTE)
        await age(2 * MINUTE)

        assert len(await store.take_due_jobs(limit=10, lease=MINUTE)) == 1

    async def test_no_more_jobs_are_taken_than_asked_for(self, store: Store) -> None:
        connection = await born(store)
        for number in range(3):
            await _owe(store, connection, name=f"job {number}")

        assert len(await store.take_due_jobs(limit=2, lease=MINUTE)) == 2

    async def test_a_rescheduled_job_counts_its_tries(self, store: Store, age: Age) -> None:
        job = await _owe(store, await born(store))
        async with store.begin() as tx:
            await tx.jobs.reschedule(job, tx.now + MINUTE)
        assert not await store.take_due_jobs(limit=10, lease=MINUTE)
        await age(MINUTE)

        (taken,) = await store.take_due_jobs(limit=10, lease=MINUTE)

        assert taken.tries == 1

    async def test_a_finished_job_is_owed_no_more(self, store: Store) -> None:
        job = await _owe(store, await born(store))
        async with store.begin() as tx:
            await tx.jobs.finish(job.id)

        assert not await store.take_due_jobs(limit=10, lease=MINUTE)

    async def test_a_block_that_fails_owes_nothing(self, store: Store) -> None:
        connection = await born(store)
        async with undone(store) as tx:
            await tx.jobs.add(_job(connection, tx.now))

        assert not await store.take_due_jobs(limit=10, lease=MINUTE)

    async def test_a_job_belongs_to_a_connection_of_its_company(self, store: Store) -> None:
        with pytest.raises(ConnectionNotFound):
            await _owe(store, attrs.evolve(await born(store), company_id=RIVAL))


def _record(connection: Connection, fingerprint: bytes = b"request") -> IdempotencyRecord:
    return IdempotencyRecord(
        key_hash=b"key", fingerprint=fingerprint, connection_id=connection.id, salt=b"salt"
    )


async def _put(store: Store, record: IdempotencyRecord, company_id: str = ACME) -> IdempotencyRecord | None:
    async with store.begin() as tx:
        return await tx.idempotency.put(company_id, record)


async def _resume(store: Store, record: IdempotencyRecord, salt: bytes = b"other") -> bool:
    async with store.begin() as tx:
        return await tx.idempotency.resume(ACME, record, salt=salt)


class IdempotencyRules(StoreRules):
    async def test_a_key_is_reserved_once(self, store: Store) -> None:
        connection = await born(store)
        first, second = _record(connection), _record(connection, b"another request")

        assert await _put(store, first) is None
        assert await _put(store, second) == first

    async def test_how_long_ago_a_key_was_reserved_is_known(self, store: Store, age: Age) -> None:
        record = _record(await born(store))
        await _put(store, record)
        await age(MINUTE)

        there = await _put(store, record)

        assert there is not None
        assert MINUTE <= there.age < 2 * MINUTE

    async def test_a_key_may_be_reserved_before_its_connection_is_born(self, store: Store) -> None:
        async with store.begin() as tx:
            birth = a_birth(tx.now)
            await tx.idempotency.put(ACME, _record(birth.after))
            await tx.connections.save(birth)

        assert await _put(store, _record(birth.after)) is not None

    async def test_a_key_cannot_stand_for_a_connection_that_is_not_there(self, store: Store) -> None:
        with pytest.raises(ConnectionNotFound):
            async with store.begin() as tx:
                await tx.idempotency.put(ACME, _record(a_birth(tx.now).after))

    async def test_of_twenty_parallel_reservations_one_wins(self, store: Store) -> None:
        connection = await born(store)

        results = await together(20, lambda n: _put(store, _record(connection, bytes([n]))))

        assert sum(result is None for result in results) == 1
        assert len({result for result in results if result is not None}) == 1

    async def test_a_reservation_that_is_rolled_back_is_free(self, store: Store) -> None:
        connection = await born(store)
        async with undone(store) as tx:
            await tx.idempotency.put(ACME, _record(connection))

        assert await _put(store, _record(connection)) is None

    async def test_the_answer_is_kept_with_the_key(self, store: Store) -> None:
        record = _record(await born(store))
        await _put(store, record)
        async with store.begin() as tx:
            await tx.idempotency.complete(ACME, b"key", salt=b"salt", authorization_url="https://a")

        assert await _put(store, record) == attrs.evolve(record, authorization_url="https://a")

    async def test_a_key_that_was_taken_over_is_another_s_to_answer(self, store: Store) -> None:
        record = _record(await born(store))
        await _put(store, record)
        assert await _resume(store, record)
        async with store.begin() as tx:
            await tx.idempotency.complete(ACME, b"key", salt=b"salt", authorization_url="https://a")

        assert await _put(store, record) == attrs.evolve(record, salt=b"other")

    async def test_a_key_that_is_taken_over_is_young_again(self, store: Store, age: Age) -> None:
        record = _record(await born(store))
        await _put(store, record)
        await age(MINUTE)
        await _resume(store, record)

        there = await _put(store, record)

        assert there is not None
        assert there.age < MINUTE

    async def test_of_twenty_who_take_a_key_over_one_wins(self, store: Store) -> None:
        record = _record(await born(store))
        await _put(store, record)

        assert sum(await together(20, lambda number: _resume(store, record, b"%d" % number))) == 1

    async def test_a_key_with_an_answer_is_not_taken_over(self, store: Store) -> None:
        record = _record(await born(store))
        await _put(store, record)
        async with store.begin() as tx:
            await tx.idempotency.complete(ACME, b"key", salt=b"salt", authorization_url="https://a")

        assert not await _resume(store, record)

    async def test_a_key_that_is_free_again_is_not_taken_over(self, store: Store) -> None:
        assert not await _resume(store, _record(await born(store)))

    async def test_a_forgotten_key_is_free(self, store: Store) -> None:
        record = _record(await born(store))
        await _put(store, record)
        async with store.begin() as tx:
            await tx.idempotency.forget(ACME, b"key")

        assert await _put(store, record) is None

    async def test_a_key_is_free_again_after_a_day_even_before_the_sweep(
        self, store: Store, age: Age
    ) -> None:
        record = _record(await born(store))
        await _put(store, record)
        await age(DAY)

        assert await _put(store, record) is None

    async def test_the_sweep_leaves_young_keys(self, store: Store, age: Age) -> None:
        record = _record(await born(store))
        await _put(store, record)
        await age(DAY - MINUTE)
        await store.forget_old()

        assert await _put(store, record) == record


class DeploymentRules(StoreRules):
    async def test_a_database_keeps_its_id(self, store: Store) -> None:
        deployment = await store.deployment()

        assert deployment
        assert await store.deployment() == deployment

    async def test_a_store_that_can_serve_answers_a_ping(self, store: Store) -> None:
        await store.ping()
