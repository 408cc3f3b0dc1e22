"""Webhooks: the recorded bodies and signatures, what is sent when, and the one repetition."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from attrs import define, field

from adapters.sandbox.webhooks import signatures
from tests.contract.sandbox_world import (
    AUTHORIZED,
    OIDC,
    RECORDED,
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
    from aiohttp.test_utils import TestServer
    from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

SIGNING_KEY = "c0b8fbd7-c20a-4c6a-a67d-99afbc9a7654"
END_USER = {"id": "user_1", "email": "u1@example.com", "display_name": "User One", "tags": {"plan": "pro"}}
ORGANIZATION = {"id": "org_1", "display_name": "Org One"}


def recorded(name: str) -> list[dict[str, Any]]:
    every = json.loads((RECORDED / "webhook.json").read_text(encoding="utf-8"))
    received: list[dict[str, Any]] = next(each["received"] for each in every if each["name"] == name)
    return received


def recorded_body(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(recorded(name)[-1]["raw_body"])
    return body


@define
class Receiver:
    """What arrives, and what is answered."""

    status: int = 200
    bodies: list[bytes] = field(factory=list)
    headers: list[dict[str, str]] = field(factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        return web.Response(status=self.status)

    async def next(self, count: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while len(self.bodies) < count:  # noqa: ASYNC110 - what is waited for happens in a request
                await asyncio.sleep(0.005)
        body: dict[str, Any] = json.loads(self.bodies[count - 1])
        return body


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def receiving(receiver: Receiver, aiohttp_server: AiohttpServer) -> TestServer:
    app = web.Application()
    app.router.add_post("/webhook", receiver.receive)
    return await aiohttp_server(app)


@pytest.fixture
async def client(receiving: TestServer, aiohttp_client: AiohttpClient) -> Client:
    client = await aiohttp_client(
        build(
            webhook_url=str(receiving.make_url("/webhook")),
            webhook_key=SIGNING_KEY,
            webhook_on_creation=True,
            webhook_on_refresh_error=True,
        )
    )
    sandbox_of(client).settings.webhook_retry_after = 0.01
    return client


def anonymous(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out the id, which Nango chooses."""
    return {key: value for key, value in body.items() if key != "connectionId"}


def test_the_signatures_are_the_recorded_ones() -> None:
    (received,) = recorded("webhook-60-after-rotate")

    made = signatures(SIGNING_KEY, received["raw_body"].encode())

    assert made == {name: received["headers"][name] for name in made}


async def test_a_delivery_is_signed(client: Client, receiver: Receiver) -> None:
    await authorize(client, "oidc")
    await receiver.next()

    assert receiver.headers[0].items() >= signatures(SIGNING_KEY, receiver.bodies[0]).items()


async def test_the_keys_of_a_body_are_sorted_as_recorded(client: Client, receiver: Receiver) -> None:
    await authorize(client, "oidc", tags={"tenant": "acme"}, end_user=END_USER, organization=ORGANIZATION)
    sent = await receiver.next()

    (received,) = recorded("webhook-01-auth-creation")
    recorded_id = json.loads(received["raw_body"])["connectionId"]
    assert receiver.bodies[0].decode() == received["raw_body"].replace(recorded_id, sent["connectionId"])


async def test_a_denial_is_a_failed_creation_without_tags(client: Client, receiver: Receiver) -> None:
    flow = await start(client, "fake", await open_session(client))
    await client.get("/oauth/callback", params=await decide(client, flow, decision="deny"))

    assert anonymous(await receiver.next()) == anonymous(recorded_body("webhook-02-auth-denied"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("server_error", "webhook-03-token-500"),
        ("empty", "webhook-03-token-empty"),
        ("html", "webhook-03-token-html"),
        ("invalid_client", "webhook-03-token-invalid_client"),
        ("invalid_grant", "webhook-03-token-invalid_grant"),
    ],
)
async def test_a_failed_exchange_is_told_as_recorded(
    client: Client, receiver: Receiver, kind: str, name: str
) -> None:
    sandbox_of(client).fail("token_endpoint", kind)
    await authorize(client, "fake")

    assert anonymous(await receiver.next()) == anonymous(recorded_body(name))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("invalid_grant", "webhook-10-refresh-failed"),
        ("rate_limited", "webhook-13-refresh-429"),
        ("server_error", "webhook-13-refresh-500"),
        ("html", "webhook-13-refresh-html"),
        ("empty", "webhook-13-refresh-empty"),
    ],
)
async def test_a_failed_refresh_is_told_as_recorded(
    client: Client, receiver: Receiver, kind: str, name: str
) -> None:
    sandbox_of(client).fail("token_endpoint", kind)
    await force(client)

    assert await receiver.next() == recorded_body(name)


