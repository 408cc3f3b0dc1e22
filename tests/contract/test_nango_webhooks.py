"""Nango's webhooks as they were recorded, and bodies that nobody should ever send."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from adapters.nango.webhooks import NangoNotices
from application.ports import Notice
from domain.errors import WebhookRefused
from tests.contract.sandbox_world import RECORDED

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "c0b8fbd7-c20a-4c6a-a67d-99afbc9a7654"
"""The signing key after the rotation that was recorded, throw-away like all of them."""

Received = tuple[str, bytes, str]


def recorded() -> Sequence[Received]:
    """Every webhook received: its recording, its raw body, its signature."""
    every = json.loads((RECORDED / "webhook.json").read_text(encoding="utf-8"))
    return [
        (each["name"], received["raw_body"].encode(), received["headers"]["X-Nango-Hmac-Sha256"])
        for each in every
        for received in each["received"]
    ]


EVERY = recorded()
AFTER_ROTATION = [
    each for each in EVERY if hmac.new(KEY.encode(), each[1], hashlib.sha256).hexdigest() == each[2]
]


def signed(body: bytes, key: str = KEY) -> str:
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def read(body: bytes | dict[str, Any]) -> Notice | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return NangoNotices([KEY]).read(raw, signed(raw))


def notice_of(name: str) -> Notice | None:
    body = next(body for recording, body, _ in EVERY if recording == name)
    return read(body)


def told(**changes: Any) -> dict[str, Any]:
    """A webhook that is a reason to look."""
    body = {"type": "auth", "operation": "override", "success": True}
    return {**body, "connectionId": "id", "providerConfigKey": "stripe", **changes}


# ── as recorded ───────────────────────────────────────────────────────────────────────────────────────


def test_there_are_recordings_under_a_known_key() -> None:
    assert len(AFTER_ROTATION) >= 5


@pytest.mark.parametrize("received", AFTER_ROTATION, ids=lambda received: received[0])
def test_a_recorded_signature_fits(received: Received) -> None:
    _, body, signature = received
    assert NangoNotices([KEY]).read(body, signature) is not None


@pytest.mark.parametrize("received", AFTER_ROTATION, ids=lambda received: received[0])
def test_a_recorded_signature_fits_only_its_own_bytes(received: Received) -> None:
    _, body, signature = received
    with pytest.raises(WebhookRefused):
        NangoNotices([KEY]).read(body + b" ", signature)


def test_a_signature_of_before_the_rotation_does_not_fit_any_more() -> None:
    _, body, signature = EVERY[0]
    with pytest.raises(WebhookRefused):
        NangoNotices([KEY]).read(body, signature)


def test_the_older_signature_is_none() -> None:
    body = AFTER_ROTATION[0][1]
    with pytest.raises(WebhookRefused):
        NangoNotices([KEY]).read(body, hashlib.sha256(KEY.encode() + body).hexdigest())


@pytest.mark.parametrize("received", EVERY, ids=lambda received: received[0])
def test_every_recorded_webhook_is_a_reason_to_look_at_its_connection(received: Received) -> None:
    body = json.loads(received[1])
    notice = read(received[1])
    assert notice is not None
    assert (notice.nango_id, notice.integration) == (body["connectionId"], body["providerConfigKey"])
    assert notice.trouble is (not body["success"])


@pytest.mark.parametrize(
    ("name", "trouble", "well"),
    [
        ("webhook-01-auth-creation", False, True),
        ("webhook-02-auth-denied", True, False),
        ("webhook-10-refresh-failed", True, False),
        ("webhook-21-reconnect-tags", False, False),
        ("webhook-22-reconnect-denied", True, False),
        ("webhook-31-import-override", False, False),
    ],
)
def test_what_a_recorded_webhook_tells(name: str, trouble: bool, well: bool) -> None:
    notice = notice_of(name)
    assert notice is not None
    assert (notice.trouble, notice.well) == (trouble, well)


def test_a_failed_creation_names_no_attempt() -> None:
    notice = notice_of("webhook-22-reconnect-denied")
    assert notice is not None
    assert notice.attempt_id is None


# ── as newer servers may send them ────────────────────────────────────────────────────────────────────


def test_the_attempt_is_read_off_the_tags() -> None:
    assert read(told(tags={"attempt": "attempt-1", "company": "acme"})) == Notice(
        integration="stripe", nango_id="id", attempt_id="attempt-1"
    )


def test_a_successful_refresh_tells_that_it_works() -> None:
    notice = read(told(operation="refresh"))
    assert notice is not None
    assert (notice.trouble, notice.well) == (False, True)


@pytest.mark.parametrize("operation", ["deletion", "something_new", ""])
def test_an_unknown_operation_is_a_reason_to_look(operation: str) -> None:
    assert read(told(operation=operation)) is not None


def test_unknown_fields_do_not_matter() -> None:
    assert read(told(extra={"deep": [1, {"a": None}]}, error={"type": "x", "description": "y"})) is not None


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["old", "new"])
def test_during_a_rotation_both_keys_fit(key: str) -> None:
    body = json.dumps(told()).encode()
    assert NangoNotices(["old", "new"]).read(body, signed(body, key)) is not None


@pytest.mark.parametrize("signature", [None, "", "0" * 64, "é", "\udcff", "\0", "x" * 100_000])
@pytest.mark.parametrize("keys", [[], ["old"], ["old", "new"]])
def test_what_no_key_made_is_refused(keys: list[str], signature: str | None) -> None:
    with pytest.raises(WebhookRefused):
        NangoNotices(keys).read(b"{}", signature)


def test_a_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("adapters.nango.webhooks.hmac.compare_digest", compare)
    with pytest.raises(WebhookRefused):
        NangoNotices([KEY, "another"]).read(b"{}", "0" * 64)
    assert compared == [(b"0" * 64, signed(b"{}", key).encode()) for key in (KEY, "another")]


def test_without_keys_the_signature_of_an_empty_key_is_refused() -> None:
    with pytest.raises(WebhookRefused):
        NangoNotices([]).read(b"{}", signed(b"{}", ""))


# ── hostile, though signed ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"null",
        b"true",
        b"7",
        b'"auth"',
        b"[]",
        b"{}",
        b"{",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"type":"auth"} trailing',
        b'{"type":NaN}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"type":"auth","extra":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b"9" * 5_000,
        b'{"type":"\\ud800"}',
        b'{"type":"\xff"}',
    ],
    ids=range(19),
)
def test_what_is_no_webhook_is_no_reason_to_look(body: bytes) -> None:
    assert read(body) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "sync"},
        {"type": "forward", "payload": {"any": "thing"}},
        {"type": None},
        {"type": ["auth"]},
        {"connectionId": ""},
        {"connectionId": None},
        {"connectionId": 7},
        {"connectionId": {"a": 1}},
        {"connectionId": "a\0b"},
        {"connectionId": "é"},
        {"connectionId": "a\nb"},
        {"connectionId": "a" * 256},
        {"providerConfigKey": ""},
        {"providerConfigKey": "\0"},
        {"success": "yes"},
        {"success": None},
        {"operation": 7},
        {"tags": []},
        {"tags": {"attempt": 7}},
        {"tags": {"attempt": "a\0b"}},
        {"tags": "attempt"},
    ],
    ids=str,
)
def test_fields_of_the_wrong_type_are_no_reason_to_look(changes: dict[str, Any]) -> None:
    assert read(told(**changes)) is None


def test_of_a_field_given_twice_the_last_counts_as_for_nango_itself() -> None:
    body = json.dumps(told())[:-1] + ', "connectionId": "other"}'
    notice = read(body.encode())
    assert notice is not None
    assert notice.nango_id == "other"
