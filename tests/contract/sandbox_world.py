"""The recorded exchanges, and a sandbox in the state in which the recorded server was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from aiohttp.test_utils import TestClient
from attrs import evolve, frozen

from adapters.sandbox import SANDBOX, Integration, Sandbox, create_sandbox
from adapters.sandbox.model import Connection

Client = TestClient[web.Request, web.Application]

RECORDED = Path(__file__).parent / "recorded"
KEY = "11111111-1111-4111-8111-111111111111"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
CALLBACK = "http://127.0.0.1:3003/oauth/callback"

OIDC = "f0e2083c-5386-4cb5-97e2-baef933f104b"
REFRESHED = "c1358b7d-9cb4-4af7-ab71-819b35c9f4d4"
EXPIRING = "fdad8f39-0e9e-4588-9850-bd641b4a64fc"
API_KEY = "3a7353f1-7d75-4e15-8d69-c1ec4373192d"

INTEGRATIONS = (
    Integration(
        "oidc",
        provider="local-oidc",
        display_name="Local OIDC",
        scopes="openid,offline_access,email,read",
        authorization_params={"prompt": "consent"},
    ),
    Integration("fake", provider="local-fake", scopes="read,write"),
    Integration("bench", provider="local-fake"),
    Integration("apikey", "API_KEY", provider="local-apikey", tested=True),
    Integration("apikey-unverified", "API_KEY", provider="local-apikey-unverified"),
    Integration("basic", "BASIC", provider="local-basic", tested=True),
)


@frozen
class Exchange:
    """One recorded request and the answer that a real Nango gave."""

    name: str
    method: str
    url: str
    request_headers: dict[str, str]
    request_body: Any
    status: int
    headers: dict[str, str]
    body: Any


def exchanges(file: str) -> list[Exchange]:
    return [
        Exchange(
            each["name"],
            each["request"]["method"],
            each["request"]["url"],
            each["request"]["headers"],
            each["request"]["body"],
            each["response"]["status"],
            {name.lower(): value for name, value in each["response"]["headers"].items()},
            each["response"]["body"],
        )
        for each in json.loads((RECORDED / f"{file}.json").read_text(encoding="utf-8"))
    ]


def person(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "display_name": None, "email": None, "tags": None, "organization": None} | more


USER_1 = person(
    "user_1",
    display_name="User One",
    email="u1@example.com",
    tags={"plan": "pro"},
    organization={"id": "org_1", "display_name": "Org One"},
)
TAGS_OF_USER_1 = {
    "plan": "pro",
    "tenant": "acme",
    "end_user_id": "user_1",
    "end_user_email": "u1@example.com",
    "organization_id": "org_1",
    "end_user_display_name": "User One",
    "organization_display_name": "Org One",
}
OF_USER_K: dict[str, Any] = {
    "tags": {"tenant": "acme", "end_user_id": "user_k"},
    "end_user": person("user_k"),
    "metadata": {},
}
TO_REFRESH: dict[str, Any] = {"tags": {"tenant": "refresh"}}
OVERRIDE = "http://127.0.0.1:4020/webhook/override?tenant=acme"


def sandbox_of(client: Client) -> Sandbox:
    app = client.app
    assert app is not None
    return app[SANDBOX]


def settle(sandbox: Sandbox) -> None:
    """Put the connections there that the recordings speak of."""
    seed(sandbox, "oidc", OIDC, tags=TAGS_OF_USER_1, end_user=USER_1)
    seed(sandbox, "fake", REFRESHED, **TO_REFRESH)
    seed(sandbox, "fake", EXPIRING, **TO_REFRESH)
    seed(sandbox, "fake", "imp-oauth2", metadata={}, end_user=person("u7", email="u7@example.com"))
    seed(sandbox, "basic", "imp-basic", {"type": "BASIC", "username": "good", "password": "p"}, metadata={})
    seed(sandbox, "apikey", API_KEY, {"type": "API_KEY", "apiKey": "good-key-1"}, **OF_USER_K)
    of_acme: dict[str, Any] = {"tags": {"tenant": "acme"}, "metadata": {}}
    seed(sandbox, "fake", "exp1", webhook_url_override=OVERRIDE, **of_acme)
    expired = {"type": "OAUTH2", "access_token": "AT", "expires_at": 1577836800.0}
    raw = {"type": "OAUTH2", "access_token": "AT", "expires_at": "2020-01-01T00:00:00.000Z"}
    seed(sandbox, "fake", "exp2", expired | {"raw": raw}, metadata={})
    for number in (851, 901, 951):
        tags = {"tenant": "t1", "project": "p1"}
        seed(sandbox, "bench", f"bench-0{number}", tags=tags, metadata={"n": number})


def seed(
    sandbox: Sandbox,
    integration: str,
    connection_id: str,
    credentials: dict[str, Any] | None = None,
    **more: Any,
) -> Connection:
    """Store a connection and let the provider know its credentials."""
    now = time.time()
    credentials = credentials or oauth2(connection_id, now + 3600)
    secret = credentials.get("access_token") or credentials.get("apiKey") or credentials["username"]
    sandbox.authorization_server.adopt(
        integration, "first", secret, credentials.get("expires_at"), credentials.get("refresh_token")
    )
    connection = Connection(
        sandbox.next_id(),
        connection_id,
        integration,
        credentials,
        created_at=now,
        updated_at=now,
        last_fetched_at=now,
    )
    return sandbox.store(evolve(connection, **more))


def oauth2(name: str, expires_at: float) -> dict[str, Any]:
    token, refresh = f"at_{name}", f"rt_{name}"
    raw = {
        "access_token": token,
        "token_type": "Bearer",
        "scope": "read write",
        "expires_in": 3600,
        "refresh_token": refresh,
        "expires_at": "2026-11-23T11:58:21.688Z",
    }
    tokens = {"access_token": token, "refresh_token": refresh, "expires_at": expires_at}
    return {"type": "OAUTH2"} | tokens | {"raw": raw}


def build(**more: Any) -> web.Application:
    """Build a sandbox with the recorded server's integrations and connections."""
    settings: dict[str, Any] = {"secret_key": KEY, "public_url": "http://127.0.0.1:3003"}
    settings |= {"callback_url": CALLBACK, "integrations": INTEGRATIONS}
    app = create_sandbox(**(settings | more))
    settle(app[SANDBOX])
    return app


