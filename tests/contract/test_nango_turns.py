"""The gateway while as many calls as may be hang at Nango."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from adapters.nango.client import CALLS_AT_ONCE, Deadlines, open_client_session
from adapters.nango.gateway import NangoGateway
from domain.errors import GatewayUnavailable
from tests.contract.nango_stand_in import Call, stand_in

PATIENT_BUT_FOR_A_TURN = Deadlines(connect=0.2, call=5, exchange=5, provider=5)


async def test_a_call_that_got_no_turn_was_not_sent() -> None:
    reached = asyncio.Event()

    async def hang(_call: Call) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with (
        stand_in(hang) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
    ):
        gateway = NangoGateway(
            session, base_url=server.url, secret_key="key", deadlines=PATIENT_BUT_FOR_A_TURN
        )
        hanging = asyncio.ensure_future(gateway.fetch("slack", "n-1"))
        await reached.wait()
        with pytest.raises(GatewayUnavailable) as caught:
            await gateway.relay_callback([("state", "s")], "oauth2-s=1")
        hanging.cancel()
    assert type(caught.value) is GatewayUnavailable
    assert len(server.calls) == 1


async def test_calls_at_once_are_bounded() -> None:
    async with open_client_session() as session:
        assert session.connector is not None
        assert session.connector.limit == CALLS_AT_ONCE
