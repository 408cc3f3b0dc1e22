"""What every AuthGateway does, in memory or over HTTP."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

import pytest

from domain.errors import (
    CredentialsRefused,
    CredentialsUnusable,
    GatewayNonsense,
    GrantNotFound,
    IntegrationMissing,
)
from domain.provider import Identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from application.ports import AuthGateway, Flow, Session
    from domain.authorization import Grant

INTEGRATION = "hubspot"
IDENTITY = Identity(path="/account-info/v3/details")
KEYED = "pandadoc-api-key"

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

Query = list[tuple[str, str]]


class World(ABC):
    """A gateway, the user in front of the provider's page, and what may befall a connection."""

    gateway: AuthGateway
    bad_key: ClassVar[str]

    @abstractmethod
    async def authorize(self, flow: Flow) -> Query:
        """Say yes at the provider; give the query with which it sends the browser back."""

    @abstractmethod
    async def deny(self, flow: Flow) -> Query:
        """Say no at the provider."""

    @abstractmethod
    def refuse_refresh(self, nango_id: str) -> None:
        """Let the provider refuse refreshes from now on."""

    @abstractmethod
    def accept_refresh(self, nango_id: str) -> None:
        """Let the provider accept them again."""

    @abstractmethod
    def end_backoff(self, nango_id: str) -> None:
        """Let the time pass for which Nango backs off."""

    @abstractmethod
    def exhaust(self, nango_id: str) -> None:
        """Bring Nango to where it refreshes no more by itself."""

    @abstractmethod
    def drop_refresh_token(self, nango_id: str) -> None:
        """Leave the connection without a refresh token."""

    @abstractmethod
    def expire(self, nango_id: str) -> None:
        """End the access token's life."""

    @abstractmethod
    def forget(self, nango_id: str) -> None:
        """Delete the connection behind our back."""

    @abstractmethod
    def revoke(self, nango_id: str) -> None:
        """Let the provider answer 401 to calls with this connection's credentials."""

    @abstractmethod
    def speak_in_nangos_place(self, *, taken: bool) -> None:
        """Let something else answer the next callback with 200; `taken`: after Nango has dealt with it."""


def tags(attempt: str, connection: str = "conn_1") -> dict[str, str]:
    return {"connection": connection, "company": "acme", "deployment": "d1", "attempt": attempt}


async def session(
    world: World,
    attempt: str,
    *,
    connection: str = "conn_1",
    reconnect: str | None = None,
    config: dict[str, str] | None = None,
) -> Session:
    return await world.gateway.open_session(
        integration=INTEGRATION,
        tags=tags(attempt, connection),
        connection_config=config or {},
        authorization_params={},
        reconnect=reconnect,
    )


async def flow(world: World, attempt: str, *, reconnect: str | None = None) -> Flow:
    opened = await session(world, attempt, reconnect=reconnect)
    return await world.gateway.start_flow(INTEGRATION, opened)


async def connected(world: World, attempt: str = "a1", connection: str = "conn_1") -> Grant:
    opened = await session(world, attempt, connection=connection)
    begun = await world.gateway.start_flow(INTEGRATION, opened)
    await world.gateway.relay_callback(await world.authorize(begun), begun.cookie)
    (grant,) = await world.gateway.find_grants({"attempt": attempt})
    return grant


async def import_key(world: World, nango_id: str, key: str, **more: dict[str, str]) -> None:
    await world.gateway.import_credentials(
        integration=KEYED,
        nango_id=nango_id,
        kind="API_KEY",
        credentials={"apiKey": key},
        connection_config=more.get("config", {}),
        tags=more.get("tags", tags("a1")),
    )


async def all_grants(gateway: AuthGateway) -> Sequence[Grant]:
    return [grant async for page in gateway.grants() for grant in page]


