from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapters.memory.gateway import MemoryGateway, StoredGrant
from application.authorization_state import hash_state
from domain.connection import ACTIVE, ERROR, PENDING
from domain.errors import AuthorizationNotFound, GatewayTimeout
from tests.application.service import SETTINGS
from tests.application.world import APP, NOON, World, nango_id, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class Eavesdropped(MemoryGateway):
    """Remembers what was relayed to Nango."""

    def __init__(self) -> None:
        super().__init__(callback_url=SETTINGS.callback_url)
        self.heard: list[tuple[list[tuple[str, str]], str]] = []

    async def relay_callback(self, query: Sequence[tuple[str, str]], cookie: str) -> None:
        self.heard.append((list(query), cookie))
        await super().relay_callback(query, cookie)


# ── success ───────────────────────────────────────────────────────────────────────────────────────────


async def test_success_makes_the_connection_active(world: World) -> None:
    started = await world.auth_url()
    result = await world.come_back(started.url)
    connection = await world.connection(started.connection_id)
    assert (result.outcome, result.error, result.provider) == ("succeeded", None, "stripe")
    assert (connection.status, connection.nango_id) == (ACTIVE, *world.grants())
    assert connection.authorized_at == connection.last_synced_at == NOON


async def test_the_user_is_sent_where_this_attempt_was_to_lead(world: World) -> None:
    first = await world.auth_url(redirect=f"{APP}?tab=1")
    await world.auth_url(redirect=f"{APP}?tab=2")
    result = await world.come_back(first.url)
    assert result.redirect_url is not None
    assert result.redirect_url.text == f"{APP}?tab=1"


async def test_nango_gets_its_own_state_and_cookie_and_the_rest_as_the_provider_sent_it() -> None:
    gateway = Eavesdropped()
    world = World(gateway=gateway)
    started = await world.auth_url("quickbooks")
    await world.come_back(started.url, realmId="4620816365", code="c", session_state="a b+&")
    (attempt,) = await world.attempts(started.connection_id)
    assert gateway.heard == [
        (
            [
                ("realmId", "4620816365"),
                ("code", "c"),
                ("session_state", "a b+&"),
                ("state", attempt.nango_state),
            ],
            attempt.nango_cookie,
        )
    ]


async def test_our_own_state_never_reaches_nango() -> None:
    gateway = Eavesdropped()
    world = World(gateway=gateway)
    started = await world.auth_url()
    await world.come_back(started.url)
    assert state_of(started.url) not in repr(gateway.heard)


async def test_quickbooks_realm_becomes_the_account(world: World) -> None:
    connection = await world.authorize("quickbooks")
    assert connection.external_account_id == "4620816365"


async def test_history_tells_one_success_by_the_callback(world: World) -> None:
    connection = await world.authorize()
    told = [(event.type.value, event.actor) for event in await world.events(connection.id)]
    assert told == [
        ("created", "api_key:ck_1"),
        ("authorized", "callback"),
        ("account_identified", "authorization"),
    ]


async def test_an_unknown_state_is_not_found(world: World) -> None:
    await world.auth_url()
    with pytest.raises(AuthorizationNotFound):
        await world.come_back("https://provider.example/?state=cs_forged")


# ── what proves success ───────────────────────────────────────────────────────────────────────────────


async def _unanswered(world: World) -> tuple[str, str]:
    """An attempt whose relay Nango has left without an answer; the connection's and the attempt's ids."""
    started = await world.auth_url()
    world.gateway.fail_with(GatewayTimeout(), ["relay_callback"])
    await world.come_back(started.url)
    (attempt,) = [a for a in await world.attempts(started.connection_id) if a.claimed_at and not a.closed_at]
    return started.connection_id, attempt.id


def _grant_appears(world: World, connection_id: str, attempt_id: str, **changes: str) -> None:
    """Nango has a grant with these tags and this integration, whoever made it."""
    integration = changes.pop("integration", "stripe-app")
    tags = {"connection": connection_id, "company": "acme", "attempt": attempt_id, **changes}
    world.gateway.stored[integration, "grant-x"] = StoredGrant(
        integration=integration, nango_id="grant-x", tags=tags, connection_config={}
    )


async def test_a_grant_with_exactly_the_attempts_tags_proves_success(world: World) -> None:
    connection_id, attempt_id = await _unanswered(world)
    _grant_appears(world, connection_id, attempt_id)
    await world.later(seconds=20)
    await world.work()
    assert (await world.connection(connection_id)).status is ACTIVE


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": "another"},
        {"connection": "conn_another"},
        {"company": "another"},
        {"integration": "hubspot"},
    ],
    ids=lambda change: "another " + next(iter(change)),
)
async def test_a_grant_that_differs_in_one_tag_or_the_integration_proves_nothing(
    world: World, change: dict[str, str]
) -> None:
    connection_id, attempt_id = await _unanswered(world)
    _grant_appears(world, connection_id, attempt_id, **change)
    await world.later(seconds=20)
    await world.work()
    assert (await world.connection(connection_id)).status is PENDING


async def test_on_a_reconnect_a_grant_under_another_nango_id_proves_nothing(world: World) -> None:
    connection = await world.in_error()
    connection_id, attempt_id = await _unanswered(world)
    _grant_appears(world, connection_id, attempt_id)
    await world.later(seconds=20)
    await world.work()
    seen = await world.connection(connection_id)
    assert (seen.status, seen.nango_id) == (PENDING, connection.nango_id)


