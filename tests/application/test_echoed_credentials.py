"""A provider that repeats the credentials it refuses, accepts or stumbles over: nobody gets to read them."""

from __future__ import annotations

import base64
import html
import json
import re
import traceback
from typing import Any
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from application.ports import ConnectionFilter, Health, ProviderAnswer, Verdict, without
from domain.connection import ERROR
from domain.errors import CredentialsRefused, GatewayNonsense, ProviderUnavailable
from domain.provider import Identity
from tests.application.service import catalogue_with
from tests.application.watch import KEY, WatchWorld
from tests.application.world import COMPANY

SECRET = 'ca/na+ry"4711\\<k&y>=='
TOKEN = "ya29.a0CanaryCanary4711canary-canary_4711"


@pytest.fixture
async def world() -> WatchWorld:
    return WatchWorld()


def _basic(before: str, after: str) -> str:
    return base64.b64encode(f"{before}{SECRET}{after}".encode()).decode()


ECHOES = {
    "as it is": SECRET,
    "percent-encoded": quote(SECRET, safe=""),
    "percent-encoded in a path": quote(SECRET),
    "percent-encoded in lower case": re.sub("%..", lambda octet: octet[0].lower(), quote(SECRET, safe="")),
    "as JSON within JSON": json.dumps(SECRET),
    "as HTML": html.escape(SECRET),
    "in base64": _basic("", ""),
    "as the user name": _basic("", ":"),
    "as the password": _basic("ada:", ""),
    "as the password of another": _basic("adas:", ""),
    "in base64 for addresses": base64.urlsafe_b64encode(b"\xff" + SECRET.encode()).decode(),
}


def _parts(text: str) -> set[str]:
    """Give each eight characters in a row, of which a secret of which nothing is told has none."""
    return {text[start : start + 8] for start in range(len(text) - 7)}


@pytest.mark.parametrize("written", ECHOES.values(), ids=ECHOES)
def test_a_secret_is_struck_out_however_a_text_holds_it(written: str) -> None:
    said = without({"message": f"Invalid API key: {written}, try again"}, [SECRET])
    assert said["message"].startswith("Invalid API key: ")
    assert not _parts(said["message"]) & _parts(written), said


@pytest.mark.parametrize("body", [[SECRET], {"a": [{"b": SECRET}]}, {SECRET: 1}, SECRET])
def test_a_secret_is_struck_out_wherever_an_answer_holds_it(body: Any) -> None:
    assert SECRET not in repr(without(body, [SECRET])).replace("\\\\", "\\")


def test_of_two_secrets_the_longer_is_struck_out_whole() -> None:
    assert without("no abcd1234efgh5678", ["abcd1234", "abcd1234efgh5678"]) == "no ***"
    assert without("no abcd-1234efgh5678", ["abcd", "abcd-1234efgh5678"]) == "no ***"


def test_a_short_secret_is_struck_out_where_it_is_no_part_of_a_word() -> None:
    assert without("bad key 'bad', badly", ["bad"]) == "*** key '***', badly"


def test_what_is_no_secret_stays() -> None:
    body = {"id": 7, "name": "Ada", "list": [None, True, 1.5, ""]}
    assert [without(body, secrets) for secrets in ([], [""], ["", SECRET])] == [body] * 3


def test_an_answer_nested_beyond_reason_is_none() -> None:
    body: Any = "x"
    for _ in range(5_000):
        body = [body]
    assert without(body, [SECRET]) is None


# ── on the way of a key ───────────────────────────────────────────────────────────────────────────────


async def everything(world: WatchWorld, *said: object) -> str:
    kept = (
        await world.store.list(COMPANY, ConnectionFilter(), limit=100, cursor=None),
        await world.store.events(COMPANY, None, limit=100, cursor=None),
    )
    return repr((said, kept, world.store._state))


def refusal(secret: str) -> ProviderAnswer:
    message = f"Invalid API key: {secret}"
    return ProviderAnswer(status=401, body={"error": {"message": message}, "detail": message})


@pytest.mark.parametrize("secret", ["canary-1", "sk_canary_4711"])
async def test_a_refused_key_is_not_repeated_to_its_caller(world: WatchWorld, secret: str) -> None:
    world.gateway.answer = refusal(secret)
    with capture_logs() as logs, pytest.raises(CredentialsRefused, match="Invalid API key: ") as refused:
        await world.by_key("stripe", {"apiKey": secret})
    await world.work_for(minutes=2)
    assert "canary" not in await everything(world, logs, str(refused.value))