class Authorizing:
    async def test_a_session_is_good_for_a_while(self, world: World) -> None:
        opened = await session(world, "a1")
        assert opened.token
        assert opened.expires_at.tzinfo is not None

    async def test_a_session_for_an_unknown_integration_is_refused(self, world: World) -> None:
        with pytest.raises(IntegrationMissing, match="'nope'"):
            await world.gateway.open_session(
                integration="nope",
                tags=tags("a1"),
                connection_config={},
                authorization_params={},
                reconnect=None,
            )

    async def test_a_reconnect_of_an_unknown_connection_is_refused(self, world: World) -> None:
        with pytest.raises(GrantNotFound):
            await session(world, "a1", reconnect="0b5ee8c9-0000-4000-8000-000000000000")

    async def test_a_flow_leads_to_the_provider_and_back_to_the_callback(self, world: World) -> None:
        begun = await flow(world, "a1")
        assert begun.authorization_url.startswith("http")
        assert begun.state in begun.authorization_url
        assert begun.redirect_uri == "http://localhost:3000/oauth/callback"
        assert begun.cookie == f"oauth2-{begun.state}=1"

    async def test_two_flows_have_two_states(self, world: World) -> None:
        opened = await session(world, "a1")
        first = await world.gateway.start_flow(INTEGRATION, opened)
        second = await world.gateway.start_flow(INTEGRATION, opened)
        assert first.state != second.state

    async def test_nothing_carries_the_tags_before_the_user_said_yes(self, world: World) -> None:
        await flow(world, "a1")
        assert await world.gateway.find_grants(tags("a1")) == []

    async def test_a_relayed_consent_makes_a_grant_with_exactly_the_tags(self, world: World) -> None:
        grant = await connected(world, "a1")
        assert grant.integration == INTEGRATION
        assert dict(grant.tags) == tags("a1")
        assert not grant.auth_error

    async def test_a_relayed_denial_makes_none(self, world: World) -> None:
        begun = await flow(world, "a1")
        await world.gateway.relay_callback(await world.deny(begun), begun.cookie)
        assert await world.gateway.find_grants(tags("a1")) == []

    async def test_a_callback_with_an_unknown_state_makes_none(self, world: World) -> None:
        await world.gateway.relay_callback([("code", "x"), ("state", "nope")], "")
        assert await all_grants(world.gateway) == []

    async def test_the_same_callback_again_changes_nothing(self, world: World) -> None:
        begun = await flow(world, "a1")
        query = await world.authorize(begun)
        await world.gateway.relay_callback(query, begun.cookie)
        before = await all_grants(world.gateway)
        await world.gateway.relay_callback(query, begun.cookie)
        assert await all_grants(world.gateway) == before

    @pytest.mark.parametrize("taken", [False, True])
    async def test_what_answers_a_callback_in_nangos_place_says_nothing_of_it(
        self, world: World, *, taken: bool
    ) -> None:
        begun = await flow(world, "a1")
        query = await world.authorize(begun)
        world.speak_in_nangos_place(taken=taken)
        with pytest.raises(GatewayNonsense):
            await world.gateway.relay_callback(query, begun.cookie)
        assert len(await world.gateway.find_grants(tags("a1"))) == taken

    async def test_two_flows_that_both_complete_make_two_grants(self, world: World) -> None:
        first, second = await connected(world, "a1"), await connected(world, "a2")
        found = await world.gateway.find_grants({"connection": "conn_1"})
        assert {grant.nango_id for grant in found} == {first.nango_id, second.nango_id}
        assert first.nango_id != second.nango_id

    async def test_a_reconnect_keeps_the_id_and_takes_the_new_tags(self, world: World) -> None:
        before = await connected(world, "a1")
        begun = await flow(world, "a2", reconnect=before.nango_id)
        await world.gateway.relay_callback(await world.authorize(begun), begun.cookie)
        (after,) = await all_grants(world.gateway)
        assert (after.nango_id, dict(after.tags)) == (before.nango_id, tags("a2"))

    async def test_a_denied_reconnect_leaves_the_old_tags(self, world: World) -> None:
        before = await connected(world, "a1")
        begun = await flow(world, "a2", reconnect=before.nango_id)
        await world.gateway.relay_callback(await world.deny(begun), begun.cookie)
        assert await all_grants(world.gateway) == [before]

    async def test_what_a_session_says_of_the_connection_is_kept_with_it(self, world: World) -> None:
        opened = await session(world, "a1", config={"subdomain": "acme"})
        begun = await world.gateway.start_flow(INTEGRATION, opened)
        await world.gateway.relay_callback(await world.authorize(begun), begun.cookie)
        (grant,) = await world.gateway.find_grants({"attempt": "a1"})
        details = await world.gateway.fetch(INTEGRATION, grant.nango_id)
        assert details.connection_config["subdomain"] == "acme"

    async def test_a_deleted_connection_comes_back_when_a_reconnect_completes(self, world: World) -> None:
        before = await connected(world, "a1")
        begun = await flow(world, "a2", reconnect=before.nango_id)
        await world.gateway.delete(INTEGRATION, before.nango_id)
        await world.gateway.relay_callback(await world.authorize(begun), begun.cookie)
        (after,) = await world.gateway.find_grants({"attempt": "a2"})
        assert after.nango_id == before.nango_id