async def test_the_old_tags_of_a_reconnect_that_did_not_happen_prove_nothing(world: World) -> None:
    connection = await world.in_error()
    await _unanswered(world)
    await world.later(seconds=20)
    await world.work()
    assert nango_id(connection) in world.grants()
    assert (await world.connection(connection.id)).status is PENDING


# ── failure ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_first_authorization_that_is_denied_is_an_error(world: World) -> None:
    started = await world.auth_url(redirect=APP)
    result = await world.deny(started.url)
    connection = await world.connection(started.connection_id)
    assert (result.outcome, result.error) == ("failed", "access_denied")
    assert result.redirect_url is not None
    assert (connection.status, connection.error_message) == (ERROR, "Authorization failed: access_denied")


@pytest.mark.parametrize("condition", ["in_error", "expired", "disconnected"])
async def test_a_reauthorization_that_is_denied_gives_back_status_and_message(
    world: World, condition: str
) -> None:
    before = await getattr(world, condition)()
    await world.deny((await world.auth_url()).url)
    after = await world.connection(before.id)
    assert (after.status, after.error_message) == (before.status, before.error_message)
    assert (await world.history(before.id))[-2:] == ["authorization_restarted", "authorization_failed"]


async def test_a_denied_reconnect_leaves_the_old_grant_at_nango(world: World) -> None:
    connection = await world.in_error()
    await world.deny((await world.auth_url()).url)
    await world.work_for(minutes=10)
    assert world.grants() == {connection.nango_id}


async def test_a_second_denial_gives_back_what_was_before_the_first(world: World) -> None:
    before = await world.expired()
    urls = [(await world.auth_url()).url for _ in range(2)]
    for url in urls:
        await world.deny(url)
    after = await world.connection(before.id)
    assert (after.status, after.error_message) == (before.status, before.error_message)


async def test_a_failure_is_seen_by_the_missing_tag_whatever_nangos_page_says(world: World) -> None:
    started = await world.auth_url()
    result = await world.come_back(started.url, nothing="to see here")
    assert (result.outcome, result.error) == ("failed", "unknown_error")
    assert (await world.connection(started.connection_id)).status is ERROR


@pytest.mark.parametrize("word", ["<script>alert(1)</script>", "Access denied", "x" * 65, "ACCESS"])
async def test_a_word_that_is_not_oauths_is_passed_on_as_unknown_error(world: World, word: str) -> None:
    started = await world.auth_url()
    result = await world.come_back(started.url, error=word)
    assert result.error == "unknown_error"
    assert word not in ((await world.connection(started.connection_id)).error_message or "")


async def test_an_attempt_whose_time_is_over_is_not_relayed(world: World) -> None:
    started = await world.auth_url()
    await world.later(minutes=60)
    result = await world.come_back(started.url)
    assert (result.outcome, result.error) == ("failed", "authorization_expired")
    assert world.gateway.calls["relay_callback"] == 0


async def test_an_attempt_that_comes_back_too_late_ends_the_authorization(world: World) -> None:
    started = await world.auth_url()
    await world.later(minutes=60)
    await world.come_back(started.url)
    await world.work_for(minutes=2)
    connection = await world.connection(started.connection_id)
    assert connection.status is ERROR
    assert "not completed in time" in (connection.error_message or "")


# ── the same state again ──────────────────────────────────────────────────────────────────────────────


async def test_a_reload_gets_the_first_answer_and_never_reaches_nango(world: World) -> None:
    started = await world.auth_url(redirect=APP)
    first = await world.come_back(started.url)
    assert await world.come_back(started.url) == first
    assert world.gateway.calls["relay_callback"] == 1


async def test_a_reload_with_another_query_changes_nothing(world: World) -> None:
    started = await world.auth_url()
    await world.come_back(started.url)
    assert (await world.deny(started.url)).outcome == "succeeded"
    assert (await world.connection(started.connection_id)).status is ACTIVE


async def test_a_reload_after_a_denial_cannot_turn_it_into_a_success(world: World) -> None:
    started = await world.auth_url()
    await world.deny(started.url)
    assert (await world.come_back(started.url)).error == "access_denied"
    assert world.grants() == set()


async def test_the_answer_is_kept_for_a_day(world: World) -> None:
    started = await world.auth_url()
    first = await world.come_back(started.url)
    await world.later(hours=23)
    await world.store.forget_old()
    assert await world.come_back(started.url) == first
    await world.later(hours=2)
    await world.store.forget_old()
    with pytest.raises(AuthorizationNotFound):
        await world.come_back(started.url)


async def test_an_attempt_that_is_forgotten_while_its_callback_waits_is_not_found(world: World) -> None:
    first, second = await world.auth_url(), await world.auth_url()
    relay, gate = await world.catch("relay_callback", world.come_back(first.url))
    waiting = asyncio.ensure_future(world.come_back(second.url))
    await world.later(seconds=1)
    async with world.store.begin() as tx:
        forgotten = await tx.attempts.by_state(hash_state(state_of(second.url)))
    assert forgotten is not None
    del world.store._state.attempts[forgotten.id]
    with pytest.raises(AuthorizationNotFound):
        await waiting
    gate.set()
    assert (await relay).outcome == "succeeded"


async def test_a_closed_attempts_callback_is_not_relayed(world: World) -> None:
    first, second = await world.auth_url(redirect=APP), await world.auth_url()
    await world.come_back(second.url)
    result = await world.come_back(first.url)
    assert (result.outcome, result.error) == ("failed", "superseded")
    assert result.redirect_url is not None
    assert world.gateway.calls["relay_callback"] == 1
