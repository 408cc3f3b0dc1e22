"""Nango's webhooks: the raw bytes and their one signature are handed on, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from multidict import CIMultiDict

from domain.errors import WebhookRefused

if TYPE_CHECKING:
    from tests.http.conftest import Client
    from tests.http.fakes import FakeUseCases

URL = "/api/v1/webhooks/nango"
SIGNATURE = "X-Nango-Hmac-Sha256"
BODY = b'{"type": "auth",\r\n "a": 1, "a": 2}\xff\n'


async def test_the_bytes_are_handed_on_as_they_came(client: Client, fakes: FakeUseCases) -> None:
    answer = await client.post(URL, data=BODY, headers={SIGNATURE: "abc"})
    assert (answer.status, fakes.receive_webhook.asked) == (200, [{"body": BODY, "signature": "abc"}])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(SIGNATURE, "abc"), (SIGNATURE, "abc")],
        [("X-Nango-Signature", "abc")],
    ],
)
async def test_what_has_not_one_signature_has_none(
    client: Client, fakes: FakeUseCases, headers: list[tuple[str, str]]
) -> None:
    await client.post(URL, data=BODY, headers=CIMultiDict(headers))
    assert fakes.receive_webhook.asked == [{"body": BODY, "signature": None}]


async def test_a_wrong_signature_is_unauthorized(client: Client, fakes: FakeUseCases) -> None:
    fakes.receive_webhook.answer = WebhookRefused()
    answer = await client.post(URL, data=BODY, headers={SIGNATURE: "abc"})
    assert (answer.status, (await answer.json())["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_a_webhook_that_is_too_large_is_not_read(client: Client, fakes: FakeUseCases) -> None:
    answer = await client.post(URL, data=b"x" * 140_000, headers={SIGNATURE: "abc"})
    assert (answer.status, fakes.receive_webhook.asked) == (413, [])
