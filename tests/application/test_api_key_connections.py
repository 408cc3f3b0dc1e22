"""Connections by API key: active at once, or nothing at all, and no key anywhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from application.create_api_key_connection import _Wanted
from application.finish_import import TRIES
from application.import_credentials import api_key_of
from application.ports import ConnectionFilter, JobKind, ProviderAnswer
from application.settle_import import SettleImport
from domain.connection import ACTIVE, ERROR
from domain.errors import (
    ConnectionNotFound,
    CredentialsRefused,
    CredentialsUnusable,
    DomainError,
    GatewayNonsense,
    GatewayTimeout,
    GatewayUnavailable,
    IdempotencyKeyReused,
    IntegrationMissing,
    InvalidInput,
    ProviderUnavailable,
    RefreshNotPossible,
)
from tests.application.service import catalogue, catalogue_with
from tests.application.watch import KEY, WatchWorld
from tests.application.world import ACTOR, COMPANY, nango_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.connection import Connection

TBA = {"tokenId": "canary-token-id", "tokenSecret": "canary-token-secret"}


@pytest.fixture
async def world() -> WatchWorld:
    return WatchWorld()


async def nothing_is_left(world: WatchWorld) -> bool:
    """Neither here nor at Nango, now and after everything owed was done."""
    left = [*world.grants(), *await world.connections()]
    await world.work_for(minutes=2)
    return not (left or world.grants() or await world.connections() or world.owed())


def hidden(world: WatchWorld) -> Connection:
    """The one connection there is, visible or not."""
    (connection,) = world.store._state.connections.values()
    return connection


# ── good keys ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_good_key_is_active_at_once(world: WatchWorld) -> None:
    created = await world.by_key("pandadoc")
    connection = await world.connection(created.connection_id)
    assert (created.status, created.oauth_url, connection.status) == (ACTIVE, None, ACTIVE)
    assert world.owed() == []


async def test_the_account_is_known_at_once(world: WatchWorld) -> None:
    connection = await world.connection((await world.by_key()).connection_id)
    assert connection.external_account_id == "acct_1"
    assert connection.last_synced_at == connection.authorized_at == world.now()


async def test_nango_has_it_under_our_own_id_with_our_tags(world: WatchWorld) -> None:
    connection = await world.connection((await world.by_key()).connection_id)
    grant = world.grant_of(connection)
    assert f"conn_{grant.nango_id}" == connection.id
    assert grant.tags == {
        "connection": connection.id,
        "company": COMPANY,
        "deployment": await world.store.deployment(),
    }


@pytest.mark.parametrize(("provider", "kind"), [("stripe", "BASIC"), ("pandadoc", "API_KEY")])
async def test_nango_is_told_what_kind_of_credentials_they_are(
    world: WatchWorld, provider: str, kind: str
) -> None:
    connection = await world.connection((await world.by_key(provider)).connection_id)
    assert world.gateway.grant(nango_id(connection)).kind == kind


async def test_a_restricted_key_is_good(world: WatchWorld) -> None:
    world.gateway.answer = ProviderAnswer(status=403, body={"error": {"message": "permissions"}})
    connection = await world.connection((await world.by_key()).connection_id)
    assert (connection.status, connection.external_account_id) == (ACTIVE, None)


async def test_token_based_authentication_knows_its_account(world: WatchWorld) -> None:
    created = await world.by_key("netsuite", TBA, accountId="1234567_SB1")
    connection = await world.connection(created.connection_id)
    assert connection.external_account_id == "1234567-sb1"
    assert world.grant_of(connection).connection_config == {"accountId": "1234567-sb1"}
    assert world.gateway.asked[-1][2] == "https://1234567-sb1.suitetalk.api.netsuite.com/services/rest"


async def test_a_company_may_have_many(world: WatchWorld) -> None:
    for number in range(3):
        await world.by_key(name=f"{number}")
    await world.authorize()
    assert len(await world.connections()) == 4


async def test_its_history_tells_who_made_it(world: WatchWorld) -> None:
    created = await world.by_key()
    events = await world.events(created.connection_id)
    assert [event.type.value for event in events] == ["created", "authorized", "account_identified"]
    assert {event.actor for event in events} == {ACTOR}


# ── bad ones ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_that_nango_refuses_leaves_nothing(world: WatchWorld) -> None:
    world.gateway.bad_credentials = {KEY}
    with pytest.raises(CredentialsRefused):
        await world.by_key("pandadoc")
    assert await nothing_is_left(world)


async def test_a_key_that_the_provider_refuses_leaves_nothing(world: WatchWorld) -> None:
    world.gateway.answer = ProviderAnswer(status=401, body={"error": {"message": "No such key"}})
    with pytest.raises(CredentialsRefused, match="No such key"):
        await world.by_key()
    assert await nothing_is_left(world)


@pytest.mark.parametrize("problem", [ProviderUnavailable("down"), GatewayNonsense(), GatewayUnavailable()])
async def test_a_key_that_cannot_be_tried_leaves_nothing(world: WatchWorld, problem: DomainError) -> None:
    world.gateway.fail_with(problem, ["call_provider"])
    with pytest.raises(type(problem)):
        await world.by_key()
    assert await nothing_is_left(world)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "problem", [GatewayTimeout(), GatewayUnavailable(), IntegrationMissing("stripe-api-key")]
)
async def test_an_import_that_fails_leaves_nothing(
    world: WatchWorld, problem: DomainError, after: bool
) -> None:
    world.gateway.fail_with(problem, ["import_credentials"], after=after)
    with pytest.raises(type(problem)):
        await world.by_key()
    assert await nothing_is_left(world)


async def test_an_import_that_nango_finishes_late_leaves_nothing(world: WatchWorld) -> None:
    world.gateway.fail_with(GatewayTimeout(), ["import_credentials"])
    with pytest.raises(GatewayTimeout):
        await world.by_key()
    await finish_import(world, hidden(world))
    assert len(world.grants()) == 1
    await world.work_for(minutes=1)
    assert world.grants() == set()


async def finish_import(world: WatchWorld, connection: Connection) -> None:
    """Nango stores a key after its caller has given up."""
    await world.gateway.import_credentials(
        integration=connection.integration,
        nango_id=connection.id.removeprefix("conn_"),
        kind="API_KEY",
        credentials={},
        connection_config={},
        tags={"connection": connection.id, "deployment": await world.store.deployment()},
    )


async def test_nango_silent_while_a_refused_key_is_removed_is_the_worker_s_business(
    world: WatchWorld,
) -> None:
    world.gateway.answer = ProviderAnswer(status=401, body={})
    world.gateway.fail_with(GatewayUnavailable(), ["delete"])
    with pytest.raises(CredentialsRefused):
        await world.by_key()
    assert len(world.grants()) == 1
    await world.work_for(minutes=1)
    assert world.grants() == set()


@pytest.mark.parametrize(
    ("provider", "credentials", "parameters", "named"),
    [
        ("slack", {"apiKey": "k"}, {}, "credentials"),
        ("stripe", {}, {}, "credentials.apiKey"),
        ("stripe", {"apiKey": ""}, {}, "credentials.apiKey"),
        ("stripe", {"apiKey": "a b"}, {}, "credentials.apiKey"),
        ("stripe", {"apiKey": "k", "other": "o"}, {}, "credentials.other"),
        ("netsuite", {"tokenId": "i"}, {"accountId": "1"}, "credentials.tokenSecret"),
        ("netsuite", TBA, {}, "parameters.accountId"),
        ("netsuite", TBA, {"accountId": "../evil"}, "parameters.accountId"),
    ],
)
async def test_what_is_missing_unknown_or_ill_formed_is_named_and_nango_sees_nothing(
    world: WatchWorld,
    provider: str,
    credentials: Mapping[str, str],
    parameters: Mapping[str, str],
    named: str,
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await world.by_key(provider, credentials, **parameters)
    assert named in [name for name, _ in refused.value.details]
    assert world.gateway.calls.total() == 0


async def test_a_provider_without_keys_wants_none(world: WatchWorld) -> None:
    with pytest.raises(InvalidInput) as refused:
        await world.by_key("slack", {"apiKey": "k"})
    assert refused.value.details == (
        ("credentials", "must be left out: slack takes no API keys; connect it by OAuth"),
    )


# ── while it is tried ─────────────────────────────────────────────────────────────────────────────────


async def test_while_it_is_tried_nobody_can_do_anything_with_it(world: WatchWorld) -> None:
    trial, gate = await world.catch("import_credentials", world.by_key())
    connection_id = hidden(world).id
    assert await world.connections() == []
    for call in (
        world.connection(connection_id),
        world.verify(connection_id),
        world.refresh(connection_id),
        world.disconnect(connection_id),
        world.delete(connection_id),
        world.reauthorize(connection_id),
        world.replace(connection_id),
        world.open_session(connection_id),
        world.report(connection_id),
    ):
        with pytest.raises(ConnectionNotFound):
            await call
    gate.set()
    assert (await world.connection((await trial).connection_id)).status is ACTIVE


async def test_auth_url_does_not_see_it(world: WatchWorld) -> None:
    await world.by_key()
    assert (await world.auth_url()).is_new


# ── crashes ───────────────────────────────────────────────────────────────────────────────────────────


class _Died(BaseException):
    """Stands for a process that is no more: none of its blocks may clean up."""


async def dies_after(world: WatchWorld, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own that creates a connection and is killed once Nango has answered this."""
    process = world.another_worker()

    async def nothing(*_: object, **__: object) -> None:
        raise _Died

    with monkeypatch.context() as patch:
        patch.setattr(SettleImport, "discard", nothing)
        patch.setattr(SettleImport, "activate", nothing)
        if operation == "import_credentials":
            world.gateway.fail_with(GatewayTimeout(), ["call_provider"])
        with pytest.raises(_Died):
            await process.by_key(key="once")