class Finding:
    async def test_all_of_the_tags_must_fit(self, world: World) -> None:
        await connected(world, "a1", "conn_1")
        other = await connected(world, "a2", "conn_2")
        assert await world.gateway.find_grants({"company": "acme", "connection": "conn_2"}) == [other]
        assert await world.gateway.find_grants({"attempt": "a1", "connection": "conn_2"}) == []

    async def test_tags_with_any_characters_find_theirs_only(self, world: World) -> None:
        await connected(world, "a1", "a&b=c d/é[0]")
        await connected(world, "a2", "a")
        (found,) = await world.gateway.find_grants({"connection": "a&b=c d/é[0]"})
        assert found.tags["attempt"] == "a1"

    @pytest.mark.parametrize(
        ("wanted", "there"),
        [
            ({"company": "acme"}, True),
            ({"company": "acme", "connection": "conn_2"}, True),
            ({"attempt": "a1", "connection": "conn_2"}, False),
        ],
    )
    async def test_whether_anything_has_all_of_the_tags(
        self, world: World, wanted: dict[str, str], *, there: bool
    ) -> None:
        await connected(world, "a1", "conn_1")
        await connected(world, "a2", "conn_2")
        assert await world.gateway.any_grant(wanted) is there

    async def test_a_grant_is_there_until_it_is_deleted(self, world: World) -> None:
        grant = await connected(world)
        assert await world.gateway.has_grant(INTEGRATION, grant.nango_id)
        await world.gateway.delete(INTEGRATION, grant.nango_id)
        assert not await world.gateway.has_grant(INTEGRATION, grant.nango_id)

    async def test_a_grant_deleted_behind_our_back_is_gone(self, world: World) -> None:
        grant = await connected(world)
        world.forget(grant.nango_id)
        assert not await world.gateway.has_grant(INTEGRATION, grant.nango_id)

    async def test_a_grant_of_another_integration_is_not_there(self, world: World) -> None:
        grant = await connected(world)
        assert not await world.gateway.has_grant("slack", grant.nango_id)

    async def test_a_grant_that_cannot_be_refreshed_is_there(self, world: World) -> None:
        grant = await connected(world)
        world.refuse_refresh(grant.nango_id)
        with pytest.raises(CredentialsUnusable):
            await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        assert await world.gateway.has_grant(INTEGRATION, grant.nango_id)

    async def test_an_integration_that_is_gone_is_named(self, world: World) -> None:
        with pytest.raises(IntegrationMissing, match="'nope'"):
            await world.gateway.has_grant("nope", "0b5ee8c9-0000-4000-8000-000000000000")

    async def test_deleting_twice_is_fine(self, world: World) -> None:
        grant = await connected(world)
        await world.gateway.delete(INTEGRATION, grant.nango_id)
        await world.gateway.delete(INTEGRATION, grant.nango_id)
        assert await all_grants(world.gateway) == []

    async def test_deleting_what_never_was_is_fine(self, world: World) -> None:
        kept = await connected(world)
        await world.gateway.delete(INTEGRATION, "never-was")
        assert await all_grants(world.gateway) == [kept]

    async def test_the_walk_shows_everything(self, world: World) -> None:
        made = [await connected(world, f"a{number}") for number in range(3)]
        assert {grant.nango_id for grant in await all_grants(world.gateway)} == {g.nango_id for g in made}

    async def test_the_integrations_are_named(self, world: World) -> None:
        assert {INTEGRATION, KEYED} <= set(await world.gateway.integrations())

    async def test_a_key_that_may_do_everything_lacks_nothing_and_leaves_everything_as_it_is(
        self, world: World
    ) -> None:
        kept = await connected(world)
        assert await world.gateway.missing_permissions() == []
        assert await all_grants(world.gateway) == [kept]


