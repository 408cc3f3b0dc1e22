"""What exactly the gateway sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

from adapters.nango import connections
from adapters.nango.client import open_client_session
from adapters.nango.gateway import NangoGateway
from domain.errors import GatewayNonsense
from domain.provider import Identity
from tests.contract.nango_stand_in import MockedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

NANGO = "https://nango.example"
KEY = "11111111-1111-4111-8111-111111111111"
EXPIRES = "2026-11-23T11:25:49.777Z"
TAGS = {"connection": "conn_1", "company": "acme", "deployment": "d1", "attempt": "a1"}
DEFAULTS = {"connection_config": {"accountId": "1"}, "authorization_params": {"prompt": "login"}}
CONNECTION = {
    "id": 1,
    "connection_id": "id 1/ä",
    "provider_config_key": "my app",
    "connection_config": {},
    "credentials": {"type": "OAUTH2", "access_token": "AT", "expires_at": EXPIRES, "raw": {"scope": "r"}},
}


@pytest.fixture
def nango() -> Iterator[aioresponses]:
    with aioresponses() as mocked:
        yield mocked


@pytest.fixture
async def gateway() -> AsyncIterator[NangoGateway]:
    async with open_client_session() as session:
        yield NangoGateway(session, base_url=f"{NANGO}/", secret_key=KEY)


def answers(
    nango: aioresponses, method: str, path: str, body: Any, *, status: int = 200, **more: Any
) -> None:
    nango.add(
        URL(f"{NANGO}{path}", encoded=True),
        method=method,
        payload=body,
        status=status,
        response_class=MockedResponse,
        **more,
    )


def sent(nango: aioresponses) -> dict[str, Any]:
    ((_, calls),) = nango.requests.items()
    (call,) = calls
    kwargs: dict[str, Any] = call.kwargs
    return kwargs


def session_answer() -> dict[str, Any]:
    return {"data": {"token": "nango_connect_session_1", "connect_link": "https://c", "expires_at": EXPIRES}}


async def open_session(gateway: NangoGateway, reconnect: str | None) -> None:
    await gateway.open_session(
        integration="netsuite",
        tags=TAGS,
        connection_config=DEFAULTS["connection_config"],
        authorization_params=DEFAULTS["authorization_params"],
        reconnect=reconnect,
    )


async def test_a_session_is_asked_for_with_tags_and_no_end_user(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    answers(nango, "POST", "/connect/sessions", session_answer(), status=201)
    await open_session(gateway, None)
    assert json.loads(sent(nango)["data"]) == {
        "tags": TAGS,
        "allowed_integrations": ["netsuite"],
        "integrations_config_defaults": {"netsuite": DEFAULTS},
    }


async def test_a_reconnect_sends_tags_and_defaults_again(gateway: NangoGateway, nango: aioresponses) -> None:
    answers(nango, "POST", "/connect/sessions/reconnect", session_answer(), status=201)
    await open_session(gateway, "n-1")
    assert json.loads(sent(nango)["data"]) == {
        "connection_id": "n-1",
        "integration_id": "netsuite",
        "tags": TAGS,
        "integrations_config_defaults": {"netsuite": DEFAULTS},
    }


async def test_requests_carry_the_key_and_json_and_follow_no_redirect(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    answers(nango, "POST", "/connect/sessions", session_answer(), status=201)
    await open_session(gateway, None)
    assert sent(nango)["headers"] == {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    assert sent(nango)["allow_redirects"] is False


async def test_the_deadlines_of_a_call(gateway: NangoGateway, nango: aioresponses) -> None:
    answers(nango, "POST", "/connect/sessions", session_answer(), status=201)
    await open_session(gateway, None)
    assert sent(nango)["timeout"] == aiohttp.ClientTimeout(total=4, connect=1)


async def test_a_flow_presents_the_session_and_not_the_key(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    answers(nango, "POST", "/connect/sessions", session_answer(), status=201)
    session = await gateway.open_session(
        integration="a b", tags=TAGS, connection_config={}, authorization_params={}, reconnect=None
    )
    nango.requests.clear()
    answers(
        nango,
        "GET",
        "/oauth/connect/a%20b?connect_session_token=nango_connect_session_1",
        None,
        status=302,
        headers={"Location": "https://p.example/authorize?state=s-1", "Set-Cookie": "oauth2-s-1=1; Path=/"},
    )
    flow = await gateway.start_flow("a b", session)
    assert (flow.state, flow.cookie, flow.redirect_uri) == ("s-1", "oauth2-s-1=1", None)
    assert sent(nango)["headers"] == {}


async def test_a_provider_whose_page_routes_by_its_fragment_has_its_query_in_there(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    answers(nango, "POST", "/connect/sessions", session_answer(), status=201)
    session = await gateway.open_session(
        integration="apollo", tags=TAGS, connection_config={}, authorization_params={}, reconnect=None
    )
    address = "https://p.example/#/oauth/authorize?redirect_uri=https%3A%2F%2Fours.example%2Fcb&state=s-1"
    answers(
        nango,
        "GET",
        "/oauth/connect/apollo?connect_session_token=nango_connect_session_1",
        None,
        status=302,
        headers={"Location": address, "Set-Cookie": "oauth2-s-1=1; Path=/"},
    )
    flow = await gateway.start_flow("apollo", session)
    assert (flow.state, flow.cookie, flow.redirect_uri) == (
        "s-1",
        "oauth2-s-1=1",
        "https://ours.example/cb",
    )
    assert flow.authorization_url == address


async def test_a_relay_has_the_cookie_the_long_deadline_and_no_key(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    answers(nango, "GET", "/oauth/callback?code=c&state=s-1", "window.__nangoOAuthError = null")
    await gateway.relay_callback([("code", "c"), ("state", "s-1")], "oauth2-s-1=1")
    assert sent(nango)["headers"] == {"Cookie": "oauth2-s-1=1"}
    assert sent(nango)["timeout"] == aiohttp.ClientTimeout(total=15, connect=1)


async def test_grants_are_found_by_tags(gateway: NangoGateway, nango: aioresponses) -> None:
    listed = {"connection_id": "n-1", "provider_config_key": "hubspot", "tags": {"attempt": "a1"}}
    answers(nango, "GET", "/connections?tags%5Battempt%5D=a1&limit=1000&page=0", {"connections": [listed]})
    (grant,) = await gateway.find_grants({"attempt": "a1"})
    assert grant.nango_id == "n-1"


async def test_grants_that_lack_the_tags_are_not_believed(gateway: NangoGateway, nango: aioresponses) -> None:
    listed = {"connection_id": "n-1", "provider_config_key": "hubspot", "tags": {"attempt": "other"}}
    answers(nango, "GET", "/connections?tags%5Battempt%5D=a1&limit=1000&page=0", {"connections": [listed]})
    assert await gateway.find_grants({"attempt": "a1"}) == []


@pytest.mark.parametrize(("theirs", "there"), [("d1", True), ("other", False)])
async def test_one_connection_says_whether_there_is_any(
    gateway: NangoGateway, nango: aioresponses, theirs: str, *, there: bool
) -> None:
    listed = {"connection_id": "n-1", "provider_config_key": "hubspot", "tags": {"deployment": theirs}}
    answers(nango, "GET", "/connections?tags%5Bdeployment%5D=d1&limit=1", {"connections": [listed]})
    assert await gateway.any_grant({"deployment": "d1"}) is there


@pytest.mark.parametrize("name", ["", "a\0b", "a\r\nX: y", "é", "\u2028", "a" * 256], ids=range(6))
async def test_a_name_that_nobody_can_keep_is_nonsense(
    gateway: NangoGateway, nango: aioresponses, name: str
) -> None:
    listed = {"connection_id": name, "provider_config_key": "slack", "tags": {"attempt": "a1"}}
    answers(nango, "GET", "/connections?tags%5Battempt%5D=a1&limit=1000&page=0", {"connections": [listed]})
    with pytest.raises(GatewayNonsense):
        await gateway.find_grants({"attempt": "a1"})


async def test_the_walk_goes_on_while_pages_are_full(gateway: NangoGateway, nango: aioresponses) -> None:
    full = [{"connection_id": f"n-{number}", "provider_config_key": "slack"} for number in range(1000)]
    answers(nango, "GET", "/connections?limit=1000&page=0", {"connections": full})
    answers(nango, "GET", "/connections?limit=1000&page=1", {"connections": full[:1]})
    assert [len(page) async for page in gateway.grants()] == [1000, 1]


async def test_a_list_that_repeats_itself_is_nonsense(gateway: NangoGateway, nango: aioresponses) -> None:
    full = [{"connection_id": f"n-{number}", "provider_config_key": "slack"} for number in range(1000)]
    for number in range(2):
        answers(nango, "GET", f"/connections?limit=1000&page={number}", {"connections": full})
    with pytest.raises(GatewayNonsense, match="again and again"):
        [page async for page in gateway.grants()]


async def test_a_list_without_an_end_is_nonsense(
    gateway: NangoGateway, nango: aioresponses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_PAGES", 2)
    for page in range(2):
        full = [{"connection_id": f"{page}-{n}", "provider_config_key": "slack"} for n in range(1000)]
        answers(nango, "GET", f"/connections?limit=1000&page={page}", {"connections": full})
    with pytest.raises(GatewayNonsense, match="does not end"):
        [page async for page in gateway.grants()]


async def test_auth_errors_in_the_list_are_told_from_others(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    listed = [
        {"connection_id": "n-1", "provider_config_key": "slack", "errors": [{"type": "auth", "log_id": "1"}]},
        {"connection_id": "n-2", "provider_config_key": "slack", "errors": [{"type": "sync", "log_id": "2"}]},
    ]
    answers(nango, "GET", "/connections?limit=1000&page=0", {"connections": listed})
    (page,) = [page async for page in gateway.grants()]
    assert [grant.auth_error for grant in page] == [True, False]


async def test_presence_is_read_off_the_list_without_a_second_call(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    listed = {"connection_id": "n-1", "provider_config_key": "slack"}
    answers(nango, "GET", "/connections?connectionId=n-1&limit=1000&page=0", {"connections": [listed]})
    assert await gateway.has_grant("slack", "n-1")
    assert len(nango.requests) == 1


async def test_absence_needs_a_second_proof(gateway: NangoGateway, nango: aioresponses) -> None:
    answers(nango, "GET", "/connections?connectionId=id%201/%C3%A4&limit=1000&page=0", {"connections": []})
    answers(nango, "GET", "/connections/id%201%2F%C3%A4?provider_config_key=my%20app", CONNECTION)
    assert await gateway.has_grant("my app", "id 1/ä")


@pytest.mark.parametrize(("refresh", "more", "seconds"), [(False, "", 4), (True, "&force_refresh=true", 15)])
async def test_a_fetch_quotes_the_id_and_forces_only_when_told(
    gateway: NangoGateway, nango: aioresponses, *, refresh: bool, more: str, seconds: int
) -> None:
    answers(nango, "GET", f"/connections/id%201%2F%C3%A4?provider_config_key=my%20app{more}", CONNECTION)
    details = await gateway.fetch("my app", "id 1/ä", refresh=refresh)
    assert details.token == {"scope": "r"}
    assert sent(nango)["timeout"].total == seconds


async def test_credentials_that_outlive_our_calendar_do_not_end(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    far_off = {**CONNECTION, "credentials": {"type": "OAUTH2", "expires_at": "+010056-08-22T03:51:17.777Z"}}
    answers(nango, "GET", "/connections/id%201%2F%C3%A4?provider_config_key=my%20app", far_off)
    assert (await gateway.fetch("my app", "id 1/ä")).expires_at is None


async def test_an_import_sends_credentials_config_and_tags(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    answers(nango, "POST", "/connections", CONNECTION, status=201)
    await gateway.import_credentials(
        integration="pandadoc-api-key",
        nango_id="ours",
        kind="API_KEY",
        credentials={"apiKey": "k"},
        connection_config={"region": "eu"},
        tags=TAGS,
    )
    assert json.loads(sent(nango)["data"]) == {
        "provider_config_key": "pandadoc-api-key",
        "connection_id": "ours",
        "credentials": {"type": "API_KEY", "apiKey": "k"},
        "connection_config": {"region": "eu"},
        "tags": TAGS,
    }


async def test_a_deletion_quotes_the_id(gateway: NangoGateway, nango: aioresponses) -> None:
    answers(nango, "DELETE", "/connections/a%2F..%2Fb?provider_config_key=slack", {"success": True})
    await gateway.delete("slack", "a/../b")
    assert sent(nango)["headers"] == {"Authorization": f"Bearer {KEY}"}


async def test_the_proxy_is_told_whose_credentials_and_what_to_pass_on(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    identity = Identity(path="/v3/me?x=1", headers={"accept": "application/json"})
    answers(nango, "GET", "/proxy/v3/me?x=1", {"id": 7})
    answer = await gateway.call_provider("quickbooks", "n-1", identity, base_url="https://b.example")
    assert answer.body == {"id": 7}
    assert sent(nango)["headers"] == {
        "Authorization": f"Bearer {KEY}",
        "Connection-Id": "n-1",
        "Provider-Config-Key": "quickbooks",
        "Base-Url-Override": "https://b.example",
        "Nango-Proxy-accept": "application/json",
    }
    assert sent(nango)["timeout"].total == 3


async def test_the_proxy_passes_the_providers_method_on(gateway: NangoGateway, nango: aioresponses) -> None:
    answers(nango, "POST", "/proxy/auth.test", {"ok": True})
    answer = await gateway.call_provider(
        "slack", "n-1", Identity(path="/auth.test", method="POST"), base_url=None
    )
    assert answer.status == 200
