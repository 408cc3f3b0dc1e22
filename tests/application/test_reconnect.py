"""Authorizing again: what Nango keeps, and what it is told once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from adapters.catalogue.catalogue import Catalogue
from adapters.catalogue.toml_provider import TomlProvider
from domain.connection import ACTIVE
from domain.errors import GatewayUnavailable, GrantNotFound, InvalidInput, ProviderCallImpossible
from domain.provider import OAuth, Parameter, ParameterTarget, Provider
from tests.application.service import catalogue, catalogue_with, catalogue_without
from tests.application.world import COMPANY, World

if TYPE_CHECKING:
    from application.ports import ProviderCatalogue

# ── reconnecting at Nango ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("condition", ["in_error", "expired"])
async def test_authorizing_again_keeps_nangos_id(world: World, condition: str) -> None:
    connection = await getattr(world, condition)()
    await world.come_back((await world.auth_url()).url)
    again = await world.connection(connection.id)
    assert (again.status, again.nango_id) == (ACTIVE, connection.nango_id)
    assert world.grants() == {connection.nango_id}


async def test_after_a_disconnect_nangos_id_is_new(world: World) -> None:
    first = await world.authorize()
    await world.disconnect(first.id)
    await world.come_back((await world.auth_url()).url)
    again = await world.connection(first.id)
    assert again.status is ACTIVE
    assert again.nango_id not in (None, first.nango_id)
    assert world.grants() == {again.nango_id}


async def test_a_reconnect_whose_connection_is_gone_at_nango_begins_anew(world: World) -> None:
    connection = await world.in_error()
    world.gateway.forget(connection.nango_id or "")
    await world.come_back((await world.auth_url()).url)
    again = await world.connection(connection.id)
    assert again.status is ACTIVE
    assert world.grants() == {again.nango_id}


async def test_a_session_that_nango_refuses_for_good_is_an_error_of_the_call(world: World) -> None:
    world.gateway.fail_with(GrantNotFound(), ["open_session"], times=None)
    with pytest.raises(GrantNotFound):
        await world.auth_url()
    assert await world.connections() == []


@pytest.mark.parametrize(
    "providers", [catalogue_without("stripe"), catalogue_with("stripe", oauth=None)], ids=["gone", "changed"]
)
@pytest.mark.parametrize("call", ["reauthorize", "open_session"])
async def test_that_a_connection_is_not_described_any_more_is_no_mistake_of_the_caller(
    world: World, providers: ProviderCatalogue, call: str
) -> None:
    connection = await world.in_error()
    later = world.another_process(providers=providers)
    with pytest.raises(ProviderCallImpossible, match="its operator can put the description back"):
        await getattr(later, call)(connection.id)
    assert await world.connection(connection.id) == connection


async def test_a_reconnect_carries_all_tags_again(world: World) -> None:
    connection = await world.in_error()
    await world.later(seconds=1)
    await world.come_back((await world.auth_url()).url)
    tags = world.gateway.grant(connection.nango_id or "").tags
    attempt = (await world.attempts(connection.id))[-1]
    assert tags == {
        "connection": connection.id,
        "company": COMPANY,
        "deployment": await world.store.deployment(),
        "attempt": attempt.id,
    }


async def _with_another_integration(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A process started after the team has changed stripe's provider file."""
    known = catalogue()
    stripe = known.get("stripe").provider
    changed = attrs.evolve(stripe, oauth=OAuth(integration="hubspot"))
    extended = Catalogue({**known._adapters, "stripe": TomlProvider(changed)})
    monkeypatch.setattr("tests.application.service.catalogue", lambda: extended)
    return world.another_process()


async def test_a_changed_provider_file_does_not_redirect_an_old_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await world.in_error()
    changed = await _with_another_integration(world, monkeypatch)
    await changed.come_back((await changed.auth_url()).url)
    assert set(world.gateway.stored) == {("stripe-app", connection.nango_id)}


async def test_a_changed_provider_file_decides_where_there_is_nothing_to_keep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await world.disconnected()
    changed = await _with_another_integration(world, monkeypatch)
    await changed.come_back((await changed.auth_url()).url)
    after = await world.connection(connection.id)
    assert after.status is ACTIVE
    assert set(world.gateway.stored) == {("hubspot", after.nango_id)}
    assert after.integration == "hubspot"


# ── parameters ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_required_parameter_that_is_missing_is_named(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        await world.auth_url("netsuite")
    assert [field for field, _ in refused.value.details] == ["parameters.accountId"]
    assert await world.connections() == []


