"""The sandbox answers as the recorded Nango did.

Each recorded exchange is sent to a sandbox that was brought into the state in which the real server was.
Status, content type, the headers that matter and the body are compared; what differs from run to run (ids,
times, tokens) by its form.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from attrs import evolve
from yarl import URL

from tests.contract.sandbox_world import (
    API_KEY,
    EXPIRING,
    OIDC,
    Client,
    Exchange,
    authorize,
    build,
    decide,
    exchanges,
    open_session,
    sandbox_of,
    seed,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientResponse
    from pytest_aiohttp.plugin import AiohttpClient

    from adapters.sandbox import Sandbox

FILES = (
    "connect-sessions", "oauth", "reconnect", "tags", "list", "connections", "delete", "refresh", "proxy",
    "import", "outage", "ratelimit", "cookie", "override", "patch", "integrations",
)  # fmt: skip

MANAGED_ELSEWHERE = "integrations are declared when the sandbox is made"
LEGACY_PATH = "the older path, which the service does not use"
CLIENT_CREDENTIALS = "OAUTH2_CC is not among the providers"
SESSION_ITSELF = "nothing reads or deletes a connect session"
OUTSIDE = {
    "connections-05-legacy-get": LEGACY_PATH,
    "connections-13-legacy-unknown": LEGACY_PATH,
    "delete-06-legacy": LEGACY_PATH,
    "connections-31-get-cc": CLIENT_CREDENTIALS,
    "connections-32-get-cc-force": CLIENT_CREDENTIALS,
    "import-06-cc": CLIENT_CREDENTIALS,
    "proxy-13-cc": CLIENT_CREDENTIALS,
    "reconnect-02-get-session": SESSION_ITSELF,
    "oauth-50-callback-session-deleted": SESSION_ITSELF,
    "oauth-91-callback-loopback-blocked-unpatched": "the token endpoint is in process: nothing to guard",
    "ratelimit-02-connect-session-bucket-separate": "the provider templates are not served",
    "integrations-03-post-oauth2": MANAGED_ELSEWHERE,
    "integrations-04-post-fake": MANAGED_ELSEWHERE,
    "integrations-05-post-apikey": MANAGED_ELSEWHERE,
    "integrations-06-post-apikey-unverified": MANAGED_ELSEWHERE,
    "integrations-07-post-cc": MANAGED_ELSEWHERE,
    "integrations-08-post-basic": MANAGED_ELSEWHERE,
    "integrations-09-post-dup": MANAGED_ELSEWHERE,
    "integrations-10-post-bad-provider": MANAGED_ELSEWHERE,
    "integrations-11-post-missing-fields": MANAGED_ELSEWHERE,
    "integrations-12-post-missing-creds": MANAGED_ELSEWHERE,
    "integrations-13-post-hubspot": MANAGED_ELSEWHERE,
    "integrations-18-patch": MANAGED_ELSEWHERE,
    "integrations-30-list-with-session": "no browser lists integrations here",
    "integrations-40-delete-with-connections": MANAGED_ELSEWHERE,
    "integrations-42-delete-unknown": MANAGED_ELSEWHERE,
}
"""Recorded exchanges outside the part of Nango's API that the sandbox speaks, with the reason."""

