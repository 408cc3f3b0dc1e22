"""The flow: consent, callback, reconnect, and what is left when something else happens meanwhile."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from adapters.sandbox import create_sandbox
from tests.contract.sandbox_world import (
    AUTHORIZED,
    CALLBACK,
    KEY,
    OIDC,
    Authorization,
    Client,
    authorize,
    build,
    decide,
    open_session,
    sandbox_of,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_aiohttp.plugin import AiohttpClient

STATE_OF_THE_SERVICE = "cs_" + "x" * 197
SAME: dict[str, Any] = {"connection_id": OIDC, "integration_id": "oidc"}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(build())


async def listed(client: Client, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/connections", params=query, headers=AUTHORIZED)
    found: list[dict[str, Any]] = (await answer.json())["connections"]
    return found


async def connection_of(client: Client, connection_id: str, integration: str) -> dict[str, Any]:
    query = {"provider_config_key": integration}
    answer = await client.get(f"/connections/{connection_id}", params=query, headers=AUTHORIZED)
    shown: dict[str, Any] = await answer.json()
    return shown


async def test_a_flow_makes_a_connection_with_the_tags_of_its_session(client: Client) -> None:
    assert await authorize(client, "hubspot", tags={"Attempt": "a1"}) == 200

    (made,) = await listed(client, **{"tags[attempt]": "a1"})
    assert made["provider_config_key"] == "hubspot"


async def test_the_state_of_a_flow_is_a_time_based_uuid(client: Client) -> None:
    flow = await start(client, "slack", await open_session(client))

    assert uuid.UUID(flow.state).version == 1


async def test_the_provider_gives_back_whatever_state_it_got(client: Client) -> None:
    flow = await start(client, "slack", await open_session(client))
    swapped = Authorization(flow.url.replace(flow.state, STATE_OF_THE_SERVICE), flow.state)

    query = await decide(client, swapped)

    assert query["state"] == STATE_OF_THE_SERVICE


async def test_a_flow_completes_once_the_state_is_put_back(client: Client) -> None:
    flow = await start(client, "slack", await open_session(client))
    swapped = Authorization(flow.url.replace(flow.state, STATE_OF_THE_SERVICE), flow.state)
    query = await decide(client, swapped)

    answer = await client.get("/oauth/callback", params=query | {"state": flow.state})

    assert answer.status == 200


async def test_the_consent_form_carries_all_that_its_address_does(client: Client) -> None:
    flow = await start(client, "google-mail", await open_session(client))
    page = await (await client.get(flow.local)).text()
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page))

    answer = await client.post(
        urlsplit(flow.url).path, data=hidden | {"decision": "authorize"}, allow_redirects=False
    )

    assert answer.status == 303
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["state"] == [flow.state]


async def test_the_consent_page_says_that_it_is_a_sandbox(client: Client) -> None:
    flow = await start(client, "google-mail", await open_session(client))

    assert "This is a sandbox" in await (await client.get(flow.local)).text()


async def test_the_consent_page_lets_nothing_be_loaded(client: Client) -> None:
    flow = await start(client, "google-mail", await open_session(client))

    policy = (await client.get(flow.local)).headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; style-src 'sha256-")


async def test_the_consent_page_escapes_what_is_in_its_address(client: Client) -> None:
    flow = await start(client, "google-mail", await open_session(client))
    url = flow.local.replace(flow.state, urlencode({"": '"><script>alert(1)</script>'})[1:])

    assert "<script>" not in await (await client.get(url)).text()


async def test_a_provider_sends_nobody_to_a_foreign_address(client: Client) -> None:
    flow = await start(client, "slack", await open_session(client))
    url = flow.local.replace(urlencode({"": CALLBACK})[1:], "https%3A%2F%2Felsewhere.example")

    answer = await client.post(url, data={"decision": "authorize"}, allow_redirects=False)

    assert answer.status == 400


async def test_a_denial_comes_back_as_the_provider_says_it(client: Client) -> None:
    flow = await start(client, "slack", await open_session(client))

    query = await decide(client, flow, decision="deny")

    assert query == {
        "error": "access_denied",
        "error_description": "The user denied access",
        "state": flow.state,
    }


async def test_a_denial_makes_no_connection(client: Client) -> None:
    flow = await start(client, "slack", await open_session(client, tags={"attempt": "a1"}))
    query = await decide(client, flow, decision="deny")

    await client.get("/oauth/callback", params=query)

    assert await listed(client, **{"tags[attempt]": "a1"}) == []


async def test_a_used_state_is_refused(client: Client) -> None:
    flow = await start(client, "slack", await open_session(client))
    query = await decide(client, flow)
    await client.get("/oauth/callback", params=query)

    assert (await client.get("/oauth/callback", params=query)).status == 400


async def test_a_head_uses_the_state_up(client: Client) -> None:
    flow = await start(client, "slack", await open_session(client))
    query = await decide(client, flow)
    await client.head("/oauth/callback", params=query)

    assert (await client.get("/oauth/callback", params=query)).status == 400


async def test_a_code_of_another_flow_is_refused(client: Client) -> None:
    mine = await start(client, "slack", await open_session(client))
    theirs = await start(client, "slack", await open_session(client))
    code = (await decide(client, theirs))["code"]

    answer = await client.get("/oauth/callback", params={"code": code, "state": mine.state})

    assert answer.status == 400


async def test_a_missing_cookie_burns_the_state_where_it_is_enforced(client: Client) -> None:
    sandbox_of(client).settings.enforce_state_cookie = True
    flow = await start(client, "slack", await open_session(client))
    query = await decide(client, flow)
    cookies = {f"oauth2-{flow.state}": "1"}
    client.session.cookie_jar.clear()
    await client.get("/oauth/callback", params=query)

    answer = await client.get("/oauth/callback", params=query, cookies=cookies)

    assert answer.status == 400


async def test_quickbooks_adds_the_company_to_the_callback(client: Client) -> None:
    await authorize(client, "quickbooks", tags={"attempt": "a1"})

    (made,) = await listed(client, **{"tags[attempt]": "a1"})
    config = (await connection_of(client, made["connection_id"], "quickbooks"))["connection_config"]
    assert re.fullmatch(r"\d{16}", config["realmId"])


async def test_netsuite_asks_for_consent_at_the_account_given(client: Client) -> None:
    defaults = {"netsuite": {"connection_config": {"accountId": "1234567-sb1"}}}
    token = await open_session(client, tags={"a": "b"}, integrations_config_defaults=defaults)

    flow = await start(client, "netsuite", token)

    assert parse_qs(urlsplit(flow.url).query)["accountId"] == ["1234567-sb1"]


async def test_netsuite_does_not_start_without_an_account(client: Client) -> None:
    token = await open_session(client)

    answer = await client.get("/oauth/connect/netsuite", params={"connect_session_token": token})

    assert answer.status == 400
    assert "Missing Connection Config param(s) in Auth request" in await answer.text()


async def test_a_reconnect_keeps_id_and_time_and_takes_the_new_tags(client: Client) -> None:
    (before,) = await listed(client, connectionId=OIDC)
    updated = (await connection_of(client, OIDC, "oidc"))["updated_at"]

    await authorize(client, "oidc", tags={"attempt": "a2"}, **SAME)

    after = await connection_of(client, OIDC, "oidc")
    assert (after["id"], after["tags"], after["updated_at"]) == (before["id"], {"attempt": "a2"}, updated)


async def test_a_reconnect_without_tags_wipes_them(client: Client) -> None:
    await authorize(client, "oidc", **SAME)

    assert (await connection_of(client, OIDC, "oidc"))["tags"] == {}


async def test_a_reconnect_without_defaults_wipes_the_configuration(client: Client) -> None:
    defaults = {"oidc": {"connection_config": {"subdomain": "acme"}}}
    await authorize(client, "oidc", integrations_config_defaults=defaults, **SAME)
    await authorize(client, "oidc", **SAME)

    assert (await connection_of(client, OIDC, "oidc"))["connection_config"] == {}


@pytest.mark.parametrize("decision", ["none", "deny"])
async def test_a_reconnect_that_does_not_succeed_leaves_the_tags(client: Client, decision: str) -> None:
    (before,) = await listed(client, connectionId=OIDC)
    flow = await start(client, "oidc", await open_session(client, tags={"attempt": "a2"}, **SAME))

    if decision == "deny":
        await client.get("/oauth/callback", params=await decide(client, flow, decision="deny"))

    assert await listed(client, connectionId=OIDC) == [before]


async def test_a_reconnect_may_reach_another_account(client: Client) -> None:
    sandbox = sandbox_of(client)
    await authorize(client, "slack", tags={"attempt": "a1"})
    (made,) = await listed(client, **{"tags[attempt]": "a1"})
    same = {"connection_id": made["connection_id"], "integration_id": "slack"}

    await authorize(client, "slack", "second", **same)

    account = sandbox.account_behind(sandbox.find(made["connection_id"]))
    assert account is not None
    assert account.name == "second"


async def test_a_connection_deleted_during_a_reconnect_comes_back_under_its_id(client: Client) -> None:
    flow = await start(client, "oidc", await open_session(client, **SAME))
    query = await decide(client, flow)
    sandbox_of(client).forget(OIDC)

    await client.get("/oauth/callback", params=query)

    assert len(await listed(client, connectionId=OIDC)) == 1


async def test_nango_finishes_a_callback_whose_caller_has_gone(client: Client) -> None:
    sandbox_of(client).fail("token_endpoint", delay=0.2)
    flow = await start(client, "slack", await open_session(client, tags={"attempt": "a1"}))
    query = await decide(client, flow)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.get("/oauth/callback", params=query), 0.05)

    async def made() -> bool:
        return bool(await listed(client, **{"tags[attempt]": "a1"}))

    await eventually(made)


def test_a_secret_key_must_be_one_that_nango_would_make() -> None:
    with pytest.raises(ValueError, match="UUID v4"):
        create_sandbox(secret_key="secret", public_url="http://localhost", callback_url=CALLBACK)


def test_a_secret_key_of_that_form_is_taken() -> None:
    assert create_sandbox(secret_key=KEY, public_url="http://localhost", callback_url=CALLBACK)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in a request
            await asyncio.sleep(0.01)
