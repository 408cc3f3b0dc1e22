"""A new key for a connection: it takes the old one's place only once it is known to work."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from adapters.system.ids import SystemIds
from application.ports import ProviderAnswer
from domain.connection import ACTIVE, DISCONNECTED, ERROR, Connection
from domain.errors import (
    ConcurrentChange,
    ConnectionNotFound,
    CredentialsRefused,
    DomainError,
    GatewayTimeout,
    GatewayUnavailable,
    InvalidInput,
    ProviderCallImpossible,
    ProviderUnavailable,
    Unavailable,
)
from tests.application.service import catalogue_with, catalogue_without
from tests.application.watch import WatchWorld
from tests.application.world import COMPANY, nango_id

if TYPE_CHECKING:
    from application.ports import ProviderCatalogue

NEW = {"apiKey": "sk_new"}
TBA = {"tokenId": "id", "tokenSecret": "secret"}


@pytest.fixture
async def world() -> WatchWorld:
    return WatchWorld()


async def by_key(world: WatchWorld) -> Connection:
    return await world.connection((await world.by_key()).connection_id)


async def broken(world: WatchWorld) -> Connection:
    connection = await by_key(world)
    world.refuse(connection)
    return (await world.verify(connection.id)).connection


async def test_a_new_key_takes_the_old_one_s_place(world: WatchWorld) -> None:
    connection = await by_key(world)
    replaced = await world.replace(connection.id, NEW)
    assert (replaced.id, replaced.status) == (connection.id, ACTIVE)
    assert replaced.nango_id != connection.nango_id
    assert world.grants() == {nango_id(replaced)}


async def test_what_is_new_at_nango_carries_our_tags(world: WatchWorld) -> None:
    replaced = await world.replace((await by_key(world)).id, NEW)
    assert world.grant_of(replaced).tags == {
        "connection": replaced.id,
        "company": COMPANY,
        "deployment": await world.store.deployment(),
    }


@pytest.mark.parametrize(
    "providers",
    [catalogue_without("stripe"), catalogue_with("stripe", api_key=None)],
    ids=["gone", "changed"],
)
async def test_a_new_key_of_a_provider_that_is_not_described_any_more_is_no_mistake_of_the_caller(
    world: WatchWorld, providers: ProviderCatalogue
) -> None:
    connection = await by_key(world)
    later = world.another_process(providers=providers).use_cases.replace_credentials
    with pytest.raises(ProviderCallImpossible, match="its operator can put the description back"):
        await later(
            company_id=COMPANY, connection_id=connection.id, parameters=None, credentials=NEW, actor="tests"
        )
    assert await world.connection(connection.id) == connection


async def test_a_new_key_repairs(world: WatchWorld) -> None:
    connection = await broken(world)
    replaced = await world.replace(connection.id, NEW)
    assert (replaced.status, replaced.error_message) == (ACTIVE, None)


async def test_a_new_key_connects_again(world: WatchWorld) -> None:
    connection = await by_key(world)
    await world.disconnect(connection.id)
    replaced = await world.replace(connection.id, NEW)
    assert replaced.status is ACTIVE
    assert (await world.history(connection.id))[-3:] == [
        "disconnected",
        "authorization_restarted",
        "authorized",
    ]


async def test_a_key_of_another_account_is_told(world: WatchWorld) -> None:
    connection = await by_key(world)
    world.gateway.answer = ProviderAnswer(status=200, body={"id": "acct_2"})
    await world.replace(connection.id, NEW)
    assert (await world.history(connection.id))[-1] == "account_changed"


async def test_nothing_is_owed_afterwards(world: WatchWorld) -> None:
    replaced = await world.replace((await by_key(world)).id, NEW)
    await world.work_for(minutes=2)
    assert (world.owed(), world.grants()) == ([], {nango_id(replaced)})


@pytest.mark.parametrize("by", ["nango", "provider"])
async def test_a_bad_key_never_replaces_a_good_one(world: WatchWorld, by: str) -> None:
    connection = await by_key(world)
    if by == "nango":
        world.gateway.bad_credentials = {"sk_new"}
    else:
        world.gateway.answer = ProviderAnswer(status=401, body={})
    with pytest.raises(CredentialsRefused):
        await world.replace(connection.id, NEW)
    assert await world.connection(connection.id) == connection
    assert world.grants() == {nango_id(connection)}
    await world.work_for(minutes=2)
    assert (world.owed(), world.grants()) == ([], {nango_id(connection)})


async def test_a_bad_key_does_not_replace_a_broken_one_either(world: WatchWorld) -> None:
    connection = await broken(world)
    world.gateway.bad_credentials = {"sk_new"}
    with pytest.raises(CredentialsRefused):
        await world.replace(connection.id, NEW)
    assert await world.connection(connection.id) == connection


async def test_a_bad_key_leaves_a_disconnected_one_disconnected(world: WatchWorld) -> None:
    connection = await by_key(world)
    await world.disconnect(connection.id)
    world.gateway.bad_credentials = {"sk_new"}
    with pytest.raises(CredentialsRefused):
        await world.replace(connection.id, NEW)
    assert (await world.connection(connection.id)).status is DISCONNECTED


@pytest.mark.parametrize(
    ("problem", "operation"),
    [
        (ProviderUnavailable("down"), "call_provider"),
        (GatewayUnavailable(), "import_credentials"),
        (GatewayTimeout(), "import_credentials"),
    ],
)
@pytest.mark.parametrize("after", [False, True])
async def test_a_key_that_cannot_be_tried_replaces_none(
    world: WatchWorld, problem: DomainError, operation: str, after: bool
) -> None:
    connection = await by_key(world)
    world.gateway.fail_with(problem, [operation], after=after)
    with pytest.raises(type(problem)):
        await world.replace(connection.id, NEW)
    assert await world.connection(connection.id) == connection
    assert world.grants() == {nango_id(connection)}


@pytest.mark.parametrize("minutes", [0, 30])
async def test_an_import_that_nango_finishes_late_is_removed(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    connection = await by_key(world)
    fresh = "6e0f8a52-0000-4000-8000-000000000001"
    ids = iter([fresh])
    monkeypatch.setattr(SystemIds, "random_id", lambda _: next(ids, str(uuid4())))
    world.gateway.fail_with(GatewayTimeout(), ["import_credentials"])
    with pytest.raises(GatewayTimeout):
        await world.replace(connection.id, NEW)
    await world.work_for(minutes=minutes)
    await world.gateway.import_credentials(
        integration="stripe-api-key",
        nango_id=fresh,
        kind="API_KEY",
        credentials={},
        connection_config={},
        tags={},
    )
    await world.work_for(hours=1)
    assert (world.grants(), world.owed()) == ({nango_id(connection)}, [])


async def test_a_crash_before_the_swap_leaves_the_old_key_alone(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Died(BaseException):
        pass

    async def dies(*_: object, **__: object) -> None:
        raise _Died

    connection = await by_key(world)
    with monkeypatch.context() as patch:
        patch.setattr("application.replace_credentials.ReplaceCredentials._swap", dies)
        with pytest.raises(_Died):
            await world.replace(connection.id, NEW)
    assert len(world.grants()) == 2
    await world.work_for(minutes=1)
    assert (world.grants(), world.owed()) == ({nango_id(connection)}, [])


async def test_a_caller_who_comes_to_it_too_late_leaves_it_to_the_worker(world: WatchWorld) -> None:
    connection = await by_key(world)
    replacing, gate = await world.catch("call_provider", world.replace(connection.id, NEW))
    await world.work_for(minutes=1)
    gate.set()
    with pytest.raises(Unavailable) as raised:
        await replacing
    assert raised.value.retry_after == 1
    await world.work_for(minutes=1)
    assert await world.connection(connection.id) == connection
    assert (world.grants(), world.owed()) == ({nango_id(connection)}, [])


@pytest.mark.parametrize(("seconds", "swapped"), [(34, True), (36, False)])
async def test_a_caller_swaps_only_long_before_the_worker_may_come(
    world: WatchWorld, seconds: int, swapped: bool
) -> None:
    connection = await by_key(world)
    replacing, gate = await world.catch("call_provider", world.replace(connection.id, NEW))
    await world.later(seconds=seconds)
    gate.set()
    with nullcontext() if swapped else pytest.raises(Unavailable):
        await replacing
    assert (await world.connection(connection.id) != connection) is swapped


async def test_an_old_key_that_nango_does_not_let_go_of_now_goes_later(world: WatchWorld) -> None:
    connection = await by_key(world)
    world.gateway.fail_with(GatewayUnavailable(), ["delete"])
    replaced = await world.replace(connection.id, NEW)
    assert len(world.grants()) == 2
    await world.work_for(minutes=2)
    assert world.grants() == {nango_id(replaced)}


async def test_of_two_new_keys_at_once_one_stays(world: WatchWorld) -> None:
    connection = await by_key(world)
    await asyncio.gather(world.replace(connection.id, NEW), world.replace(connection.id, {"apiKey": "sk_3"}))
    await world.work_for(minutes=2)
    assert world.grants() == {nango_id(await world.connection(connection.id))}


async def test_a_connection_deleted_meanwhile_is_not_resurrected(world: WatchWorld) -> None:
    connection = await by_key(world)
    replacing, gate = await world.catch("call_provider", world.replace(connection.id, NEW))
    await world.delete(connection.id)
    gate.set()
    with pytest.raises(ConnectionNotFound):
        await replacing
    await world.work_for(minutes=1)
    assert (world.grants(), world.owed()) == (set(), [])


async def test_a_connection_disconnected_meanwhile_stays_disconnected(world: WatchWorld) -> None:
    connection = await by_key(world)
    replacing, tried = await world.catch("call_provider", world.replace(connection.id, NEW))
    await world.disconnect(connection.id)
    tried.set()
    with pytest.raises(ConcurrentChange):
        await replacing
    await world.work_for(minutes=1)
    assert ((await world.connection(connection.id)).status, world.grants()) == (DISCONNECTED, set())


async def test_another_account_s_parameters_come_with_its_key(world: WatchWorld) -> None:
    created = await world.by_key("netsuite", TBA, accountId="1")
    replaced = await world.replace(created.connection_id, TBA, accountId="2")
    assert replaced.parameters == {"accountId": "2"}
    await world.verify(replaced.id)
    assert world.gateway.asked[-1][2] == "https://2.suitetalk.api.netsuite.com/services/rest"
    assert replaced.external_account_id == "2"


async def test_parameters_that_are_not_given_stay(world: WatchWorld) -> None:
    created = await world.by_key("netsuite", TBA, accountId="1")
    replaced = await world.replace(created.connection_id, TBA)
    assert replaced.parameters == {"accountId": "1"}
    assert world.grant_of(replaced).connection_config == {"accountId": "1"}


async def test_an_oauth_connection_takes_no_key(world: WatchWorld) -> None:
    connection = await world.authorize()
    with pytest.raises(InvalidInput) as refused:
        await world.replace(connection.id, NEW)
    assert refused.value.details == (
        ("credentials", "must be left out: this connection was authorized by OAuth"),
    )
    assert world.gateway.calls["import_credentials"] == 0


@pytest.mark.parametrize("status", [ACTIVE, ERROR, DISCONNECTED])
async def test_nobody_is_sent_to_authorize_what_uses_a_key(world: WatchWorld, status: str) -> None:
    connection = await (broken(world) if status == "error" else by_key(world))
    if status == "disconnected":
        connection = await world.disconnect(connection.id)
    for call in (world.reauthorize(connection.id), world.open_session(connection.id)):
        with pytest.raises(InvalidInput) as refused:
            await call
        # A connect session takes no credentials: it must not ask for them, but say where they go.
        assert refused.value.details == (
            ("credentials", "must be given, to reauthorize: this connection uses an API key"),
        )
    assert await world.connection(connection.id) == connection
    assert await world.attempts(connection.id) == []


async def test_another_company_does_not_replace_credentials(world: WatchWorld) -> None:
    connection = await by_key(world)
    with pytest.raises(ConnectionNotFound):
        await world.use_cases.replace_credentials(
            company_id="rival", connection_id=connection.id, parameters=None, credentials=NEW, actor="rival"
        )
    assert await world.connection(connection.id) == connection