async def test_a_reconnect_is_an_override(client: Client, receiver: Receiver) -> None:
    await authorize(client, "oidc", connection_id=OIDC, integration_id="oidc")

    assert await receiver.next() == recorded_body("webhook-20-reconnect-override")


async def test_a_reconnect_names_the_new_end_user(client: Client, receiver: Receiver) -> None:
    more: dict[str, Any] = {"tags": {"tenant": "newtenant"}, "end_user": {"id": "user_9"}}
    await authorize(client, "oidc", connection_id=OIDC, integration_id="oidc", **more)

    assert await receiver.next() == recorded_body("webhook-21-reconnect-tags")


async def test_a_denied_reconnect_is_a_failed_creation_of_the_same_id(
    client: Client, receiver: Receiver
) -> None:
    token = await open_session(client, connection_id=REFRESHED, integration_id="fake")
    flow = await start(client, "fake", token)
    await client.get("/oauth/callback", params=await decide(client, flow, decision="deny"))

    assert await receiver.next() == recorded_body("webhook-22-reconnect-denied")


async def test_an_import_is_a_creation(client: Client, receiver: Receiver) -> None:
    await put(client, "apikey", "imp-key", {"type": "API_KEY", "apiKey": "good-1"}, tags={"tenant": "acme"})

    assert await receiver.next() == recorded_body("webhook-32-import-apikey")


async def test_an_import_over_another_is_an_override(client: Client, receiver: Receiver) -> None:
    await put(client, "fake", "imp-oauth2", {"type": "OAUTH2", "access_token": "AT2"})

    assert await receiver.next() == recorded_body("webhook-31-import-override")


async def test_an_override_is_sent_though_creations_are_not(client: Client, receiver: Receiver) -> None:
    sandbox_of(client).settings.webhook_on_creation = False
    await put(client, "apikey", "off1", {"type": "API_KEY", "apiKey": "good"})
    await put(client, "apikey", "off1", {"type": "API_KEY", "apiKey": "good"})

    assert await receiver.next() == recorded_body("webhook-61-flags-off")


async def test_a_server_error_is_tried_once_more(client: Client, receiver: Receiver) -> None:
    receiver.status = 500
    await put(client, "apikey", "wh1", {"type": "API_KEY", "apiKey": "good"})

    assert await receiver.next(2) == recorded_body("webhook-50-retries-on-500")


async def test_a_client_error_is_not_tried_again(client: Client, receiver: Receiver) -> None:
    receiver.status = 404
    await put(client, "apikey", "wh2", {"type": "API_KEY", "apiKey": "good"})
    await receiver.next()
    receiver.status = 200

    await put(client, "apikey", "wh3", {"type": "API_KEY", "apiKey": "good"})

    assert (await receiver.next(2))["connectionId"] == "wh3"


async def test_an_override_address_takes_the_place_of_the_usual_one(
    client: Client, receiver: Receiver, receiving: TestServer
) -> None:
    sandbox_of(client).settings.webhook_url = None
    await authorize(
        client, "fake", tags={"tenant": "ov"}, webhook_url_override=str(receiving.make_url("/webhook"))
    )

    assert anonymous(await receiver.next()) == anonymous(
        recorded_body("webhook-91-success-with-override-url")
    )


async def force(client: Client) -> None:
    query = {"provider_config_key": "fake", "force_refresh": "true"}
    await client.get(f"/connections/{REFRESHED}", params=query, headers=AUTHORIZED)


async def put(
    client: Client, integration: str, connection_id: str, credentials: dict[str, Any], **more: Any
) -> None:
    body = {"provider_config_key": integration, "connection_id": connection_id, "credentials": credentials}
    answer = await client.post("/connections", json=body | more, headers=AUTHORIZED)
    assert answer.status == 201