@pytest.mark.parametrize("operation", ["import_credentials", "call_provider"])
async def test_a_crash_before_our_commit_is_completed_by_the_worker(
    world: WatchWorld, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_after(world, operation, monkeypatch)
    assert await world.connections() == []
    await world.work_for(seconds=50)
    (listed,) = await world.connections()
    connection = await world.connection(listed.id)
    assert (connection.status, world.grants()) == (ACTIVE, {nango_id(connection)})
    assert world.owed() == []


async def test_a_crash_is_completed_by_the_caller_s_repetition(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_after(world, "call_provider", monkeypatch)
    created = await world.by_key(key="once")
    await world.work_for(minutes=2)
    connection = await world.connection(created.connection_id)
    assert [each.id for each in await world.connections()] == [connection.id]
    assert world.grants() == {nango_id(connection)}
    assert (await world.history(connection.id)).count("authorized") == 1


async def test_of_two_repetitions_after_a_crash_one_imports(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_after(world, "call_provider", monkeypatch)
    before = world.gateway.calls["import_credentials"]
    callers = (world, world.another_worker())
    created = await asyncio.gather(*(each.by_key(key="once") for each in callers))
    assert created[0] == created[1]
    assert world.gateway.calls["import_credentials"] == before + 1


async def test_a_repetition_after_the_worker_has_finished_gets_the_connection(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_after(world, "call_provider", monkeypatch)
    await world.work_for(minutes=1)
    created = await world.by_key(key="once")
    assert [each.id for each in await world.connections()] == [created.connection_id]


async def test_a_repetition_imports_nothing_into_what_has_lived_on(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_after(world, "call_provider", monkeypatch)
    await world.work_for(minutes=1)
    (connection,) = await world.connections()
    await world.disconnect(connection.id)
    await world.by_key(key="once")
    assert world.grants() == set()


async def dies_before_the_import(world: WatchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed before Nango has seen the key."""

    async def dies(*_: object, **__: object) -> None:
        raise _Died

    with monkeypatch.context() as patch:
        patch.setattr(SettleImport, "discard", dies)
        world.gateway.fail_with(GatewayUnavailable(), ["import_credentials"])
        with pytest.raises(_Died):
            await world.by_key(key="once")


@pytest.mark.parametrize("changes", [{}, {"identity": None}], ids=["as it is", "without an identity call"])
async def test_a_crash_before_nango_was_asked_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, None]
) -> None:
    world = WatchWorld(providers=catalogue_with("stripe", **changes))
    await dies_before_the_import(world, monkeypatch)
    await world.work_for(minutes=1)
    assert await nothing_is_left(world)
    assert (await world.by_key(key="once")).status is ACTIVE


async def test_a_crash_is_completed_where_nobody_can_be_asked_who_the_account_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = WatchWorld(providers=catalogue_with("stripe", identity=None))
    await dies_after(world, "import_credentials", monkeypatch)
    await world.work_for(seconds=50)
    (listed,) = await world.connections()
    assert world.grants() == {nango_id(await world.connection(listed.id))}


async def test_a_key_revoked_before_the_worker_came_leaves_nothing(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_after(world, "call_provider", monkeypatch)
    world.gateway.answer = ProviderAnswer(status=401, body={})
    await world.work_for(minutes=1)
    assert await nothing_is_left(world)


async def test_the_worker_waits_for_a_provider_in_trouble(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_after(world, "call_provider", monkeypatch)
    world.gateway.answer = ProviderAnswer(status=503, body=None)
    await world.work_for(minutes=5)
    assert [job.kind for job in world.owed()] == [JobKind.IMPORT]
    world.gateway.answer = ProviderAnswer(status=200, body={})
    await world.work_for(minutes=5)
    assert len(await world.connections()) == 1


async def test_the_worker_gives_up_what_can_never_be_tried(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_after(world, "call_provider", monkeypatch)
    world.gateway.fail_with(CredentialsUnusable("Backing off."), ["call_provider"], times=None)
    await world.work_for(hours=2)
    assert [job.kind for job in world.owed()] == [JobKind.IMPORT]
    tried = world.gateway.calls["call_provider"]
    await world.work_for(hours=1)
    assert await nothing_is_left(world)
    assert tried < world.gateway.calls["call_provider"] <= TRIES + 1


async def test_the_worker_leaves_alone_what_is_still_being_tried(world: WatchWorld) -> None:
    trial, gate = await world.catch("call_provider", world.by_key())
    await world.work_for(seconds=30)
    assert await world.connections() == []
    gate.set()
    await trial


async def test_a_caller_who_goes_away_leaves_nothing_half_done(world: WatchWorld) -> None:
    trial, _ = await world.catch("import_credentials", world.by_key())
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert await nothing_is_left(world)


# ── repetitions ───────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_idempotency_key_gives_the_same_connection(world: WatchWorld) -> None:
    first, again = await world.by_key(key="once"), await world.by_key(key="once")
    assert first == again
    assert (len(world.grants()), world.gateway.calls["import_credentials"]) == (1, 1)


async def test_many_at_once_over_two_processes_are_one(world: WatchWorld) -> None:
    other = world.another_worker()
    created = await asyncio.gather(*(process.by_key(key="once") for process in [world, other] * 5))
    assert len({each.connection_id for each in created}) == 1
    assert (len(world.grants()), len(await world.connections())) == (1, 1)


@pytest.mark.parametrize(
    ("provider", "api_key", "name"),
    [("stripe", KEY, "Other"), ("stripe", "sk_other", "By key"), ("pandadoc", KEY, "By key")],
)
async def test_another_request_under_the_same_idempotency_key_is_refused(
    world: WatchWorld, provider: str, api_key: str, name: str
) -> None:
    await world.by_key("stripe", {"apiKey": KEY}, key="once", name="By key")
    with pytest.raises(IdempotencyKeyReused):
        await world.by_key(provider, {"apiKey": api_key}, key="once", name=name)


async def test_an_idempotency_key_whose_credentials_were_refused_is_free(world: WatchWorld) -> None:
    world.gateway.bad_credentials = {"bad"}
    with pytest.raises(CredentialsRefused):
        await world.by_key("stripe", {"apiKey": "bad"}, key="once")
    assert (await world.by_key(key="once")).status is ACTIVE


# ── canaries ──────────────────────────────────────────────────────────────────────────────────────────


async def test_no_credential_is_in_our_store_logs_answers_or_errors(world: WatchWorld) -> None:
    said: list[object] = []
    with capture_logs() as logs:
        said.append(await world.by_key("stripe", {"apiKey": "canary-1"}, key="canary-idempotency"))
        said.append(await world.by_key("netsuite", TBA, accountId="1"))
        connection_id = (await world.by_key("pandadoc", {"apiKey": "canary-2"})).connection_id
        said.append(await world.replace(connection_id, {"apiKey": "canary-3"}))
        world.gateway.bad_credentials = {"canary-4"}
        for call in (
            world.by_key("stripe", {"apiKey": "canary-4"}),
            world.by_key("stripe", {"apiKey": "canary 5"}),
            world.replace(connection_id, {"apiKey": "canary-4"}),
            world.replace(connection_id, {"canary-6": "canary-7"}),
        ):
            with pytest.raises(DomainError) as refused:
                await call
            details = getattr(refused.value, "details", ())
            said.append((str(refused.value), repr(refused.value), details))
        world.gateway.fail_with(GatewayTimeout(), ["import_credentials"])
        with pytest.raises(GatewayTimeout):
            await world.by_key("stripe", {"apiKey": "canary-8"})
        await world.work_for(minutes=2)
        said.append(await world.store.list(COMPANY, ConnectionFilter(), limit=100, cursor=None))
        said.append(await world.store.events(COMPANY, None, limit=100, cursor=None))
    # What a caller calls a field is told back to them; its value never is.
    everything = repr((said, logs, world.store._state, world.use_cases)).replace("credentials.canary-6", "")
    assert "canary" not in everything


async def test_no_credential_is_in_the_repr_of_what_holds_it() -> None:
    wanted = _Wanted(
        company_id=COMPANY,
        provider="stripe",
        name="By key",
        metadata={},
        parameters={},
        credentials={"username": KEY},
        secrets=[KEY],
        api_key=api_key_of(catalogue().get("stripe").provider),
        actor=ACTOR,
    )
    assert wanted.credentials["username"] == KEY
    assert KEY not in repr(wanted)


async def test_nangos_own_trouble_with_a_key_is_not_the_providers_word(world: WatchWorld) -> None:
    connection = await world.connection((await world.by_key()).connection_id)
    world.gateway.fail_with(CredentialsUnusable("Nango has a problem"), ["call_provider"], times=None)
    with pytest.raises(CredentialsUnusable):
        await world.verify(connection.id)
    assert await world.connection(connection.id) == connection


async def test_a_key_that_was_given_up_meanwhile_does_not_come_back(world: WatchWorld) -> None:
    creating, imported = await world.catch("import_credentials", world.by_key(), after=False)
    await world.work_for(minutes=2)
    imported.set()
    with pytest.raises(ConnectionNotFound):
        await creating
    assert await nothing_is_left(world)


async def test_a_key_that_was_given_up_before_nango_s_answer_was_lost_leaves_nothing(
    world: WatchWorld,
) -> None:
    creating, imported = await world.catch("import_credentials", world.by_key(), after=False)
    await world.work_for(minutes=2)
    world.gateway.fail_with(GatewayTimeout(), ["import_credentials"], after=True)
    imported.set()
    with pytest.raises(GatewayTimeout):
        await creating
    assert await nothing_is_left(world)


async def test_a_repetition_that_overlaps_with_the_worker_leaves_one_key_at_nango(
    world: WatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dies_before_the_import(world, monkeypatch)
    await world.later(seconds=44)
    repetition, imported = await world.catch("import_credentials", world.by_key(key="once"), after=False)
    await world.work_for(seconds=3)
    imported.set()
    connection = await world.connection((await repetition).connection_id)
    assert world.grants() == {nango_id(connection)}


async def test_a_revoked_key_is_an_error_and_not_refreshable(world: WatchWorld) -> None:
    connection = await world.connection((await world.by_key()).connection_id)
    world.refuse(connection)
    assert (await world.verify(connection.id)).connection.status is ERROR
    with pytest.raises(RefreshNotPossible):
        await world.refresh(connection.id)
