"""The providers' APIs behind the proxy: who am I, and what a dead credential looks like."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from yarl import URL

from adapters.sandbox import Integration
from tests.contract.sandbox_world import (
    AUTHORIZED,
    INTEGRATIONS,
    Client,
    authorize,
    build,
    sandbox_of,
)

if TYPE_CHECKING:
    from pytest_aiohttp.plugin import AiohttpClient


@frozen
class Probe:
    """A provider's identity call: where, and by what one knows the account and a dead credential."""

    integration: str
    path: str
    account: str
    dead: tuple[int, str]
    method: str = "GET"
    base: str = ""


SUITETALK = "https://${connectionConfig.accountId}.suitetalk.api.netsuite.com/services/rest"
REALM = "${connectionConfig.realmId}"
PROBES = [
    Probe("stripe-app", "v1/account", r'"id": "acct_\w{16}"', (401, "Invalid API key provided")),
    Probe(
        "salesforce",
        "services/oauth2/userinfo",
        r'"organization_id": "00D\w{15}"',
        (401, "INVALID_SESSION_ID"),
    ),
    Probe("hubspot", "account-info/v3/details", r'"portalId": \d{8}', (401, "INVALID_AUTHENTICATION")),
    Probe(
        "quickbooks",
        f"v3/company/{REALM}/companyinfo/{REALM}",
        r'"CompanyName": "\w',
        (401, "AuthenticationFailed"),
    ),
    Probe("pandadoc", "public/v1/members/current", r'"workspace": "\w+"', (401, "authentication_error")),
    Probe("netsuite", "system/v1/serverTime", r'"serverTime"', (401, "INVALID_LOGIN"), base=SUITETALK),
    Probe("slack", "auth.test", r'"team_id": "T\w{10}"', (200, '"error": "token_revoked"'), method="POST"),
    Probe(
        "google-mail",
        "gmail/v1/users/me/profile",
        r'"emailAddress": "[a-z@.]+"',
        (401, "UNAUTHENTICATED"),
    ),
]
DEFAULTS = {"netsuite": {"connection_config": {"accountId": "1234567-sb1"}}}
EACH = pytest.mark.parametrize("probe", PROBES, ids=[each.integration for each in PROBES])


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(build())


async def connect(client: Client, integration: str, account: str = "first") -> str:
    """Run a flow; give the new connection's id."""
    await authorize(client, integration, account, tags={"a": "b"}, integrations_config_defaults=DEFAULTS)
    return sandbox_of(client).live_connections()[0].connection_id


async def put(client: Client, integration: str, credentials: dict[str, Any]) -> tuple[int, str]:
    body = {"provider_config_key": integration, "connection_id": "mine", "credentials": credentials}
    answer = await client.post("/connections", json=body, headers=AUTHORIZED)
    return answer.status, await answer.text()


async def ask(client: Client, probe: Probe, connection_id: str) -> tuple[int, str]:
    headers = AUTHORIZED | {"Connection-Id": connection_id, "Provider-Config-Key": probe.integration}
    headers |= {"Base-Url-Override": probe.base} if probe.base else {}
    # With its braces, which a client would encode, and Nango would not know again.
    url = URL(f"{client.make_url('/proxy/')}{probe.path}", encoded=True)
    answer = await client.session.request(probe.method, url, headers=headers)
    return answer.status, await answer.text()


@EACH
async def test_a_provider_says_whose_account_it_is(client: Client, probe: Probe) -> None:
    status, body = await ask(client, probe, await connect(client, probe.integration))

    assert status == 200
    assert re.search(probe.account, body)


@EACH
async def test_a_provider_says_the_same_of_the_same_account(client: Client, probe: Probe) -> None:
    connections = [await connect(client, probe.integration) for _ in range(2)]

    first, again = [await ask(client, probe, each) for each in connections]

    assert first == again


@pytest.mark.parametrize("probe", [each for each in PROBES if each.integration != "netsuite"])
async def test_another_account_is_another(client: Client, probe: Probe) -> None:
    connections = [await connect(client, probe.integration, each) for each in ("first", "second")]

    first, second = [await ask(client, probe, each) for each in connections]

    assert first != second


@EACH
async def test_a_revoked_token_is_refused_in_the_providers_words(client: Client, probe: Probe) -> None:
    connection_id = await connect(client, probe.integration)
    sandbox_of(client).revoke(connection_id)

    status, body = await ask(client, probe, connection_id)

    assert (status, probe.dead[1] in body) == (probe.dead[0], True)


