"""What the worker needs to see of all companies, and whose turn it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from application.ports import ConnectionFilter, ConnectionSummary, Job, JobKind
from domain.connection import AuthKind
from domain.errors import ConnectionNotFound
from tests.contract.store.base import ACME, RIVAL, StoreRules, authorized, born, stepped, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from application.ports import Store
    from domain.connection import Connection
    from tests.contract.store.base import Age

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def key_of(connection: Connection) -> tuple[str, str]:
    assert connection.nango_id is not None
    return connection.integration, connection.nango_id


async def owe(
    store: Store, connection: Connection, delay: timedelta = timedelta(), kind: JobKind = JobKind.RECHECK
) -> str:
    async with store.begin() as tx:
        name = f"{kind} {connection.id} {delay}"
        job = Job(
            id=name,
            kind=kind,
            company_id=connection.company_id,
            connection_id=connection.id,
            due_at=tx.now + delay,
        )
        await tx.jobs.add(job)
    return name


async def due(store: Store) -> Sequence[Job]:
    return await store.take_due_jobs(limit=10, lease=MINUTE)


async def stale(
    store: Store, older_than: timedelta, *, limit: int = 10, per_company: int = 10, companies: int = 10
) -> Sequence[Connection]:
    return await store.stale(
        older_than, turn="checks", companies=companies, limit=limit, per_company=per_company
    )


class GrantRules(StoreRules):
    async def test_the_connections_of_grants_are_found_across_companies(self, store: Store) -> None:
        mine, theirs = await authorized(store), await authorized(store, company_id=RIVAL)
        await authorized(store)

        found = await store.of_grants([key_of(mine), key_of(theirs), ("stripe", "unknown")])

        assert {each.id: each for each in found} == {mine.id: mine, theirs.id: theirs}

    async def test_no_grants_have_no_connections(self, store: Store) -> None:
        await authorized(store)

        assert not await store.of_grants([])

    async def test_a_grant_of_another_integration_is_another_grant(self, store: Store) -> None:
        connection = await authorized(store)

        assert not await store.of_grants([("slack", key_of(connection)[1])])

    async def test_integration_and_id_are_looked_for_as_pairs(self, store: Store) -> None:
        stripe, slack = await authorized(store), await authorized(store, integration="slack")

        crossed = [("stripe", key_of(slack)[1]), ("slack", key_of(stripe)[1])]

        assert not await store.of_grants(crossed)

    @pytest.mark.parametrize("verb", ["delete", "disconnect"])
    async def test_what_was_let_go_has_no_grant(self, store: Store, verb: str) -> None:
        connection = await authorized(store)
        await stepped(store, connection, verb, **({} if verb == "delete" else {"reason": "gone"}))

        assert not await store.of_grants([key_of(connection)])

    async def test_a_grant_asked_for_twice_is_one_connection(self, store: Store) -> None:
        connection = await authorized(store)

        assert len(await store.of_grants([key_of(connection)] * 2)) == 1

    async def test_nonsense_among_the_grants_hides_no_connection(self, store: Store) -> None:
        connection = await authorized(store)

        found = await store.of_grants([("a\0b", "c"), key_of(connection), ("", "")])

        assert found == [connection]


class WalkRules(StoreRules):
    async def test_a_walk_sees_every_authorized_connection_once_in_the_order_of_ids(
        self, store: Store
    ) -> None:
        connections = [await authorized(store, company_id=company) for company in (ACME, RIVAL) * 3]

        seen: list[Connection] = []
        while page := await store.authorized(after=seen[-1].id if seen else None, limit=2):
            seen += page

        assert seen == connections

    async def test_a_walk_leaves_out_what_has_no_grant(self, store: Store) -> None:
        await born(store)
        await stepped(store, await authorized(store), "disconnect", reason="gone")
        await stepped(store, await authorized(store), "delete")

        assert not await store.authorized(after=None, limit=10)

    async def test_a_walk_sees_broken_connections_too(self, store: Store) -> None:
        broken = await stepped(store, await authorized(store), "find_unhealthy", reason="revoked")

        assert await store.authorized(after=None, limit=10) == [broken]


class StaleRules(StoreRules):
    async def test_the_oldest_are_given_first(self, store: Store, age: Age) -> None:
        first = await authorized(store)
        await age(MINUTE)
        second = await authorized(store, company_id=RIVAL)
        await age(HOUR)

        found = await stale(store, HOUR - MINUTE, limit=10)

        assert [each.id for each in found] == [first.id, second.id]

    async def test_what_was_seen_to_work_lately_is_left_alone(self, store: Store, age: Age) -> None:
        seen = await authorized(store)
        await age(HOUR)
        await stepped(store, await store.find(ACME, seen.id), "find_healthy")

        assert not await stale(store, MINUTE, limit=10)

    @pytest.mark.parametrize("verb", ["find_unhealthy", "expire", "disconnect"])
    async def test_only_active_ones_are_looked_at(self, store: Store, age: Age, verb: str) -> None:
        await stepped(store, await authorized(store), verb, reason="trouble")
        await age(HOUR)

        assert not await stale(store, MINUTE, limit=10)

    async def test_a_deleted_one_is_not_looked_at(self, store: Store, age: Age) -> None:
        await stepped(store, await authorized(store), "delete")
        await age(HOUR)

        assert not await stale(store, MINUTE, limit=10)

    async def test_what_is_to_be_looked_at_anyway_is_left_out(self, store: Store, age: Age) -> None:
        owed, other = await authorized(store), await authorized(store)
        await age(HOUR)
        await owe(store, owed, HOUR)
        await owe(store, other, HOUR, JobKind.IDENTIFY)

        found = await stale(store, MINUTE, limit=10)

        assert [each.id for each in found] == [other.id]

    async def test_a_company_gets_its_share_and_leaves_the_rest_to_others(
        self, store: Store, age: Age
    ) -> None:
        mine = [await authorized(store) for _ in range(4)]
        await age(MINUTE)
        theirs = await authorized(store, company_id=RIVAL)
        await age(HOUR)

        found = await stale(store, MINUTE, limit=10, per_company=2)

        assert {each.id for each in found} <= {each.id for each in [*mine, theirs]}
        assert sorted(each.company_id for each in found) == [ACME, ACME, RIVAL]

    async def test_companies_take_turns(self, store: Store, age: Age) -> None:
        mine = []
        for _ in range(3):
            mine.append(await authorized(store))
            await age(MINUTE)
        theirs = await authorized(store, company_id=RIVAL)
        await age(HOUR)

        found = await stale(store, MINUTE, limit=3, per_company=3)

        assert [each.id for each in found] == [mine[0].id, theirs.id, mine[1].id]

    async def test_the_budget_of_all_companies_is_kept(self, store: Store, age: Age) -> None:
        for company in (ACME, RIVAL) * 2:
            await authorized(store, company_id=company)
        await age(HOUR)

        assert len(await stale(store, MINUTE, limit=3, per_company=2)) == 3

    async def test_a_round_walks_through_so_many_companies_and_the_next_goes_on_behind_them(
        self, store: Store, age: Age
    ) -> None:
        for number in range(5):
            await authorized(store, company_id=f"company {number}")
        await age(HOUR)

        rounds = [await stale(store, MINUTE, companies=2) for _ in range(3)]

        assert [[each.company_id[-1] for each in found] for found in rounds] == [
            ["0", "1"],
            ["2", "3"],
            ["4", "0"],
        ]

    async def test_companies_with_nothing_to_look_at_are_walked_through_too(
        self, store: Store, age: Age
    ) -> None:
        old = await authorized(store, company_id="company 9")
        await age(HOUR)
        for number in range(4):
            await authorized(store, company_id=f"company {number}")

        found = [await stale(store, MINUTE, companies=2) for _ in range(3)]

        assert [[each.id for each in some] for some in found] == [[], [], [old.id]]

    async def test_where_there_is_not_one_look_for_each_company_the_others_come_next(
        self, store: Store, age: Age
    ) -> None:
        for number in range(5):
            await authorized(store, company_id=f"company {number}")
        await age(HOUR)

        found = [each for _ in range(5) for each in await stale(store, MINUTE, limit=2)]

        assert [each.company_id[-1] for each in found] == list("0123401234")

    async def test_the_place_is_kept_for_each_turn(self, store: Store, age: Age) -> None:
        for number in range(2):
            await authorized(store, company_id=f"company {number}")
        await age(HOUR)
        await stale(store, MINUTE, limit=1)

        found = await store.stale(MINUTE, turn="another", companies=10, limit=1, per_company=1)

        assert [each.company_id for each in found] == ["company 0"]

    async def test_a_walk_takes_nobody_s_turn(self, store: Store, age: Age) -> None:
        await authorized(store)
        await age(HOUR)
        await stale(store, MINUTE)

        assert await store.take_turn("checks", every=MINUTE)

    async def test_a_walk_keeps_the_turn_as_it_was_taken(self, store: Store, age: Age) -> None:
        await authorized(store)
        await age(HOUR)
        await store.take_turn("checks", every=MINUTE)
        await stale(store, MINUTE)

        assert not await store.take_turn("checks", every=MINUTE)


class TurnRules(StoreRules):
    async def test_of_many_processes_one_gets_the_turn(self, store: Store) -> None:
        taken = await together(10, lambda _: store.take_turn("sweep", every=MINUTE))

        assert sorted(taken) == [False] * 9 + [True]

    async def test_a_turn_comes_again_in_its_time(self, store: Store, age: Age) -> None:
        await store.take_turn("sweep", every=MINUTE)
        await age(MINUTE - timedelta(seconds=5))
        early = await store.take_turn("sweep", every=MINUTE)
        await age(timedelta(seconds=5))

        assert (early, await store.take_turn("sweep", every=MINUTE)) == (False, True)

    async def test_of_many_processes_one_gets_the_next_turn_too(self, store: Store, age: Age) -> None:
        await store.take_turn("sweep", every=MINUTE)
        await age(MINUTE)

        taken = await together(10, lambda _: store.take_turn("sweep", every=MINUTE))

        assert sorted(taken) == [False] * 9 + [True]

    async def test_tasks_do_not_share_turns(self, store: Store) -> None:
        await store.take_turn("sweep", every=MINUTE)

        assert await store.take_turn("checks", every=MINUTE)


class RecheckRules(StoreRules):
    @pytest.mark.parametrize("delays", [(0, 60), (60, 0)])
    async def test_of_two_looks_owed_the_earlier_stays(self, store: Store, delays: tuple[int, int]) -> None:
        connection = await authorized(store)
        for seconds in delays:
            await owe(store, connection, timedelta(seconds=seconds))

        (job,) = await due(store)

        async with store.begin() as tx:
            await tx.jobs.finish(job.id)
        assert not await store.take_due_jobs(limit=10, lease=MINUTE)

    async def test_looks_at_different_connections_are_different(self, store: Store) -> None:
        for _ in range(2):
            await owe(store, await authorized(store))

        assert len(await due(store)) == 2

    async def test_other_work_is_not_merged_with_a_look(self, store: Store) -> None:
        connection = await authorized(store)
        for kind in JobKind:
            await owe(store, connection, kind=kind)

        assert {job.kind for job in await due(store)} == set(JobKind)

    async def test_many_at_once_owe_one_look(self, store: Store) -> None:
        connection = await authorized(store)

        await together(10, lambda number: owe(store, connection, timedelta(seconds=-number)))

        assert len(await due(store)) == 1

    async def test_a_look_asked_for_while_another_is_under_way_is_not_forgotten_with_it(
        self, store: Store, age: Age
    ) -> None:
        connection = await authorized(store)
        await owe(store, connection)
        (taken,) = await due(store)
        await owe(store, connection, MINUTE / 2)
        async with store.begin() as tx:
            await tx.jobs.finish(taken.id, due_at=taken.due_at)
        await age(MINUTE / 2)

        assert [job.connection_id for job in await due(store)] == [connection.id]

    async def test_a_look_asked_for_while_another_is_under_way_is_not_put_off_with_it(
        self, store: Store
    ) -> None:
        connection = await authorized(store)
        await owe(store, connection)
        (taken,) = await due(store)
        await owe(store, connection, -MINUTE)
        async with store.begin() as tx:
            await tx.jobs.reschedule(taken, tx.now + HOUR)

        assert [job.connection_id for job in await due(store)] == [connection.id]

    @pytest.mark.parametrize(("delay", "tries"), [(-MINUTE, 0), (MINUTE, 1)], ids=["sooner", "later"])
    async def test_a_new_reason_to_look_has_all_its_tries_where_it_hurries(
        self, store: Store, delay: timedelta, tries: int
    ) -> None:
        connection = await authorized(store)
        await owe(store, connection)
        (taken,) = await due(store)
        async with store.begin() as tx:
            await tx.jobs.reschedule(taken, tx.now)
        await owe(store, connection, delay)

        assert [job.tries for job in await due(store)] == [tries]

    async def test_a_look_that_nobody_asked_for_again_is_finished(self, store: Store, age: Age) -> None:
        await owe(store, await authorized(store))
        (taken,) = await due(store)
        async with store.begin() as tx:
            await tx.jobs.finish(taken.id, due_at=taken.due_at)
        await age(HOUR)

        assert not await due(store)


class TrialRules(StoreRules):
    """An API key that is still being tried: its connection is there for us, and for nobody else."""

    async def _on_trial(self, store: Store) -> Connection:
        return await born(store, auth_kind=AuthKind.API_KEY)

    async def test_it_is_not_found(self, store: Store) -> None:
        connection = await self._on_trial(store)

        with pytest.raises(ConnectionNotFound):
            await store.find(ACME, connection.id)

    async def test_it_is_not_listed(self, store: Store) -> None:
        await self._on_trial(store)

        assert not (await store.list(ACME, ConnectionFilter(), limit=10, cursor=None)).items

    async def test_it_has_no_company_for_a_callback(self, store: Store) -> None:
        connection = await self._on_trial(store)

        assert await store.company_of(connection.id) is None

    @pytest.mark.parametrize("lock", [False, True])
    async def test_it_is_given_to_none_but_who_asks_for_what_is_hidden(
        self, store: Store, lock: bool
    ) -> None:
        connection = await self._on_trial(store)
        async with store.begin() as tx:
            with pytest.raises(ConnectionNotFound):
                await tx.connections.get(ACME, connection.id, lock=lock)

            assert await tx.connections.get(ACME, connection.id, lock=lock, deleted=True) == connection

    async def test_it_shows_itself_once_the_key_is_good(self, store: Store) -> None:
        connection = await authorized(store, auth_kind=AuthKind.API_KEY)

        assert await store.find(ACME, connection.id) == connection
        assert await store.company_of(connection.id) == ACME
        page = await store.list(ACME, ConnectionFilter(), limit=10, cursor=None)
        assert page.items == [ConnectionSummary.of(connection)]

    async def test_an_oauth_connection_shows_itself_from_the_start(self, store: Store) -> None:
        connection = await born(store)

        assert await store.find(ACME, connection.id) == connection
        assert await store.company_of(connection.id) == ACME
