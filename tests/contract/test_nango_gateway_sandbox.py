"""The contract over real HTTP: the gateway as it is, against the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest

from adapters.nango.client import open_client_session
from adapters.nango.gateway import NangoGateway
from adapters.sandbox.sandbox import SANDBOX, Sandbox
from adapters.sandbox.server import create_sandbox
from domain.errors import GatewayUnavailable
from tests.contract.gateway_contract import GatewayContract, Query, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp
    from pytest_aiohttp import AiohttpServer

    from application.ports import Flow

SECRET_KEY = "3b1f1f1e-6a5e-4c1b-9b1e-0c5a2f3d4e5f"


class SandboxWorld(World):
    bad_key: ClassVar[str] = "bad-key"

    def __init__(self, gateway: NangoGateway, sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.sandbox = sandbox
        self.browser = browser

    async def authorize(self, flow: Flow) -> Query:
        return await self._decide(flow, "authorize")

    async def deny(self, flow: Flow) -> Query:
        return await self._decide(flow, "deny")

    async def _decide(self, flow: Flow, decision: str) -> Query:
        async with self.browser.post(
            flow.authorization_url, data={"decision": decision}, allow_redirects=False
        ) as response:
            assert response.status == 303
            return parse_qsl(urlsplit(response.headers["Location"]).query)

    def refuse_refresh(self, nango_id: str) -> None:
        self.sandbox.fail("token_endpoint", "invalid_grant", connection_id=nango_id)

    def accept_refresh(self, nango_id: str) -> None:
        self.sandbox.heal()

    def end_backoff(self, nango_id: str) -> None:
        self.sandbox.end_backoff(nango_id)

    def exhaust(self, nango_id: str) -> None:
        self.sandbox.exhaust(nango_id)

    def drop_refresh_token(self, nango_id: str) -> None:
        self.sandbox.drop_refresh_token(nango_id)

    def expire(self, nango_id: str) -> None:
        self.sandbox.expire(nango_id)

    def forget(self, nango_id: str) -> None:
        self.sandbox.forget(nango_id)

    def revoke(self, nango_id: str) -> None:
        self.sandbox.revoke(nango_id)

    def speak_in_nangos_place(self, *, taken: bool) -> None:
        self.sandbox.fail("nango", "garbage", operation="finish_oauth", after=taken, times=1)


@pytest.fixture
async def world(aiohttp_server: AiohttpServer) -> AsyncIterator[SandboxWorld]:
    app = create_sandbox(
        secret_key=SECRET_KEY,
        public_url="http://127.0.0.1",
        callback_url="http://localhost:3000/oauth/callback",
    )
    server = await aiohttp_server(app)
    base_url = str(server.make_url("")).rstrip("/")
    app[SANDBOX].settings.public_url = base_url
    app[SANDBOX].settings.enforce_state_cookie = True
    async with open_client_session() as session:
        gateway = NangoGateway(session, base_url=base_url, secret_key=SECRET_KEY)
        yield SandboxWorld(gateway, app[SANDBOX], session)


class TestNangoGatewayOverSandbox(GatewayContract):
    """The contract."""

    async def test_a_refresh_is_asked_for_once(self, world: SandboxWorld) -> None:
        world.sandbox.fail("nango", "disconnect", operation="refresh_connection")
        with pytest.raises(GatewayUnavailable):
            await world.gateway.fetch("hubspot", "any", refresh=True)
        assert world.sandbox.calls.counts["refresh_connection"] == 1