class Refreshing:
    async def test_a_fetch_tells_when_the_token_ends(self, world: World) -> None:
        grant = await connected(world)
        details = await world.gateway.fetch(INTEGRATION, grant.nango_id)
        assert details.expires_at is not None
        assert details.expires_at.tzinfo is not None
        assert details.token["access_token"]

    async def test_a_refresh_gives_another_token(self, world: World) -> None:
        grant = await connected(world)
        before = await world.gateway.fetch(INTEGRATION, grant.nango_id)
        after = await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        assert after.token["access_token"] != before.token["access_token"]

    async def test_credentials_are_in_no_representation(self, world: World) -> None:
        grant = await connected(world)
        details = await world.gateway.fetch(INTEGRATION, grant.nango_id)
        assert details.token["access_token"] not in repr(details)

    async def test_a_fetch_of_what_is_gone_says_so(self, world: World) -> None:
        with pytest.raises(GrantNotFound):
            await world.gateway.fetch(INTEGRATION, "0b5ee8c9-0000-4000-8000-000000000000")

    async def test_a_fetch_from_a_missing_integration_says_so(self, world: World) -> None:
        with pytest.raises(IntegrationMissing):
            await world.gateway.fetch("nope", "0b5ee8c9-0000-4000-8000-000000000000")

    async def test_a_refused_refresh_says_so_in_a_sentence(self, world: World) -> None:
        grant = await connected(world)
        world.refuse_refresh(grant.nango_id)
        with pytest.raises(CredentialsUnusable, match="returned an error when trying to refresh") as caught:
            await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        assert not caught.value.exhausted

    async def test_a_refused_refresh_shows_in_the_list(self, world: World) -> None:
        grant = await connected(world)
        world.refuse_refresh(grant.nango_id)
        with pytest.raises(CredentialsUnusable):
            await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        (found,) = await world.gateway.find_grants({"attempt": "a1"})
        assert found.auth_error

    async def test_after_a_refused_refresh_the_plain_fetch_backs_off(self, world: World) -> None:
        grant = await connected(world)
        world.refuse_refresh(grant.nango_id)
        with pytest.raises(CredentialsUnusable):
            await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        world.accept_refresh(grant.nango_id)
        with pytest.raises(CredentialsUnusable, match="Backing off"):
            await world.gateway.fetch(INTEGRATION, grant.nango_id)

    async def test_after_the_back_off_the_plain_fetch_works_again(self, world: World) -> None:
        grant = await connected(world)
        world.refuse_refresh(grant.nango_id)
        with pytest.raises(CredentialsUnusable):
            await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        world.end_backoff(grant.nango_id)
        assert (await world.gateway.fetch(INTEGRATION, grant.nango_id)).token["access_token"]

    async def test_a_forced_refresh_passes_the_back_off_and_mends_it(self, world: World) -> None:
        grant = await connected(world)
        world.refuse_refresh(grant.nango_id)
        with pytest.raises(CredentialsUnusable):
            await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        world.accept_refresh(grant.nango_id)
        await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        (found,) = await world.gateway.find_grants({"attempt": "a1"})
        assert not found.auth_error

    async def test_an_expired_token_is_renewed_by_a_plain_fetch(self, world: World) -> None:
        grant = await connected(world)
        world.expire(grant.nango_id)
        details = await world.gateway.fetch(INTEGRATION, grant.nango_id)
        assert details.expires_at is not None
        assert details.expires_at > NOON

    async def test_a_connection_nango_gave_up_is_exhausted(self, world: World) -> None:
        grant = await connected(world)
        world.exhaust(grant.nango_id)
        with pytest.raises(CredentialsUnusable, match="limit") as caught:
            await world.gateway.fetch(INTEGRATION, grant.nango_id)
        assert caught.value.exhausted

    async def test_without_a_refresh_token_a_refresh_gives_the_old_token(self, world: World) -> None:
        grant = await connected(world)
        before = await world.gateway.fetch(INTEGRATION, grant.nango_id)
        world.drop_refresh_token(grant.nango_id)
        after = await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        assert after.token["access_token"] == before.token["access_token"]
        assert after.expires_at == before.expires_at

    async def test_twenty_refreshes_at_once_all_succeed(self, world: World) -> None:
        grant = await connected(world)
        fetched = await asyncio.gather(
            *(world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True) for _ in range(20))
        )
        assert all(details.expires_at for details in fetched)


