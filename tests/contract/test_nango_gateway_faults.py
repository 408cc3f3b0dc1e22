"""The gateway over real sockets, to a Nango that hangs, drops, drips and floods."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from adapters.nango.client import Deadlines, open_client_session
from adapters.nango.gateway import NangoGateway
from adapters.nango.retries import RetryBudget
from application.ports import Session
from domain.errors import (
    CredentialsRefused,
    CredentialsUnusable,
    DomainError,
    GatewayNonsense,
    GatewayTimeout,
    GatewayUnavailable,
    ProviderUnavailable,
)
from domain.provider import Identity
from tests.contract.gateway_contract import NOON
from tests.contract.nango_stand_in import Call, StandIn, forever, stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.contract.nango_stand_in import Behave

KEY = "11111111-1111-4111-8111-canary000000"
TOKEN = "nango_connect_session_canary"
SESSION = Session(token=TOKEN, connect_link="https://c.example", expires_at=NOON)
QUICK = Deadlines(connect=0.5, call=0.12, exchange=0.25, provider=0.1)
PATIENT = Deadlines(connect=30, call=30, exchange=30, provider=30)
NO_INTEGRATIONS = json.dumps({"data": []}).encode()


def _as_password(secret: str) -> str:
    return base64.b64encode(f"ada:{secret}".encode()).decode().rstrip("=")


async def _open(gateway: NangoGateway) -> Any:
    return await gateway.open_session(
        integration="slack", tags={}, connection_config={}, authorization_params={}, reconnect=None
    )


async def _import(gateway: NangoGateway) -> None:
    await gateway.import_credentials(
        integration="slack", nango_id="n", kind="API_KEY", credentials={}, connection_config={}, tags={}
    )


ONCE: dict[str, Callable[[NangoGateway], Awaitable[Any]]] = {
    "open_session": _open,
    "start_flow": lambda gateway: gateway.start_flow("slack", SESSION),
    "relay_callback": lambda gateway: gateway.relay_callback([("state", "s")], "oauth2-s=1"),
    "fetch": lambda gateway: gateway.fetch("slack", "n-1"),
    "refresh": lambda gateway: gateway.fetch("slack", "n-1", refresh=True),
    "call_provider": lambda gateway: gateway.call_provider("slack", "n", Identity(path="/x"), base_url=None),
    "import_credentials": _import,
}
REPEATED: dict[str, Callable[[NangoGateway], Awaitable[Any]]] = {
    "find_grants": lambda gateway: gateway.find_grants({"attempt": "a1"}),
    "any_grant": lambda gateway: gateway.any_grant({"deployment": "d1"}),
    "has_grant": lambda gateway: gateway.has_grant("slack", "n-1"),
    "delete": lambda gateway: gateway.delete("slack", "n-1"),
    "integrations": lambda gateway: gateway.integrations(),
}
ALL = ONCE | REPEATED


@asynccontextmanager
async def nango(
    behave: Behave, deadlines: Deadlines = PATIENT, **more: Any
) -> AsyncIterator[tuple[NangoGateway, StandIn]]:
    async with stand_in(behave) as server, open_client_session() as session:
        yield (
            NangoGateway(session, base_url=server.url, secret_key=KEY, deadlines=deadlines, **more),
            server,
        )


async def drop(call: Call) -> None:
    call.drop()


async def drip(call: Call) -> None:
    call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        call.writer.write(b" ")
        await call.writer.drain()
        await asyncio.sleep(0.02)


async def drop_halfway(call: Call) -> None:
    call.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"data": [')
    await call.writer.drain()
    call.drop()


async def garbage(call: Call) -> None:
    call.writer.write(b"\x16\x03\x01 I am no web server\r\n\r\n")
    await call.writer.drain()
    call.drop()


async def outage(call: Call) -> None:
    await call.answer(503, b"<html>")


@pytest.mark.parametrize("operation", sorted(set(ALL) - {"call_provider"}))
@pytest.mark.parametrize("behave", [forever, drip])
async def test_a_nango_that_takes_too_long_is_left(operation: str, behave: Behave) -> None:
    async with nango(behave, QUICK) as (gateway, _):
        with pytest.raises(GatewayTimeout):
            await ALL[operation](gateway)


@pytest.mark.parametrize("behave", [forever, drip])
async def test_a_provider_that_takes_too_long_is_the_providers_trouble(behave: Behave) -> None:
    async with nango(behave, QUICK) as (gateway, _):
        with pytest.raises(ProviderUnavailable):
            await ALL["call_provider"](gateway)


@pytest.mark.parametrize(
    ("operation", "seconds"), [("fetch", 0.12), ("refresh", 0.25), ("relay_callback", 0.25)]
)
async def test_a_refresh_and_a_relay_are_given_longer(operation: str, seconds: float) -> None:
    async with nango(forever, QUICK) as (gateway, _):
        began = time.monotonic()
        with pytest.raises(GatewayTimeout):
            await ALL[operation](gateway)
        assert time.monotonic() - began >= seconds * 0.9


async def test_a_nango_that_is_not_there_is_unavailable() -> None:
    async with stand_in(forever) as server:
        pass
    async with open_client_session() as session:
        gateway = NangoGateway(session, base_url=server.url, secret_key=KEY)
        with pytest.raises(GatewayUnavailable, match="cannot be reached") as caught:
            await gateway.integrations()
    assert "Connect call failed" in str(caught.value.why)
    assert str(caught.value) == "Nango cannot be reached. Try again."  # what callers are told


@pytest.mark.parametrize("operation", sorted(ONCE))
async def test_a_dropped_connection_is_not_tried_again(operation: str) -> None:
    async with nango(drop) as (gateway, server):
        with pytest.raises(GatewayUnavailable, match="broke the connection off"):
            await ONCE[operation](gateway)
        assert len(server.calls) == 1


@pytest.mark.parametrize("operation", ["refresh", "relay_callback", "import_credentials", "open_session"])
@pytest.mark.parametrize("behave", [drop, drop_halfway])
async def test_a_connection_that_breaks_leaves_open_whether_the_call_took_effect(
    operation: str, behave: Behave
) -> None:
    async with nango(behave) as (gateway, _):
        with pytest.raises(GatewayTimeout, match="broke the connection off"):
            await ONCE[operation](gateway)


@pytest.mark.parametrize("operation", ["find_grants", "delete", "call_provider"])
async def test_under_a_call_that_may_be_repeated_it_is_a_mere_outage(operation: str) -> None:
    async with nango(drop) as (gateway, _):
        with pytest.raises(GatewayUnavailable) as caught:
            await ALL[operation](gateway)
        assert type(caught.value) is GatewayUnavailable


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, GatewayUnavailable),
        (500, GatewayUnavailable),
        (502, GatewayTimeout),
        (503, GatewayUnavailable),
        (504, GatewayTimeout),
    ],
)
async def test_only_a_lost_answer_leaves_open_whether_nango_took_the_callback(
    status: int, error: type[DomainError]
) -> None:
    async def fail(call: Call) -> None:
        await call.answer(status)

    async with nango(fail) as (gateway, _):
        with pytest.raises(GatewayUnavailable) as caught:
            await ONCE["relay_callback"](gateway)
        assert type(caught.value) is error


async def test_a_refresh_on_a_connection_used_before_is_not_tried_again() -> None:
    async def first_well(call: Call) -> None:
        if call.number > 1:
            call.drop()
            return
        await call.answer(200, NO_INTEGRATIONS)

    async with nango(first_well) as (gateway, server):
        await gateway.integrations()
        with pytest.raises(GatewayUnavailable):
            await gateway.fetch("slack", "n-1", refresh=True)
        assert len(server.calls) == 2


@pytest.mark.parametrize("operation", sorted(REPEATED))
@pytest.mark.parametrize("behave", [drop, outage, drop_halfway])
async def test_a_read_is_tried_three_times(
    monkeypatch: pytest.MonkeyPatch, operation: str, behave: Behave
) -> None:
    monkeypatch.setattr("adapters.nango.retries.random.uniform", lambda _least, _most: 0.0)
    async with nango(behave) as (gateway, server):
        with pytest.raises(GatewayUnavailable):
            await REPEATED[operation](gateway)
        assert len(server.calls) == 3


@pytest.mark.parametrize("operation", sorted(set(ONCE) - {"call_provider"}))
async def test_what_is_no_read_is_not_tried_again_after_an_outage(operation: str) -> None:
    async with nango(outage) as (gateway, server):
        with pytest.raises(GatewayUnavailable):
            await ONCE[operation](gateway)
        assert len(server.calls) == 1


async def test_the_second_try_may_succeed() -> None:
    async def second_well(call: Call) -> None:
        await call.answer(200 if call.number > 1 else 502, NO_INTEGRATIONS)

    async with nango(second_well) as (gateway, _):
        assert await gateway.integrations() == []


async def test_a_wait_that_nango_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.nango.retries.random.uniform", lambda *_: 0.0)

    async def limited_once(call: Call) -> None:
        await call.answer(200 if call.number > 1 else 429, NO_INTEGRATIONS, "Retry-After: 0")

    async with nango(limited_once) as (gateway, _):
        began = time.monotonic()
        await gateway.integrations()
        assert time.monotonic() - began >= 0.25


async def test_a_wait_longer_than_the_deadline_is_left_to_the_caller() -> None:
    async def limited(call: Call) -> None:
        await call.answer(429, b'{"error": {"code": "too_many_request"}}', "Retry-After: 54")

    async with nango(limited) as (gateway, server):
        with pytest.raises(GatewayUnavailable) as caught:
            await gateway.integrations()
        assert (len(server.calls), caught.value.retry_after) == (1, 54)


async def test_a_refused_key_is_not_tried_again() -> None:
    async def refuse(call: Call) -> None:
        await call.answer(401, b'{"error": {"code": "unknown_account"}}')

    async with nango(refuse) as (gateway, server):
        with pytest.raises(GatewayUnavailable, match="unknown_account"):
            await gateway.integrations()
        assert len(server.calls) == 1


async def test_an_outage_is_not_multiplied() -> None:
    async with nango(outage, budget=RetryBudget(reserve=2, share=0.1)) as (gateway, server):
        calls = await asyncio.gather(*(gateway.integrations() for _ in range(50)), return_exceptions=True)
        assert all(isinstance(each, GatewayUnavailable) for each in calls)
        assert len(server.calls) <= 50 + 2 + 5


def test_a_spent_budget_fills_up_with_calls() -> None:
    budget = RetryBudget(reserve=1, share=0.5)
    assert budget.spend()
    budget.call()
    assert not budget.spend()
    budget.call()
    assert budget.spend()


def test_a_budget_never_holds_more_than_its_reserve() -> None:
    budget = RetryBudget(reserve=1, share=0.5)
    for _ in range(10):
        budget.call()
    assert [budget.spend(), budget.spend()] == [True, False]


async def test_a_flood_is_cut_off() -> None:
    sent = 0

    async def flood(call: Call) -> None:
        nonlocal sent
        call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(1600):
            call.writer.write(b" " * 65_536)
            await call.writer.drain()
            sent += 65_536

    async with nango(flood) as (gateway, _):
        with pytest.raises(GatewayNonsense):
            await gateway.integrations()
    assert sent < 30 * 1024 * 1024


async def test_a_flood_that_unpacks_is_cut_off() -> None:
    bomb = gzip.compress(b" " * 50_000_000)

    async def unpack(call: Call) -> None:
        await call.answer(200, bomb, "Content-Encoding: gzip")

    async with nango(unpack) as (gateway, _):
        with pytest.raises(GatewayNonsense):
            await gateway.integrations()


async def test_an_answer_that_is_too_long_is_nonsense_though_its_beginning_reads_well() -> None:
    async def pad(call: Call) -> None:
        await call.answer(200, NO_INTEGRATIONS + b" " * 2_000_000)

    async with nango(pad) as (gateway, _):
        with pytest.raises(GatewayNonsense, match="too long"):
            await gateway.integrations()


async def test_a_provider_may_not_talk_for_ever() -> None:
    async def talk(call: Call) -> None:
        await call.answer(200, b'"' + b"x" * 300_000 + b'"')

    async with nango(talk) as (gateway, _):
        with pytest.raises(GatewayNonsense, match="too long"):
            await ALL["call_provider"](gateway)


@pytest.mark.parametrize("operation", sorted(ALL))
async def test_what_is_not_http_is_nonsense(operation: str) -> None:
    async with nango(garbage) as (gateway, _):
        with pytest.raises(GatewayNonsense):
            await ALL[operation](gateway)


async def test_a_redirect_is_not_followed() -> None:
    async def away(call: Call) -> None:
        await call.answer(302, b"", "Location: /elsewhere")

    async with nango(away) as (gateway, server):
        with pytest.raises(GatewayNonsense):
            await gateway.integrations()
        assert [call.target for call in server.calls] == ["/integrations"]


async def test_an_id_that_fits_into_no_header_is_nonsense() -> None:
    async with nango(forever) as (gateway, server):
        with pytest.raises(GatewayNonsense):
            await gateway.call_provider("slack", "n\r\nX: y", Identity(path="/x"), base_url=None)
        assert server.calls == []


async def test_the_callbacks_query_is_passed_on_in_order_and_unharmed() -> None:
    async def done(call: Call) -> None:
        await call.answer(400, b"window.__nangoOAuthError = {}")

    async with nango(done) as (gateway, server):
        query = [("state", "s"), ("code", "4/0Ab+c=d&e#f"), ("x", "1"), ("x", "é ü"), ("realmId", "")]
        await gateway.relay_callback(query, "oauth2-s=1")
        assert server.calls[0].target == (
            "/oauth/callback?state=s&code=4%2F0Ab%2Bc%3Dd%26e%23f&x=1&x=%C3%A9%20%C3%BC&realmId="
        )
        assert server.calls[0].header("Cookie") == "oauth2-s=1"
        assert server.calls[0].header("Authorization") is None


async def test_half_a_character_in_the_callbacks_query_does_no_harm() -> None:
    async def done(call: Call) -> None:
        await call.answer(200, b"window.__nangoOAuthError = null")

    async with nango(done) as (gateway, server):
        await gateway.relay_callback([("state", "\ud800")], "")
        assert server.calls[0].target == "/oauth/callback?state=%3F"


async def test_the_providers_path_reaches_nango_as_it_stands() -> None:
    async def done(call: Call) -> None:
        await call.answer(200, b"{}")

    path = "/v3/company/${connectionConfig.realmId}/a%2Fb/../c d?q=1&r=a:b"
    async with nango(done) as (gateway, server):
        await gateway.call_provider("quickbooks", "n-1", Identity(path=path), base_url=None)
        assert server.calls[0].target == (
            "/proxy/v3/company/${connectionConfig.realmId}/a%2Fb/../c%20d?q=1&r=a:b"
        )


async def test_ids_reach_nango_as_one_segment() -> None:
    async def gone(call: Call) -> None:
        await call.answer(400, b'{"error": {"code": "unknown_connection"}}')

    async with nango(gone) as (gateway, server):
        await gateway.delete("a&b", "../x?y/#z")
        assert server.calls[0].target == "/connections/..%2Fx%3Fy%2F%23z?provider_config_key=a%26b"


async def test_no_cookie_outlives_its_flow() -> None:
    async def begin(call: Call) -> None:
        location = "Location: https://p.example/?state=s"
        await call.answer(302, b"", location, "Set-Cookie: other=1", "Set-Cookie: oauth2-s=1; Path=/")

    # By name: an ordinary cookie jar keeps nothing for plain addresses anyhow.
    async with stand_in(begin) as server, open_client_session() as session:
        url = server.url.replace("127.0.0.1", "localhost")
        gateway = NangoGateway(session, base_url=url, secret_key=KEY)
        flow = await gateway.start_flow("slack", SESSION)
        await gateway.start_flow("slack", SESSION)
    assert flow.cookie == "oauth2-s=1"
    assert server.calls[1].header("Cookie") is None


@pytest.mark.parametrize(
    ("operation", "behave"),
    [
        (operation, behave)
        for operation in sorted(ALL)
        for behave in (forever, drop, drip, garbage, drop_halfway, outage)
        # A provider's outage is its answer.
        if (operation, behave) != ("call_provider", outage)
    ],
)
async def test_no_exception_carries_a_secret(operation: str, behave: Behave) -> None:
    async with nango(behave, QUICK) as (gateway, _):
        with pytest.raises(DomainError) as caught:
            await ALL[operation](gateway)
        shown = "".join(traceback.format_exception(caught.value)) + _everything_about(caught.value)
        assert "canary" not in shown + repr(vars(gateway))


def _everything_about(error: BaseException | None) -> str:
    """Give every exception behind this one, also those that a traceback would not show."""
    shown = ""
    while error is not None:
        shown += f"{error!r} {error} {error.args!r} {vars(error)!r}"
        error = error.__cause__ or error.__context__
    return shown


@pytest.mark.parametrize("code", ["invalid_credentials", "connection_test_failed"])
@pytest.mark.parametrize("operation", sorted(ALL))
async def test_a_nango_that_repeats_our_key_does_not_give_it_away(operation: str, code: str) -> None:
    async with nango(_saying(code, f"You have said Bearer {KEY}")) as (gateway, _):
        # Not every call makes a refusal of it; the proxy takes it for the provider's answer.
        try:
            shown = repr(await ALL[operation](gateway))
        except DomainError as problem:
            shown = _everything_about(problem)
    assert "canary" not in shown


@pytest.mark.parametrize("written", [str, quote, _as_password])
@pytest.mark.parametrize("secret", ["canary0123456789", 'canary"\\0123456789'])
async def test_a_nango_that_repeats_a_credential_does_not_give_it_away(
    secret: str, written: Callable[[str], str]
) -> None:
    said = f"No key is {written(secret)}"
    async with nango(_saying("connection_test_failed", said)) as (gateway, _):
        with pytest.raises(CredentialsRefused) as caught:
            await gateway.import_credentials(
                integration="slack",
                nango_id="n",
                kind="API_KEY",
                credentials={"apiKey": secret},
                connection_config={},
                tags={},
            )
    shown = _everything_about(caught.value)
    assert "canary" not in shown
    assert _as_password(secret)[8:16] not in shown


async def test_a_token_that_nango_tells_of_is_struck_out_of_its_sentence() -> None:
    said = "The token ya29a0Canary4711Canary is expired or revoked."
    async with nango(_saying("invalid_credentials", said)) as (gateway, _):
        with pytest.raises(CredentialsUnusable, match=r"^The token \*\*\* is expired or revoked\.$"):
            await gateway.fetch("slack", "n-1", refresh=True)


def _saying(code: str, message: str) -> Behave:
    async def say(call: Call) -> None:
        await call.answer(400, json.dumps({"error": {"code": code, "message": message}}).encode())

    return say


async def test_every_call_is_observed() -> None:
    seen: list[tuple[str, str]] = []

    async def second_down(call: Call) -> None:
        await call.answer(200 if call.number == 1 else 503, NO_INTEGRATIONS)

    def observe(operation: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        seen.append((operation, outcome))

    async with nango(second_down, observe=observe) as (gateway, _):
        await gateway.integrations()
        with pytest.raises(GatewayUnavailable):
            await gateway.fetch("slack", "n-1", refresh=True)
    assert seen == [("integrations", "ok"), ("refresh", "gateway_unavailable")]
