"""What the gateway makes of every failure that a real Nango was recorded with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aioresponses import aioresponses

from adapters.nango.client import open_client_session
from adapters.nango.gateway import NangoGateway
from adapters.nango.retries import RetryBudget
from application.ports import ProviderAnswer, Session
from domain.errors import (
    CredentialsRefused,
    CredentialsUnusable,
    GatewayNonsense,
    GatewayRefused,
    GatewayUnavailable,
    GrantNotFound,
    IntegrationMissing,
    ProviderCallRefused,
)
from domain.provider import Identity
from tests.contract.gateway_contract import NOON
from tests.contract.nango_stand_in import MockedResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from domain.errors import DomainError

RECORDED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "recorded" / "nango_failures.json").read_text(encoding="utf-8")
)
SESSION = Session(token="nango_connect_session_1", connect_link="https://c.example", expires_at=NOON)


@pytest.fixture
def nango() -> Iterator[aioresponses]:
    with aioresponses() as mocked:
        yield mocked


@pytest.fixture
async def gateway() -> AsyncIterator[NangoGateway]:
    async with open_client_session() as session:
        yield NangoGateway(
            session,
            base_url="https://nango.example",
            secret_key="key",
            budget=RetryBudget(reserve=0, share=0),
        )


def answers(nango: aioresponses, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    for method in ("GET", "POST", "DELETE"):
        nango.add(
            re.compile(".*"),
            method=method,
            status=status,
            headers=headers or {},
            body=body if isinstance(body, str) else json.dumps(body),
            response_class=MockedResponse,
            repeat=True,
        )


def answers_as_recorded(nango: aioresponses, name: str) -> None:
    recorded = RECORDED[name]
    answers(nango, recorded["status"], recorded["body"], recorded["headers"])


async def _open(gateway: NangoGateway, reconnect: str | None = None) -> Any:
    return await gateway.open_session(
        integration="slack", tags={}, connection_config={}, authorization_params={}, reconnect=reconnect
    )


async def _import(gateway: NangoGateway) -> None:
    await gateway.import_credentials(
        integration="slack", nango_id="n", kind="API_KEY", credentials={}, connection_config={}, tags={}
    )


OPERATIONS: dict[str, Callable[[NangoGateway], Awaitable[Any]]] = {
    "open_session": _open,
    "reconnect": lambda gateway: _open(gateway, "n-1"),
    "start_flow": lambda gateway: gateway.start_flow("slack", SESSION),
    "relay_callback": lambda gateway: gateway.relay_callback([("state", "s"), ("code", "c")], ""),
    "find_grants": lambda gateway: gateway.find_grants({"attempt": "a1"}),
    "any_grant": lambda gateway: gateway.any_grant({"deployment": "d1"}),
    "fetch": lambda gateway: gateway.fetch("slack", "n-1"),
    "refresh": lambda gateway: gateway.fetch("slack", "n-1", refresh=True),
    "call_provider": lambda gateway: gateway.call_provider(
        "slack", "n-1", Identity(path="/x"), base_url=None
    ),
    "import_credentials": _import,
    "delete": lambda gateway: gateway.delete("slack", "n-1"),
    "integrations": lambda gateway: gateway.integrations(),
}


@pytest.mark.parametrize(
    ("operation", "name", "error", "words"),
    [
        ("open_session", "connect-sessions-04-docs-override-forbidden", GatewayRefused, "does not allow"),
        ("open_session", "connect-sessions-11-unknown-integration", IntegrationMissing, "'slack'"),
        ("open_session", "connect-sessions-12-unknown-field", GatewayNonsense, "400 invalid_body"),
        ("open_session", "connect-sessions-13-bad-default-key", IntegrationMissing, "'slack'"),
        ("open_session", "connect-sessions-14-bad-tags", GatewayNonsense, "400 invalid_body"),
        ("open_session", "connect-sessions-15-bad-json", GatewayNonsense, "400 invalid_json"),
        (
            "open_session",
            "connect-sessions-16-wrong-content-type",
            GatewayNonsense,
            "415 invalid_content_type",
        ),
        ("open_session", "connect-sessions-17-wrong-secret", GatewayRefused, "refuses our secret key"),
        ("reconnect", "reconnect-10-unknown", GrantNotFound, "does not exist"),
        ("reconnect", "reconnect-11-unknown-integration", GrantNotFound, "does not exist"),
        ("reconnect", "reconnect-12-empty", GatewayNonsense, "400 invalid_body"),
        ("start_flow", "oauth-20-connect-unknown-integration", IntegrationMissing, "has no .* 'slack'"),
        ("start_flow", "oauth-22-connect-apikey-integration", IntegrationMissing, "'slack' lacks its client"),
        ("start_flow", "oauth-21-connect-not-allowed", GatewayNonsense, "integration_not_allowed"),
        ("start_flow", "oauth-23-connect-with-connection_id", GatewayNonsense, "invalid_query_params"),
        ("start_flow", "oauth-24-connect-bad-token", GatewayUnavailable, "session"),
        ("start_flow", "oauth-25-connect-unknown-token", GatewayUnavailable, "session"),
        ("start_flow", "oauth-27-connect-public-key-default", GatewayUnavailable, "session"),
        ("start_flow", "oauth-14-callback-unknown-state", GatewayNonsense, "could not be understood"),
        ("relay_callback", "ratelimit-01-429", GatewayUnavailable, "limits our calls"),
        ("relay_callback", "outage-04-db-down-ready", GatewayUnavailable, "503"),
        ("find_grants", "outage-01-db-down-connections", GatewayUnavailable, "out of order"),
        ("find_grants", "outage-04-db-down-ready", GatewayUnavailable, "503"),
        ("find_grants", "ratelimit-01-429", GatewayUnavailable, "limits our calls"),
        ("find_grants", "list-06-limit-too-big", GatewayNonsense, "400 invalid_query_params"),
        ("find_grants", "list-07-unknown-param", GatewayNonsense, "400 invalid_query_params"),
        ("integrations", "integrations-00-no-auth", GatewayRefused, "missing_auth_header"),
        ("integrations", "integrations-01-bad-format-key", GatewayRefused, "invalid_secret_key_format"),
        ("integrations", "integrations-02-unknown-key", GatewayRefused, "unknown_account"),
        ("refresh", "refresh-01-forced-invalid_grant", CredentialsUnusable, "returned an error"),
        ("refresh", "refresh-07-forced-html", CredentialsUnusable, "returned an error"),
        (
            "refresh",
            "refresh-07-forced-empty",
            CredentialsUnusable,
            "^Nango could not renew the credentials.$",
        ),
        ("fetch", "refresh-03-unforced-after-failure", CredentialsUnusable, "Backing off"),
        ("fetch", "refresh-22-exhausted", CredentialsUnusable, "limit has been reached"),
        ("fetch", "delete-04-get-after", GrantNotFound, "does not exist"),
        ("fetch", "integrations-41-conn-after", IntegrationMissing, "'slack'"),
        ("fetch", "import-12-get-weird-id", GatewayNonsense, "400 invalid_uri_params"),
        ("fetch", "outage-02-db-down-get", GatewayUnavailable, "out of order"),
        ("refresh", "ratelimit-01-429", GatewayUnavailable, "limits our calls"),
        ("call_provider", "proxy-08-unknown-connection", GrantNotFound, "does not exist"),
        ("call_provider", "proxy-09-unknown-integration", IntegrationMissing, "'slack'"),
        ("call_provider", "proxy-15-refresh-failed", CredentialsUnusable, "Backing off"),
        ("call_provider", "proxy-17-wrong-secret", GatewayRefused, "unknown_account"),
        ("call_provider", "proxy-20-refresh-fails-first-time", CredentialsUnusable, "^The external API"),
        ("call_provider", "outage-01-db-down-connections", GatewayUnavailable, "out of order"),
        ("call_provider", "ratelimit-01-429", GatewayUnavailable, "limits our calls"),
        ("import_credentials", "import-05-apikey-bad", CredentialsRefused, "found to be invalid"),
        ("import_credentials", "import-07-wrong-type", GatewayNonsense, "400 invalid_body"),
        ("import_credentials", "import-08-unknown-integration", IntegrationMissing, "'slack'"),
        ("import_credentials", "import-09-bad-body", GatewayNonsense, "400 invalid_body"),
        ("delete", "delete-01-no-pck", GatewayNonsense, "400 invalid_query_params"),
        ("delete", "outage-01-db-down-connections", GatewayUnavailable, "out of order"),
    ],
)
async def test_a_recorded_failure_has_its_meaning(
    gateway: NangoGateway,
    nango: aioresponses,
    operation: str,
    name: str,
    error: type[DomainError],
    words: str,
) -> None:
    answers_as_recorded(nango, name)
    with pytest.raises(error, match=words) as caught:
        await OPERATIONS[operation](gateway)
    assert type(caught.value) is error
    assert "payload" not in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("relay_callback", "oauth-03-callback-success"),
        ("relay_callback", "oauth-04-callback-replay"),
        ("relay_callback", "oauth-10-callback-denied"),
        ("relay_callback", "oauth-11-callback-token-500"),
        ("relay_callback", "oauth-11-callback-token-invalid_grant"),
        ("relay_callback", "oauth-14-callback-unknown-state"),
        ("relay_callback", "cookie-01-enforced-missing-cookie"),
        ("delete", "delete-03-again"),
        ("delete", "delete-05-unknown-integration"),
        ("delete", "delete-04-get-after"),
    ],
)
async def test_a_recorded_refusal_that_is_no_failure(
    gateway: NangoGateway, nango: aioresponses, operation: str, name: str
) -> None:
    answers_as_recorded(nango, name)
    assert await OPERATIONS[operation](gateway) is None


@pytest.mark.parametrize(
    ("name", "status", "retry_after"),
    [
        ("proxy-04-upstream-401", 401, None),
        ("proxy-05-upstream-404", 404, None),
        ("proxy-06-upstream-500", 500, None),
        ("proxy-07-upstream-429", 429, 1),
    ],
)
async def test_what_the_provider_says_comes_through(
    gateway: NangoGateway, nango: aioresponses, name: str, status: int, retry_after: int | None
) -> None:
    answers_as_recorded(nango, name)
    answer = await OPERATIONS["call_provider"](gateway)
    assert answer == ProviderAnswer(status=status, body={"status": status}, retry_after=retry_after)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<!doctype html>"),
        (401, '{"error": "invalid_token"}'),
        (401, '{"error": {"code": 401, "message": "Bad"}}'),
        (403, '{"error": {"code": "scope_missing"}}'),
        (403, '{"error": {"code": "forbidden", "message": "Your plan does not include the API."}}'),
        (404, "not_found"),
        (400, '{"error": {"code": "server_error", "message": "Something else"}}'),
        (200, ""),
        (200, "[" * 100_000),
        (200, '{"a": "\\ud800"}'),
    ],
)
async def test_what_only_resembles_nango_is_the_providers(
    gateway: NangoGateway, nango: aioresponses, status: int, body: str
) -> None:
    answers(nango, status, body)
    answer = await OPERATIONS["call_provider"](gateway)
    assert answer.status == status


async def test_a_key_without_the_scope_for_calls_is_not_the_providers_word(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    told = "Insufficient scope. Required: environment:proxy"
    answers(nango, 403, {"error": {"code": "forbidden", "message": told}})
    with pytest.raises(GatewayRefused, match="not allow"):
        await OPERATIONS["call_provider"](gateway)


@pytest.mark.parametrize(
    ("status", "why", "exhausted"),
    [
        (424, "The refresh limit has been reached for this connection.", True),
        (500, "An unhandled error of type 'refresh_token_parsing_error' has occurred", False),
    ],
)
async def test_that_nango_has_no_credentials_may_come_under_any_status(
    gateway: NangoGateway, nango: aioresponses, *, status: int, why: str, exhausted: bool
) -> None:
    told = f"Failed to get connection credentials: '{why}'"
    answers(nango, status, {"error": {"code": "server_error", "message": told}})
    with pytest.raises(CredentialsUnusable) as caught:
        await OPERATIONS["call_provider"](gateway)
    assert caught.value.exhausted is exhausted


@pytest.mark.parametrize("code", ["base_url_override_disabled", "base_url_override_not_allowed"])
async def test_a_call_that_nangos_configuration_forbids_is_not_the_providers_word(
    gateway: NangoGateway, nango: aioresponses, code: str
) -> None:
    told = "This outbound URL is not allowed by server configuration."
    answers(nango, 400, {"error": {"code": code, "message": told}})
    with pytest.raises(ProviderCallRefused):
        await OPERATIONS["call_provider"](gateway)


async def test_a_refused_api_key_is_refused_under_the_providers_status_too(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    told = {"code": "connection_test_failed", "message": "The given credentials were found to be invalid."}
    answers(nango, 401, {"error": told})
    with pytest.raises(CredentialsRefused):
        await OPERATIONS["import_credentials"](gateway)


async def test_credentials_longer_than_nango_keeps_are_the_callers_to_mend(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    wrong = {
        "code": "too_big",
        "message": "Too big: expected string to have <=1024 characters",
        "path": ["credentials", "apiKey"],
    }
    answers(nango, 400, {"error": {"code": "invalid_body", "errors": [wrong]}})
    with pytest.raises(CredentialsRefused, match="so long"):
        await OPERATIONS["import_credentials"](gateway)


@pytest.mark.parametrize("path", [None, [], ["tags", "k"]])
async def test_something_else_that_is_too_long_is_not(
    gateway: NangoGateway, nango: aioresponses, path: list[str] | None
) -> None:
    answers(nango, 400, {"error": {"code": "invalid_body", "errors": [{"code": "too_big", "path": path}]}})
    with pytest.raises(GatewayNonsense, match="400 invalid_body"):
        await OPERATIONS["import_credentials"](gateway)


@pytest.mark.parametrize(
    ("operation", "status", "code"),
    [
        ("open_session", 400, "resource_capped"),
        ("import_credentials", 400, "resource_capped"),
        ("call_provider", 402, "plan_limit"),
    ],
)
async def test_a_plan_that_is_used_up_is_nangos_trouble_and_nobodys_else(
    gateway: NangoGateway, nango: aioresponses, operation: str, status: int, code: str
) -> None:
    answers(nango, status, {"error": {"code": code, "message": "Upgrade your plan."}})
    with pytest.raises(GatewayUnavailable, match="plan"):
        await OPERATIONS[operation](gateway)


async def test_a_401_in_nangos_words_under_a_new_code_is_nangos(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    words = "Authentication failed. The provided secret key has been retired."
    answers(nango, 401, {"error": {"code": "retired_key", "message": words, "payload": {}}})
    with pytest.raises(GatewayUnavailable, match="retired_key"):
        await OPERATIONS["call_provider"](gateway)


@pytest.mark.parametrize(
    ("recorded", "exhausted"), [("refresh-01-forced-invalid_grant", False), ("refresh-22-exhausted", True)]
)
async def test_only_the_reached_limit_is_for_good(
    gateway: NangoGateway, nango: aioresponses, *, recorded: str, exhausted: bool
) -> None:
    answers_as_recorded(nango, recorded)
    with pytest.raises(CredentialsUnusable) as caught:
        await OPERATIONS["fetch"](gateway)
    assert caught.value.exhausted is exhausted


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("54", 54), ("0", 1), ("soon", 1), ("-3", 1), ("9" * 50, 1), ("99999999", 86_400), ("\u0663", 1)],
)
async def test_retry_after_is_passed_on_within_reason(
    gateway: NangoGateway, nango: aioresponses, header: str, seconds: int
) -> None:
    answers(nango, 429, {"error": {"code": "too_many_request"}}, {"Retry-After": header})
    with pytest.raises(GatewayUnavailable) as caught:
        await OPERATIONS["refresh"](gateway)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"call_provider"}))
@pytest.mark.parametrize(
    "body",
    ["", "<html>", "null", "[]", "{}", "[" * 100_000, '{"data": 1}', '{"connections": [{"x": 1}]}', "\x00"],
)
async def test_anything_else_is_nonsense(
    gateway: NangoGateway, nango: aioresponses, operation: str, body: str
) -> None:
    answers(nango, 201 if operation in {"open_session", "reconnect", "import_credentials"} else 200, body)
    with pytest.raises(GatewayNonsense):
        await OPERATIONS[operation](gateway)


async def test_a_deletion_that_came_second_is_one(gateway: NangoGateway, nango: aioresponses) -> None:
    answers(nango, 200, {"success": False})
    assert await OPERATIONS["delete"](gateway) is None


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"call_provider", "start_flow"}))
async def test_a_redirect_is_nonsense(gateway: NangoGateway, nango: aioresponses, operation: str) -> None:
    answers(nango, 302, "", {"Location": "https://elsewhere.example"})
    with pytest.raises(GatewayNonsense):
        await OPERATIONS[operation](gateway)


@pytest.mark.parametrize(
    "location",
    [
        None,
        "/relative?state=s",
        "//host.example/?state=s",
        "javascript:alert(1)?state=s",
        "https:///nohost?state=s",
        "https://[broken?state=s",
        "https://p.example/authorize",
        "https://p.example/authorize?state=",
        "https://p.example/authorize?state=a&state=b",
        "https://p.example/a b?state=s",
        "https://p.example/é?state=s",
        "https://p.example/?state=s&x=" + "y" * 8192,
        "https://p.example/?state=" + "s" * 600,
    ],
)
async def test_a_flow_that_leads_nowhere_is_nonsense(
    gateway: NangoGateway, nango: aioresponses, location: str | None
) -> None:
    answers(nango, 302, "", {"Location": location} if location else {})
    with pytest.raises(GatewayNonsense):
        await OPERATIONS["start_flow"](gateway)


@pytest.mark.parametrize(
    "location",
    [
        "https://p.example/authorize?client_id=c&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A1",
        "https://p.example/authenticate?oauth_token=t",
        "https://p.example/authorize?client_id=c#/login?state=s",
    ],
)
async def test_a_provider_whose_url_carries_no_state_is_refused_in_words(
    gateway: NangoGateway, nango: aioresponses, location: str
) -> None:
    answers(nango, 302, "", {"Location": location})
    with pytest.raises(GatewayNonsense, match=r"carries no state .*pushed authorization requests"):
        await OPERATIONS["start_flow"](gateway)


@pytest.mark.parametrize(
    ("state", "cookie"),
    [("a%00b", ""), ("%ff", ""), ("%0d%0a", ""), ("s", "oauth2-s=\udcff"), ("s", "oauth2-s=\x01")],
    ids=range(5),
)
async def test_a_flow_that_cannot_be_kept_is_nonsense(
    gateway: NangoGateway, nango: aioresponses, state: str, cookie: str
) -> None:
    answers(nango, 302, "", {"Location": f"https://p.example/?state={state}", "Set-Cookie": cookie})
    with pytest.raises(GatewayNonsense):
        await OPERATIONS["start_flow"](gateway)


async def test_what_nango_wants_to_know_before_a_flow_is_for_the_providers_file_to_ask(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    # The page of Nango's source; none was recorded.
    message = (
        "Missing Connection Config param(s) in Auth request to interpolate url "
        "https://${connectionConfig.subdomain}.p.example. Provided Connection Config: {}"
    )
    answers(nango, 400, f'<script>window.__nangoOAuthError = {{"message":"{message}"}}</script>')
    with pytest.raises(GatewayNonsense, match=r"'slack' wants to know more .*\[\[oauth\.parameters\]\]"):
        await OPERATIONS["start_flow"](gateway)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
    ],
    ids=range(2),
)
async def test_a_session_that_cannot_be_given_on_is_nonsense(
    gateway: NangoGateway, nango: aioresponses, changes: dict[str, str]
) -> None:
    good = {"token": "t", "connect_link": "https://c.example", "expires_at": "2026-01-01T12:00:00Z"}
    answers(nango, 201, {"data": {**good, **changes}})
    with pytest.raises(GatewayNonsense):
        await OPERATIONS["open_session"](gateway)


@pytest.mark.parametrize(
    "link",
    [
        None,
        "localhost:3009/?session_token=t",
        "javascript:alert(1)",
        "https://c.example/\0",
        "https://c.example/\n",
        "https://c.example/" + "x" * 8192,
    ],
    ids=range(6),
)
async def test_a_session_whose_link_cannot_be_given_on_has_none(
    gateway: NangoGateway, nango: aioresponses, link: str | None
) -> None:
    answers(nango, 201, {"data": {"token": "t", "connect_link": link, "expires_at": "2026-01-01T12:00:00Z"}})
    session = await gateway.open_session(
        integration="slack", tags={}, connection_config={}, authorization_params={}, reconnect=None
    )
    assert (session.token, session.connect_link) == ("t", None)


async def test_another_connection_than_asked_for_is_nonsense(
    gateway: NangoGateway, nango: aioresponses
) -> None:
    other = {"connection_id": "n-2", "provider_config_key": "slack", "credentials": {}}
    answers(nango, 200, other)
    with pytest.raises(GatewayNonsense, match="another connection"):
        await OPERATIONS["fetch"](gateway)


@pytest.mark.parametrize("time", ["2026-01-01T12:00:00", "+010056-01-01", "-000001-01-01T00:00:00Z", "soon"])
async def test_a_time_that_is_no_instant_is_nonsense(
    gateway: NangoGateway, nango: aioresponses, time: str
) -> None:
    credentials = {"expires_at": time}
    answers(nango, 200, {"connection_id": "n-1", "provider_config_key": "slack", "credentials": credentials})
    with pytest.raises(GatewayNonsense):
        await OPERATIONS["fetch"](gateway)