BEFORE: dict[str, tuple[str, ...]] = {
    "delete-03-again": ("delete-02-ok",),
    "delete-04-get-after": ("delete-02-ok",),
    "delete-05-unknown-integration": ("delete-02-ok",),
    "delete-07-recreate-same-id": ("delete-02-ok",),
    "import-02-oauth2-again-override": ("import-01-oauth2",),
    "import-12-get-weird-id": ("import-10-bad-connection-id",),
    "connections-34-get-imported-oauth2": ("import-01-oauth2", "import-02-oauth2-again-override"),
    "tags-07-filter-uppercase": ("tags-06-uppercase-import",),
    "patch-04-get": ("patch-01-tags", "patch-02-end_user", "patch-03-webhook_url_override"),
    "patch-11-get": ("patch-10-tags-and-end_user",),
    "refresh-02-forced-again": ("refresh-01-forced-invalid_grant",),
    "refresh-03-unforced-after-failure": ("refresh-01-forced-invalid_grant",),
    "refresh-04-list-shows-errors": ("refresh-01-forced-invalid_grant",),
    "refresh-05-forced-ok-after-failures": ("refresh-01-forced-invalid_grant",),
    "refresh-06-list-after-ok": ("refresh-01-forced-invalid_grant", "refresh-05-forced-ok-after-failures"),
    "refresh-11-expired-refresh-fails-again": ("refresh-10-expired-refresh-fails",),
    "refresh-12-after-provider-recovers-unforced": ("refresh-10-expired-refresh-fails",),
    "refresh-13-after-provider-recovers-forced": ("refresh-10-expired-refresh-fails",),
    "refresh-22-exhausted": ("proxy-20-refresh-fails-first-time",),
    "proxy-15-refresh-failed": ("proxy-14-prep-fail",),
    "proxy-16-prep-ok": ("proxy-14-prep-fail",),
    "ratelimit-01-429": ("list-01-limit-page",),
}
"""Exchanges that the recorded state came from: they are sent first."""

FAULTS = {
    "refresh-01-forced-invalid_grant": ("token_endpoint", "invalid_grant"),
    "refresh-02-forced-again": ("token_endpoint", "invalid_grant"),
    "refresh-07-forced-429": ("token_endpoint", "rate_limited"),
    "refresh-07-forced-500": ("token_endpoint", "server_error"),
    "refresh-07-forced-html": ("token_endpoint", "html"),
    "refresh-07-forced-empty": ("token_endpoint", "empty"),
    "refresh-10-expired-refresh-fails": ("token_endpoint", "invalid_grant"),
    "proxy-14-prep-fail": ("token_endpoint", "invalid_grant"),
    "proxy-20-refresh-fails-first-time": ("token_endpoint", "invalid_grant"),
    "oauth-11-callback-token-500": ("token_endpoint", "server_error"),
    "oauth-11-callback-token-empty": ("token_endpoint", "empty"),
    "oauth-11-callback-token-html": ("token_endpoint", "html"),
    "oauth-11-callback-token-invalid_client": ("token_endpoint", "invalid_client"),
    "oauth-11-callback-token-invalid_grant": ("token_endpoint", "invalid_grant"),
    "proxy-04-upstream-401": ("provider_api", "dead"),
    "proxy-05-upstream-404": ("provider_api", "not_found"),
    "proxy-06-upstream-500": ("provider_api", "server_error"),
    "proxy-07-upstream-429": ("provider_api", "rate_limited"),
    "outage-01-db-down-connections": ("nango", "database_down"),
    "outage-02-db-down-get": ("nango", "database_down"),
    "outage-03-db-down-health": ("nango", "database_down"),
    "outage-04-db-down-ready": ("nango", "database_down"),
}

FORM_ONLY = {
    "list-01-limit-page": "which connections come first depends on the whole recording session",
    "list-05-integrationId": "the same",
    "list-10-page-1": "the same",
    "connections-01-list": "the same",
    "connections-20-after-reuse": "the same",
    "override-01-get": "the same",
    "integrations-14-list": "the environment has other integrations",
    "integrations-16-get-include": "the client is another",
    "connect-sessions-15-bad-json": "the sentence is that of another JSON parser",
    "refresh-07-forced-empty": "the sentence carries Nango's whole row",
}
"""Exchanges of which only status, headers, keys and types are compared, with the reason."""

UPSTREAM = re.compile(r"^proxy-(0[1-7]|11|12|18)-")
"""Exchanges whose body is the upstream's, which was another provider."""


def all_exchanges() -> dict[str, Exchange]:
    return {each.name: each for file in FILES for each in exchanges(file)}


ALL = all_exchanges()
REPLAYED = [name for name in ALL if name not in OUTSIDE]


