"""The switches over HTTP, Nango in trouble, the call log, and what survives a restart."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from adapters.sandbox import SANDBOX, Integration, create_sandbox
from tests.contract.sandbox_world import (
    API_KEY,
    AUTHORIZED,
    CALLBACK,
    KEY,
    OIDC,
    REFRESHED,
    Client,
    authorize,
    build,
    decide,
    open_session,
    sandbox_of,
    start,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_aiohttp.plugin import AiohttpClient

CONTROL = "/sandbox/control"


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(build())


async def switch(client: Client, path: str, body: Any = None) -> dict[str, Any]:
    answer = await client.post(f"{CONTROL}{path}", json=body)
    assert answer.status < 300, await answer.text()
    shown: dict[str, Any] = await answer.json()
    return shown


async def listing(client: Client) -> aiohttp.ClientResponse:
    return await client.get("/connections", params={"limit": "1"}, headers=AUTHORIZED)


async def looking(client: Client, connection_id: str, integration: str, **query: str) -> int:
    query |= {"provider_config_key": integration}
    return (await client.get(f"/connections/{connection_id}", params=query, headers=AUTHORIZED)).status


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("rate_limited", 429),
        ("server_error", 500),
        ("bad_gateway", 502),
        ("garbage", 200),
        ("database_down", 401),
    ],
)
async def test_nango_in_trouble_answers_so(client: Client, kind: str, status: int) -> None:
    await switch(client, "/faults", {"target": "nango", "kind": kind})

    assert (await listing(client)).status == status


async def test_a_rate_limit_says_when_to_come_back(client: Client) -> None:
    await switch(client, "/faults", {"target": "nango", "kind": "rate_limited"})

    assert (await listing(client)).headers["Retry-After"] == "60"


async def test_a_nango_that_hangs_gives_no_answer(client: Client) -> None:
    await switch(client, "/faults", {"target": "nango", "kind": "hang"})

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(listing(client), 0.1)


async def test_a_nango_that_hangs_up_gives_no_answer(client: Client) -> None:
    await switch(client, "/faults", {"target": "nango", "kind": "disconnect"})

    with pytest.raises(aiohttp.ClientError):
        await listing(client)


async def test_a_fault_may_concern_one_operation(client: Client) -> None:
    await switch(
        client, "/faults", {"target": "nango", "kind": "server_error", "operation": "delete_connection"}
    )

    assert (await listing(client)).status == 200


async def test_a_fault_may_happen_a_number_of_times(client: Client) -> None:
    await switch(client, "/faults", {"target": "nango", "kind": "server_error", "times": 2})

    assert [(await listing(client)).status for _ in range(3)] == [500, 500, 200]


async def test_a_lost_answer_leaves_the_deed_done(client: Client) -> None:
    await switch(client, "/faults", {"target": "nango", "kind": "server_error", "after": True})
    query = {"provider_config_key": "apikey"}

    await client.delete(f"/connections/{API_KEY}", params=query, headers=AUTHORIZED)

    assert sandbox_of(client).find(API_KEY).deleted


async def test_a_fault_is_switched_off(client: Client) -> None:
    fault = await switch(client, "/faults", {"target": "nango", "kind": "server_error"})

    await client.delete(f"{CONTROL}/faults/{fault['id']}")

    assert (await listing(client)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"target": "nango", "kind": "nonsense"},
        {"target": "nobody"},
        {"target": "nango"},
        {"target": "nango", "kind": "hang", "nonsense": 1},
    ],
)
async def test_a_fault_that_does_not_exist_is_refused(client: Client, body: dict[str, Any]) -> None:
    assert (await client.post(f"{CONTROL}/faults", json=body)).status == 400


@pytest.mark.parametrize("action", ["revoke", "expire", "exhaust", "forget", "drop-refresh-token"])
async def test_a_connection_can_be_acted_on(client: Client, action: str) -> None:
    assert (await switch(client, f"/connections/{REFRESHED}/{action}")) == {"success": True}


async def test_a_forgotten_connection_is_gone(client: Client) -> None:
    await switch(client, f"/connections/{REFRESHED}/forget")

    assert await looking(client, REFRESHED, "fake") == 404


async def test_an_unknown_connection_cannot_be_acted_on(client: Client) -> None:
    assert (await client.post(f"{CONTROL}/connections/nope/revoke")).status == 404


async def test_settings_change(client: Client) -> None:
    await client.patch(f"{CONTROL}/settings", json={"rate_limit": 1})

    assert [(await listing(client)).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/settings", {"rate_limit": "200"}),
        ("PATCH", "/settings", {"callback_url": None}),
        ("POST", "/faults", {"target": "nango", "kind": "garbage", "delay": "2"}),
        ("POST", "/faults", {"target": "nango", "kind": "garbage", "times": "once"}),
        ("POST", "/integrations", {"unique_key": 5}),
    ],
)
async def test_a_switch_of_the_wrong_type_is_refused_and_breaks_nothing(
    client: Client, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = await client.request(method, f"{CONTROL}{path}", json=body)
    name = list(body)[-1]
    assert (answer.status, f"$.{name}" in await answer.text()) == (400, True)
    assert (await listing(client)).status == 200


async def test_an_unknown_setting_is_refused(client: Client) -> None:
    assert (await client.patch(f"{CONTROL}/settings", json={"secret_key": "x"})).status == 400


async def test_the_overview_keeps_the_keys_to_itself(client: Client) -> None:
    assert KEY not in await (await client.get(CONTROL)).text()


async def test_every_call_of_the_overview_works_as_it_says(client: Client) -> None:
    await switch(client, "/faults", {"target": "nango", "delay": 1, "operation": "delete_connection"})
    told = (await (await client.get(CONTROL)).json())["calls"]
    for line in told:
        method, path, how = line.split(" ", 2)
        for name, value in {r"fault_id:\d+": "1", "connection_id": REFRESHED, "action": "revoke"}.items():
            path = path.replace(f"{{{name}}}", value)
        body = json.JSONDecoder().raw_decode(how)[0] if how.startswith("{") else None

        answer = await client.request(method, path, json=body)

        # One fault cannot be switched off twice.
        assert answer.status < 300 or path.endswith("/1"), line


@pytest.mark.parametrize("told", ["revoke", "invalid_grant", "refresh_connection", "rate_limit"])
async def test_the_overview_names_everything_that_a_call_takes(client: Client, told: str) -> None:
    assert told in await (await client.get(CONTROL)).text()


async def test_a_connection_can_be_named_by_the_id_that_its_tag_holds(client: Client) -> None:
    await authorize(client, "oidc", tags={"connection": "conn_1"})

    await switch(client, "/connections/conn_1/forget")

    assert sandbox_of(client).connections.rows()[-1].deleted


async def test_an_id_in_tags_means_the_one_that_is_there(client: Client) -> None:
    for _ in range(2):
        await authorize(client, "oidc", tags={"connection": "conn_1"})
    before, now = sandbox_of(client).connections.rows()[-2:]
    sandbox_of(client).forget(now.connection_id)

    assert sandbox_of(client).find("conn_1") == before


async def test_the_call_log_counts_by_operation(client: Client) -> None:
    await looking(client, REFRESHED, "fake", force_refresh="true")

    shown = await (await client.get(f"{CONTROL}/calls")).json()

    assert shown["counts"] == {"token_refresh": 1, "refresh_connection": 1}


async def test_the_call_log_tells_connections_apart(client: Client) -> None:
    await looking(client, REFRESHED, "fake")
    await looking(client, OIDC, "oidc")

    shown = await (await client.get(f"{CONTROL}/calls", params={"connection_id": OIDC})).json()

    assert [each["connection_id"] for each in shown["calls"]] == [OIDC]


async def test_the_call_log_starts_anew(client: Client) -> None:
    await listing(client)
    await client.delete(f"{CONTROL}/calls")

    assert (await (await client.get(f"{CONTROL}/calls")).json())["counts"] == {}


async def test_every_connection_is_shown_without_its_secrets(client: Client) -> None:
    sandbox_of(client).forget(API_KEY)

    text = await (await client.get(f"{CONTROL}/connections")).text()

    assert (API_KEY in text, "good-key-1" in text) == (True, False)


async def test_an_integration_is_declared(client: Client) -> None:
    await switch(client, "/integrations", {"unique_key": "acme"})

    assert await authorize(client, "acme") == 200


async def test_the_landing_page_says_what_this_is(client: Client) -> None:
    page = await (await client.get("/")).text()

    assert ("This is a sandbox" in page, OIDC in page) == (True, True)


async def test_the_landing_page_shows_the_id_that_a_tag_holds(client: Client) -> None:
    await authorize(client, "oidc", tags={"connection": "conn_1"})

    assert "<td>conn_1</td>" in await (await client.get("/")).text()


async def test_the_landing_page_leads_to_the_switches(client: Client) -> None:
    page = await (await client.get("/")).text()

    assert '<a href="/sandbox/control">' in page
    assert (await client.get(CONTROL)).content_type == "application/json"


async def test_the_landing_page_escapes_ids(client: Client) -> None:
    body = {"provider_config_key": "apikey", "connection_id": "<b>", "credentials": {"type": "API_KEY"}}
    body["credentials"] = {"type": "API_KEY", "apiKey": "good"}
    await client.post("/connections", json=body, headers=AUTHORIZED)

    assert "<b>" not in await (await client.get("/")).text()


async def restarted(aiohttp_client: AiohttpClient, directory: Path) -> Client:
    app = create_sandbox(
        secret_key=KEY, public_url="http://localhost", callback_url=CALLBACK, data_dir=directory
    )
    return await aiohttp_client(app)


async def test_connections_survive_a_restart(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    before = await restarted(aiohttp_client, tmp_path)
    await authorize(before, "hubspot")
    made = sandbox_of(before).live_connections()[0].connection_id

    after = await restarted(aiohttp_client, tmp_path)

    assert await looking(after, made, "hubspot", force_refresh="true") == 200


async def test_a_connection_survives_its_integration(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    before = await restarted(aiohttp_client, tmp_path)
    sandbox_of(before).integrations["acme"] = Integration("acme")
    await authorize(before, "acme")

    after = await restarted(aiohttp_client, tmp_path)

    assert len((await (await listing(after)).json())["connections"]) == 1


async def test_a_session_survives_a_restart(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    token = await open_session(await restarted(aiohttp_client, tmp_path))

    assert await start(await restarted(aiohttp_client, tmp_path), "slack", token)


async def test_an_open_flow_survives_a_restart(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    before = await restarted(aiohttp_client, tmp_path)
    flow = await start(before, "slack", await open_session(before))
    after = await restarted(aiohttp_client, tmp_path)

    answer = await after.get("/oauth/callback", params=await decide(after, flow))

    assert answer.status == 200


async def test_a_code_survives_a_restart(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    before = await restarted(aiohttp_client, tmp_path)
    query = await decide(before, await start(before, "slack", await open_session(before)))

    answer = await (await restarted(aiohttp_client, tmp_path)).get("/oauth/callback", params=query)

    assert answer.status == 200


def test_the_sandbox_is_reached_through_its_application() -> None:
    assert build()[SANDBOX].settings.secret_key == KEY