async def test_an_unknown_parameter_is_named(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        await world.auth_url("stripe", accountId="1")
    assert [field for field, _ in refused.value.details] == ["parameters.accountId"]


async def test_a_parameter_reaches_nango_in_its_canonical_form(world: World) -> None:
    connection = await world.authorize("netsuite", accountId="1234567_SB1")
    stored = world.gateway.grant(connection.nango_id or "")
    assert stored.connection_config == {"accountId": "1234567-sb1"}


@pytest.mark.parametrize("condition", ["in_error", "disconnected"])
async def test_authorizing_again_sends_the_stored_parameters_again(world: World, condition: str) -> None:
    connection = await getattr(world, condition)("netsuite", accountId="1234567")
    await world.come_back((await world.auth_url("netsuite")).url)
    again = await world.connection(connection.id)
    assert world.gateway.grant(again.nango_id or "").connection_config == {"accountId": "1234567"}


async def test_a_new_value_replaces_the_stored_one(world: World) -> None:
    connection = await world.in_error("netsuite", accountId="1")
    await world.come_back((await world.auth_url("netsuite", accountId="2")).url)
    assert (await world.connection(connection.id)).parameters == {"accountId": "2"}
    assert world.gateway.grant(connection.nango_id or "").connection_config == {"accountId": "2"}


async def test_what_the_provider_itself_returned_is_never_sent(world: World) -> None:
    connection = await world.in_error("quickbooks")
    assert world.gateway.grant(connection.nango_id or "").connection_config == {"realmId": "4620816365"}
    await world.come_back((await world.auth_url("quickbooks")).url, code="c")
    assert world.gateway.grant(connection.nango_id or "").connection_config == {}


async def test_parameters_of_a_start_that_failed_are_not_kept(world: World) -> None:
    connection = await world.in_error("netsuite", accountId="1")
    world.gateway.fail_with(GatewayUnavailable(), ["open_session"])
    with pytest.raises(GatewayUnavailable):
        await world.auth_url("netsuite", accountId="2")
    assert (await world.connection(connection.id)).parameters == {"accountId": "1"}


@pytest.mark.parametrize("condition", ["in_error", "expired"])
async def test_a_denied_account_leaves_the_credentials_theirs(world: World, condition: str) -> None:
    connection = await getattr(world, condition)("netsuite", accountId="111")
    await world.deny((await world.reauthorize(connection.id, accountId="222")).url)
    assert (await world.connection(connection.id)).parameters == {"accountId": "111"}


async def test_credentials_are_tried_at_their_own_account_while_another_is_asked_for(world: World) -> None:
    connection = await world.in_error("netsuite", accountId="111")
    await world.deny((await world.reauthorize(connection.id, accountId="222")).url)
    await world.verify(connection.id)
    assert world.gateway.asked[-1][2] == "https://111.suitetalk.api.netsuite.com/services/rest"


async def test_after_a_denied_account_the_one_before_is_asked_for_again(world: World) -> None:
    connection = await world.in_error("netsuite", accountId="111")
    await world.deny((await world.reauthorize(connection.id, accountId="222")).url)
    await world.come_back((await world.reauthorize(connection.id)).url)
    assert world.gateway.grant(connection.nango_id or "").connection_config == {"accountId": "111"}


@pytest.mark.parametrize("pause", [0, 1])
@pytest.mark.parametrize("completed", ["111", "222"])
async def test_of_two_accounts_asked_for_the_one_that_was_authorized_counts(
    world: World, completed: str, pause: int
) -> None:
    urls = {"111": (await world.auth_url("netsuite", accountId="111")).url}
    await world.later(seconds=pause)
    urls["222"] = (await world.auth_url("netsuite", accountId="222")).url
    await world.come_back(urls[completed])
    (connection,) = await world.connections()
    assert connection.parameters == {"accountId": completed}
    assert world.gateway.grant(connection.nango_id or "").connection_config == {"accountId": completed}


async def test_a_restart_in_the_moment_of_the_birth_is_told(world: World) -> None:
    first = await world.auth_url("netsuite", accountId="111")
    await world.auth_url("netsuite", accountId="222")
    assert await world.history(first.connection_id) == ["created", "authorization_restarted"]


async def test_before_any_success_the_account_asked_for_last_is_asked_for_again(world: World) -> None:
    first = await world.auth_url("netsuite", accountId="111")
    await world.deny(first.url)
    await world.deny((await world.auth_url("netsuite", accountId="222")).url)
    await world.come_back((await world.auth_url("netsuite")).url)
    connection = await world.connection(first.connection_id)
    assert connection.parameters == {"accountId": "222"}
    assert world.gateway.grant(connection.nango_id or "").connection_config == {"accountId": "222"}


async def test_a_first_authorization_that_is_still_open_lends_its_account_to_the_next(world: World) -> None:
    started = await world.auth_url("netsuite", accountId="111")
    await world.come_back((await world.auth_url("netsuite")).url)
    connection = await world.connection(started.connection_id)
    assert world.gateway.grant(connection.nango_id or "").connection_config == {"accountId": "111"}


async def test_a_parameter_of_the_authorization_itself_goes_into_the_providers_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = catalogue()
    domain = Parameter(
        name="domain", pattern="[a-z]+", label="Domain", target=ParameterTarget.AUTHORIZATION_PARAMS
    )
    oauth = OAuth(integration="hubspot", parameters=(domain,))
    acme = Provider(key="acme", name="Acme", description="CRM", category="crm", oauth=oauth)
    extended = Catalogue({**known._adapters, "acme": TomlProvider(acme)})
    monkeypatch.setattr("tests.application.service.catalogue", lambda: extended)
    started = await World().auth_url("acme", domain="juniper")
    assert "domain=juniper" in started.url
