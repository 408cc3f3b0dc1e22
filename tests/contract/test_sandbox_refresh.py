"""Refreshing: one token request for many callers, back-off, exhaustion, and tokens without an end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.sandbox_world import (
    AUTHORIZED,
    EXPIRING,
    REFRESHED,
    Client,
    authorize,
    build,
    sandbox_of,
)

if TYPE_CHECKING:
    from pytest_aiohttp.plugin import AiohttpClient


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(build())


async def look(client: Client, connection_id: str, **query: str) -> tuple[int, dict[str, Any]]:
    query = {"provider_config_key": "fake"} | query
    answer = await client.get(f"/connections/{connection_id}", params=query, headers=AUTHORIZED)
    return answer.status, await answer.json()


async def force(client: Client, connection_id: str) -> tuple[int, dict[str, Any]]:
    return await look(client, connection_id, force_refresh="true")


async def test_a_forced_refresh_gives_another_token(client: Client) -> None:
    _, before = await look(client, REFRESHED)

    _, after = await force(client, REFRESHED)

    assert after["credentials"]["access_token"] != before["credentials"]["access_token"]


async def test_a_look_long_before_the_end_asks_no_provider(client: Client) -> None:
    await look(client, REFRESHED)

    assert sandbox_of(client).calls.counts["token_refresh"] == 0


async def test_a_look_at_an_expired_token_refreshes_it(client: Client) -> None:
    sandbox_of(client).expire(EXPIRING)

    _, shown = await look(client, EXPIRING)

    assert shown["credentials"]["access_token"] != f"at_{EXPIRING}"


async def test_twenty_parallel_refreshes_make_one_token_request(client: Client) -> None:
    sandbox = sandbox_of(client)
    sandbox.fail("token_endpoint", delay=0.1)

    answers = await asyncio.gather(*(force(client, REFRESHED) for _ in range(20)))

    assert ({status for status, _ in answers}, sandbox.calls.counts["token_refresh"]) == ({200}, 1)


async def test_a_revoked_grant_is_not_refreshed(client: Client) -> None:
    sandbox_of(client).revoke(REFRESHED)

    status, answer = await force(client, REFRESHED)

    assert (status, answer["error"]["code"]) == (400, "invalid_credentials")


async def test_a_failed_refresh_closes_the_proxy_too(client: Client) -> None:
    sandbox_of(client).revoke(REFRESHED)
    await force(client, REFRESHED)
    headers = AUTHORIZED | {"Connection-Id": REFRESHED, "Provider-Config-Key": "fake"}

    answer = await client.get("/proxy/me", headers=headers)

    assert (answer.status, (await answer.json())["error"]["code"]) == (424, "connection_refresh_backoff")


async def test_the_back_off_ends(client: Client) -> None:
    sandbox = sandbox_of(client)
    sandbox.fail("token_endpoint", "server_error", times=1)
    await force(client, REFRESHED)
    sandbox.end_backoff(REFRESHED)

    status, _ = await look(client, REFRESHED)

    assert status == 200


async def test_a_reconnect_clears_the_errors(client: Client) -> None:
    sandbox_of(client).fail("token_endpoint", "server_error", times=1)
    await force(client, REFRESHED)

    await authorize(client, "fake", connection_id=REFRESHED, integration_id="fake")

    _, shown = await look(client, REFRESHED)
    assert shown["errors"] == []


async def test_failures_on_four_days_reach_the_limit(client: Client) -> None:
    sandbox = sandbox_of(client)
    connection = sandbox.find(REFRESHED)
    connection.refresh_failures.extend([1, 2, 3])
    sandbox.fail("token_endpoint", "server_error", times=1)
    await force(client, REFRESHED)

    _, answer = await look(client, REFRESHED)

    assert answer["error"]["message"] == "The refresh limit has been reached for this connection."


async def test_without_a_refresh_token_the_old_token_is_given(client: Client) -> None:
    sandbox = sandbox_of(client)
    sandbox.drop_refresh_token(EXPIRING)
    sandbox.expire(EXPIRING)

    status, shown = await force(client, EXPIRING)

    assert (status, shown["credentials"]["access_token"]) == (200, f"at_{EXPIRING}")


async def test_a_token_without_an_end_is_never_refreshed(client: Client) -> None:
    await authorize(client, "slack", tags={"attempt": "a1"})
    sandbox = sandbox_of(client)
    made = sandbox.live_connections()[0]

    status, shown = await look(client, made.connection_id, provider_config_key="slack", force_refresh="true")

    assert (status, "expires_at" in shown["credentials"], sandbox.calls.counts["token_refresh"]) == (
        200,
        False,
        0,
    )


async def test_a_connection_deleted_during_a_refresh_stays_deleted(client: Client) -> None:
    sandbox = sandbox_of(client)
    sandbox.fail("token_endpoint", delay=0.1)
    refresh = asyncio.create_task(force(client, REFRESHED))
    async with asyncio.timeout(30):
        while not sandbox.refreshes:  # noqa: ASYNC110 - what is waited for happens in a request
            await asyncio.sleep(0.01)

    sandbox.forget(REFRESHED)

    assert (await refresh)[0] == 404
    assert sandbox.connection("fake", REFRESHED) is None