@EACH
@pytest.mark.parametrize(
    ("kind", "status"), [("rate_limited", 429), ("server_error", 500), ("unreachable", 500)]
)
async def test_a_provider_in_trouble_answers_so(client: Client, probe: Probe, kind: str, status: int) -> None:
    connection_id = await connect(client, probe.integration)
    sandbox_of(client).fail("provider_api", kind)

    assert (await ask(client, probe, connection_id))[0] == status


async def test_a_provider_that_answers_garbage_does_so_with_success(client: Client) -> None:
    connection_id = await connect(client, "hubspot")
    sandbox_of(client).fail("provider_api", "garbage", connection_id=connection_id)

    status, body = await ask(client, PROBES[2], connection_id)

    assert (status, body[:9]) == (200, "<!doctype")


async def test_a_refresh_brings_an_expired_token_back_to_life(client: Client) -> None:
    connection_id = await connect(client, "hubspot")
    sandbox_of(client).expire(connection_id)

    assert (await ask(client, PROBES[2], connection_id))[0] == 200


async def test_a_company_of_quickbooks_shows_no_other(client: Client) -> None:
    connection_id = await connect(client, "quickbooks")
    other = Probe("quickbooks", "v3/company/123/companyinfo/123", "", (403, ""))

    assert (await ask(client, other, connection_id))[0] == 403


@pytest.mark.parametrize(
    ("integration", "credentials", "path"),
    [
        ("stripe-api-key", {"type": "BASIC", "username": "rk_test_1", "password": ""}, "v1/account"),
        ("pandadoc-api-key", {"type": "API_KEY", "apiKey": "k1"}, "public/v1/members/current"),
        (
            "netsuite-tba",
            {"type": "TBA", "token_id": "i", "token_secret": "s"},
            "services/rest/system/v1/serverTime",
        ),
    ],
)
async def test_a_good_key_opens_the_account(
    client: Client, integration: str, credentials: dict[str, Any], path: str
) -> None:
    await put(client, integration, credentials)

    assert (await ask(client, Probe(integration, path, "", (0, "")), "mine"))[0] == 200


async def test_a_key_and_a_token_open_the_same_account(client: Client) -> None:
    await put(client, "stripe-api-key", {"type": "BASIC", "username": "rk_test_1", "password": ""})
    _, by_key = await ask(client, Probe("stripe-api-key", "v1/account", "", (0, "")), "mine")

    _, by_token = await ask(client, PROBES[0], await connect(client, "stripe-app"))

    assert json.loads(by_key)["id"] == json.loads(by_token)["id"]


async def test_one_key_tried_with_two_providers_opens_an_account_at_each(client: Client) -> None:
    await put(client, "pandadoc-api-key", {"type": "API_KEY", "apiKey": "test"})
    await put(client, "stripe-api-key", {"type": "BASIC", "username": "test", "password": ""})

    assert (await ask(client, Probe("stripe-api-key", "v1/account", "", (0, "")), "mine"))[0] == 200


async def test_nango_refuses_a_bad_key_that_it_can_test(client: Client) -> None:
    status, body = await put(client, "pandadoc-api-key", {"type": "API_KEY", "apiKey": "bad-1"})

    assert (status, "connection_test_failed" in body) == (400, True)


async def test_nango_takes_no_key_of_more_than_1024_characters(client: Client) -> None:
    status, body = await put(client, "pandadoc-api-key", {"type": "API_KEY", "apiKey": "k" * 1025})

    assert (status, '"too_big"' in body) == (400, True)


async def test_nango_takes_a_bad_key_that_it_cannot_test(client: Client) -> None:
    status, _ = await put(client, "stripe-api-key", {"type": "BASIC", "username": "rk_bad", "password": ""})

    assert status == 201


async def test_the_provider_refuses_a_bad_key_that_nango_took(client: Client) -> None:
    await put(client, "stripe-api-key", {"type": "BASIC", "username": "rk_bad", "password": ""})

    assert (await ask(client, Probe("stripe-api-key", "v1/account", "", (0, "")), "mine"))[0] == 401


async def test_a_provider_that_somebody_adds_says_who_the_account_is(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(build(integrations=[*INTEGRATIONS, Integration("acme")]))
    connection_id = await connect(client, "acme")

    _, body = await ask(client, Probe("acme", "v1/me", "", (0, "")), connection_id)

    assert json.loads(body)["name"] == "Juniper & Fern"