async def open_session(client: Client, **body: Any) -> str:
    body = body or {"tags": {"tenant": "acme"}}
    path = "/connect/sessions/reconnect" if "connection_id" in body else "/connect/sessions"
    answer = await client.post(path, json=body, headers=AUTHORIZED)
    assert answer.status == 201, await answer.text()
    return str((await answer.json())["data"]["token"])


@frozen
class Authorization:
    """A flow that has begun: the provider's URL, and Nango's state in it."""

    url: str
    state: str

    @property
    def local(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}"


async def start(client: Client, integration: str, token: str) -> Authorization:
    path = f"/oauth/connect/{integration}"
    answer = await client.get(path, params={"connect_session_token": token}, allow_redirects=False)
    assert answer.status == 302, await answer.text()
    url = answer.headers["Location"]
    return Authorization(url, parse_qs(urlsplit(url).query)["state"][0])


async def decide(client: Client, authorization: Authorization, **form: str) -> dict[str, str]:
    """Answer the consent page; give the query with which the browser comes back."""
    form = {"decision": "authorize"} | form
    answer = await client.post(authorization.local, data=form, allow_redirects=False)
    assert answer.status == 303, await answer.text()
    return {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


async def authorize(client: Client, integration: str, /, account: str = "first", **body: Any) -> int:
    """Run a whole flow; give the callback's status."""
    flow = await start(client, integration, await open_session(client, **body))
    query = await decide(client, flow, account=account)
    return (await client.get("/oauth/callback", params=query)).status