async def test_a_refused_new_key_is_not_repeated_either(world: WatchWorld) -> None:
    connection = await world.by_key("pandadoc")
    world.gateway.answer = refusal("canary-2")
    with capture_logs() as logs, pytest.raises(CredentialsRefused, match="Invalid API key: ") as refused:
        await world.replace(connection.connection_id, {"apiKey": "canary-2"})
    assert "canary" not in await everything(world, logs, str(refused.value))


async def test_a_key_that_is_to_be_tried_later_is_not_repeated() -> None:
    identity = Identity(path="/me", healthy="response.ok", error_message="response.error")
    world = WatchWorld(providers=catalogue_with("stripe", identity=identity))
    world.gateway.answer = ProviderAnswer(status=200, body={"ok": False, "error": "slow down, canary-3"})
    with pytest.raises(ProviderUnavailable, match="slow down") as refused:
        await world.by_key("stripe", {"apiKey": "canary-3"})
    assert "canary" not in await everything(world, str(refused.value))


async def test_a_key_over_which_its_adapter_stumbles_is_in_no_traceback() -> None:
    identity = Identity(path="/me", account_id="abs(response.key)")
    world = WatchWorld(providers=catalogue_with("stripe", identity=identity))
    world.gateway.answer = ProviderAnswer(status=200, body={"key": KEY})
    with pytest.raises(GatewayNonsense) as refused:
        await world.by_key("stripe")
    assert "canary" not in "".join(traceback.format_exception(refused.value))


async def test_a_provider_that_names_the_account_by_its_key_does_not_have_it_kept(world: WatchWorld) -> None:
    world.gateway.answer = ProviderAnswer(status=200, body={"id": "acct_canary-4", "business_profile": {}})
    await world.by_key("stripe", {"apiKey": "canary-4"})
    assert "canary" not in await everything(world)


# ── later, when nobody knows the key any more ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "said",
    [
        f"Token {TOKEN} has expired",
        "Invalid API key: 123e4567-e89b-12d3-a456-426614174000",
        "Expired: sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "Basic c2tfdGVzdF80ZUMzOUhxTHlq was refused",
    ],
)
def test_what_looks_like_a_credential_is_struck_out_of_a_providers_reason(said: str) -> None:
    told = Verdict(health=Health.DEAD, reason=said).reason
    assert told is not None
    assert "***" in told
    assert not _parts(told) & (_parts(TOKEN) | _parts(said.rsplit(maxsplit=1)[-1]))


@pytest.mark.parametrize(
    "said",
    [
        "The access token expired at 2026-11-28T13:51:31.000Z",
        "invalid_authentication_credentials, AADSTS700016",
        "Request had invalid credentials. See https://developers.google.com/identity/sign-in/web",
        "Unknown subdomain acme-holding-international (1234567-sb1)",
    ],
)
def test_what_people_need_of_a_providers_reason_stays(said: str) -> None:
    assert Verdict(health=Health.DEAD, reason=said).reason == said


async def test_a_key_that_was_revoked_is_not_kept_with_the_error(world: WatchWorld) -> None:
    connection = await world.by_key("stripe", {"apiKey": "sk_canary_0123456789"})
    world.gateway.answer = refusal("sk_canary_0123456789")
    await world.verify(connection.connection_id)
    seen = await world.connection(connection.connection_id)
    assert (seen.status, seen.error_message) == (ERROR, "Invalid API key: ***")
    assert "canary" not in await everything(world)


async def test_a_key_that_is_to_be_looked_at_later_is_not_repeated() -> None:
    identity = Identity(path="/me", healthy="response.ok", error_message="response.error")
    world = WatchWorld(providers=catalogue_with("stripe", identity=identity))
    world.gateway.answer = ProviderAnswer(status=200, body={"ok": True})
    connection = await world.by_key()
    world.gateway.answer = ProviderAnswer(status=200, body={"ok": False, "error": f"slow down, {KEY}"})
    with pytest.raises(ProviderUnavailable, match=r"slow down, \*\*\*\)"):
        await world.verify(connection.connection_id)