class Calling:
    async def test_the_provider_answers(self, world: World) -> None:
        grant = await connected(world)
        answer = await world.gateway.call_provider(INTEGRATION, grant.nango_id, IDENTITY, base_url=None)
        assert answer.status == 200
        assert isinstance(answer.body, dict)

    async def test_the_providers_refusal_is_its_answer_not_an_error(self, world: World) -> None:
        grant = await connected(world)
        world.revoke(grant.nango_id)
        answer = await world.gateway.call_provider(INTEGRATION, grant.nango_id, IDENTITY, base_url=None)
        assert answer.status == 401

    async def test_a_call_for_what_is_gone_says_so(self, world: World) -> None:
        with pytest.raises(GrantNotFound):
            await world.gateway.call_provider(INTEGRATION, "never-was", IDENTITY, base_url=None)

    async def test_a_call_for_a_missing_integration_says_so(self, world: World) -> None:
        with pytest.raises(IntegrationMissing):
            await world.gateway.call_provider("nope", "never-was", IDENTITY, base_url=None)

    async def test_a_call_that_needs_a_refresh_that_is_refused_says_so(self, world: World) -> None:
        grant = await connected(world)
        world.refuse_refresh(grant.nango_id)
        world.expire(grant.nango_id)
        with pytest.raises(CredentialsUnusable, match="returned an error when trying to refresh"):
            await world.gateway.call_provider(INTEGRATION, grant.nango_id, IDENTITY, base_url=None)

    async def test_a_call_during_the_back_off_says_so(self, world: World) -> None:
        grant = await connected(world)
        world.refuse_refresh(grant.nango_id)
        with pytest.raises(CredentialsUnusable):
            await world.gateway.fetch(INTEGRATION, grant.nango_id, refresh=True)
        with pytest.raises(CredentialsUnusable, match="Backing off"):
            await world.gateway.call_provider(INTEGRATION, grant.nango_id, IDENTITY, base_url=None)

    async def test_a_call_for_a_connection_nango_gave_up_says_so(self, world: World) -> None:
        grant = await connected(world)
        world.exhaust(grant.nango_id)
        with pytest.raises(CredentialsUnusable, match="limit") as caught:
            await world.gateway.call_provider(INTEGRATION, grant.nango_id, IDENTITY, base_url=None)
        assert caught.value.exhausted


class Importing:
    async def test_an_imported_key_is_found_under_our_id(self, world: World) -> None:
        await import_key(world, "ours-1", "key-1")
        (grant,) = await world.gateway.find_grants(tags("a1"))
        assert (grant.integration, grant.nango_id) == (KEYED, "ours-1")

    async def test_a_key_has_no_end_and_no_token(self, world: World) -> None:
        await import_key(world, "ours-1", "key-1")
        details = await world.gateway.fetch(KEYED, "ours-1")
        assert details.expires_at is None

    async def test_a_key_is_not_refreshed(self, world: World) -> None:
        await import_key(world, "ours-1", "key-1")
        details = await world.gateway.fetch(KEYED, "ours-1", refresh=True)
        assert details.expires_at is None

    async def test_the_same_id_again_overrides_tags_and_config(self, world: World) -> None:
        await import_key(world, "ours-1", "key-1", config={"region": "eu"})
        await import_key(world, "ours-1", "key-2", tags=tags("a2"))
        (grant,) = await all_grants(world.gateway)
        assert dict(grant.tags) == tags("a2")
        assert (await world.gateway.fetch(KEYED, "ours-1")).connection_config == {}

    async def test_a_refused_key_is_not_kept(self, world: World) -> None:
        with pytest.raises(CredentialsRefused) as caught:
            await import_key(world, "ours-1", world.bad_key)
        assert world.bad_key not in str(caught.value)
        assert await all_grants(world.gateway) == []

    async def test_a_refused_key_leaves_the_one_that_is_there(self, world: World) -> None:
        await import_key(world, "ours-1", "key-1")
        with pytest.raises(CredentialsRefused):
            await import_key(world, "ours-1", world.bad_key, tags=tags("a2"))
        (grant,) = await all_grants(world.gateway)
        assert dict(grant.tags) == tags("a1")

    async def test_an_import_into_a_missing_integration_is_refused(self, world: World) -> None:
        with pytest.raises(IntegrationMissing, match="'nope'"):
            await world.gateway.import_credentials(
                integration="nope",
                nango_id="ours-1",
                kind="API_KEY",
                credentials={"apiKey": "k"},
                connection_config={},
                tags=tags("a1"),
            )


class GatewayContract(Authorizing, Finding, Refreshing, Calling, Importing):
    """Subclass it and provide a fixture `world`."""