@pytest.mark.parametrize("name", REPLAYED)
async def test_the_answer_is_as_recorded(name: str, aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(build())
    await arrange(client, name)

    sent, answer = await send(client, ALL[name])

    assert answer.status == sent.status
    assert content_type(answer) == recorded_content_type(sent)
    assert notable_headers(dict(answer.headers)) == notable_headers(sent.headers)
    if not UPSTREAM.match(name):
        form = shape if name in FORM_ONLY else normal
        assert form(await body_of(answer)) == form(expected_body(sent))


@pytest.mark.parametrize(
    "table", [OUTSIDE, BEFORE, FAULTS, FORM_ONLY], ids=["out", "before", "fault", "form"]
)
def test_a_table_names_recorded_exchanges_only(table: dict[str, object]) -> None:
    assert set(table) <= set(ALL)


# -- arranging -------------------------------------------------------------------------------------


async def arrange(client: Client, name: str) -> None:
    sandbox = sandbox_of(client)
    for earlier in BEFORE.get(name, ()):
        await arrange(client, earlier)
        await send(client, ALL[earlier])
        sandbox.heal()
    if name in STATE:
        STATE[name](sandbox)
    if name in RECONNECTED:
        assert await authorize(client, "oidc", **RECONNECTED[name]) == 200
    if name in FAULTS:
        sandbox.fail(*FAULTS[name])


def enforce_cookie(sandbox: Sandbox) -> None:
    sandbox.settings.enforce_state_cookie = True


def limit_calls(sandbox: Sandbox) -> None:
    sandbox.settings.rate_limit = 1


def move_callback(sandbox: Sandbox) -> None:
    sandbox.settings.callback_url = "http://127.0.0.1:4020/our/oauth/callback"


def give_metadata(sandbox: Sandbox) -> None:
    sandbox.store(evolve(sandbox.find(API_KEY), metadata={"q": 1}))


def seed_override(sandbox: Sandbox) -> None:
    override = "http://127.0.0.1:4020/webhook/attempt/abc123"
    tags = {"tenant": "ov"}
    seed(sandbox, "fake", "b18297ae-0880-4715-864a-416a4031214a", tags=tags, webhook_url_override=override)


STATE: dict[str, Callable[[Sandbox], None]] = {
    "refresh-10-expired-refresh-fails": lambda sandbox: sandbox.expire(EXPIRING),
    "proxy-20-refresh-fails-first-time": lambda sandbox: sandbox.expire("exp1"),
    "refresh-22-exhausted": lambda sandbox: sandbox.exhaust("exp1"),
    "refresh-23-exhausted-forced": lambda sandbox: sandbox.exhaust("exp1"),
    "cookie-01-enforced-missing-cookie": enforce_cookie,
    "cookie-02-enforced-cookie-replayed": enforce_cookie,
    "ratelimit-01-429": limit_calls,
    "oauth-40-connect-custom-callback": move_callback,
    "oauth-41-callback-forwarded-server-side": move_callback,
    "patch-11-get": give_metadata,
    "override-01-get": seed_override,
}

SAME: dict[str, Any] = {"connection_id": OIDC, "integration_id": "oidc"}
TO_USER_9 = SAME | {"tags": {"tenant": "newtenant"}, "end_user": {"id": "user_9"}}
RECONNECTED = {
    "reconnect-03-same-connection-id": SAME,
    "reconnect-05-after-tags": TO_USER_9,
    "list-03-endUserId": TO_USER_9,
    "list-04-search": TO_USER_9,
    "list-08-org": TO_USER_9,
    "list-09-connectionId": TO_USER_9,
}


# -- sending ---------------------------------------------------------------------------------------


async def send(client: Client, recorded: Exchange) -> tuple[Exchange, ClientResponse]:
    url = await alive(client, recorded)
    body = recorded.request_body
    data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    cookies = client.session.cookie_jar
    if recorded.name == "cookie-01-enforced-missing-cookie":
        cookies.clear()
    answer = await client.request(
        recorded.method,
        URL(url, encoded=True),
        headers=recorded.request_headers,
        data=data,
        allow_redirects=False,
        skip_auto_headers=["Content-Type"],
    )
    return recorded, answer


async def alive(client: Client, recorded: Exchange) -> str:
    """Put a session token, a state and a code of this run in the place of the recorded ones."""
    parts = urlsplit(recorded.url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.path.startswith("/oauth/connect/") and recorded.status in {302, 400}:
        query["connect_session_token"] = await session_for(client, recorded.name)
        return f"{parts.path}?{urlencode(query)}"
    if parts.path == "/oauth/callback" and not UNKNOWN_STATE.match(recorded.name):
        integration = "oidc" if "iss" in query else "fake"
        flow = await start(client, integration, await open_session(client))
        query["state"] = flow.state
        if "code" in query:
            query["code"] = (await decide(client, flow))["code"]
        url = f"{parts.path}?{urlencode(query)}"
        if recorded.name == "oauth-04-callback-replay":
            await client.get(url)
        return url
    return recorded.url


UNKNOWN_STATE = re.compile(r"^oauth-1[2-4]-")


async def session_for(client: Client, name: str) -> str:
    allowed = {"allowed_integrations": ["fake"]} if name == "oauth-21-connect-not-allowed" else {}
    return await open_session(client, tags={"tenant": "acme"}, **allowed)


# -- comparing -------------------------------------------------------------------------------------


def content_type(answer: ClientResponse) -> str:
    return answer.headers["Content-Type"]


def recorded_content_type(recorded: Exchange) -> str:
    # The upstream of the recording named a charset in its own successes, ours does not.
    return "application/json" if recorded.name == "proxy-11-oauth2" else recorded.headers["content-type"]


def notable_headers(headers: dict[str, str]) -> dict[str, Any]:
    """Reduce headers to those that a client of Nango reads."""
    lowered = {name.lower(): value for name, value in headers.items()}
    noted: dict[str, Any] = {
        name: "present"
        for name in ("retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
        if name in lowered
    }
    if "location" in lowered:
        query = dict(parse_qsl(urlsplit(lowered["location"]).query))
        noted["location"] = query | dict.fromkeys(("client_id", "code_challenge"), "ours") | normal_id(query)
    if "set-cookie" in lowered:
        name, *attributes = lowered["set-cookie"].split("; ")
        kept = sorted(each for each in attributes if not each.startswith("Expires"))
        noted["set-cookie"] = [UUID.sub("<uuid>", name), *kept]
    return noted


def normal_id(query: dict[str, str]) -> dict[str, str]:
    return {"state": UUID.sub("<uuid>", query["state"])}


async def body_of(answer: ClientResponse) -> Any:
    if answer.content_type == "text/html":
        found = re.search(r"window\.__nangoOAuthError = (.*);</script>", await answer.text())
        assert found, "Nango's page carries the outcome"
        return json.loads(found[1])
    if answer.content_type == "application/json":
        return await answer.json()
    return (await answer.text()).split("http")[0]


def expected_body(recorded: Exchange) -> Any:
    if isinstance(recorded.body, dict) and recorded.body.get("html_page"):
        return json.loads(recorded.body["__nangoOAuthError"])
    if isinstance(recorded.body, str):
        return recorded.body.split("http")[0]
    return recorded.body


UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FORMS = (
    (UUID, "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(?=Z|\+00:00)"), "<time>"),
    (re.compile(r"nango_connect_session_[0-9a-f]{64}"), "<session token>"),
    (re.compile(r"^\d{13}_\w{8}$"), "<log id>"),
    (re.compile(r"^http://127\.0\.0\.1:\d+/"), "<nango>/"),
)
SECRETS = {"access_token", "refresh_token"}


def normal(value: Any, key: str = "") -> Any:
    """Put forms in the place of what differs from run to run."""
    if isinstance(value, dict):
        # An OpenID provider adds an id_token to what it answers; ours does not.
        return {name: normal(each, name) for name, each in value.items() if name != "id_token"}
    if isinstance(value, list):
        return [normal(each) for each in value]
    if key in SECRETS:
        return "<secret>"
    if key == "id" and isinstance(value, int):
        return "<number>"
    if key in {"scope", "expires_in"}:
        return "<the provider's>"
    if isinstance(value, str):
        for pattern, form in FORMS:
            value = pattern.sub(form, value)
    return value


def shape(value: Any) -> Any:
    """Reduce a body to its keys, the types of its values, and the form of one item of each list."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items() if name not in OPEN}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value).__name__


OPEN = {"end_user", "metadata", "tags"}
"""Keys whose values the caller chooses."""
