"""Which answers to a relayed callback are Nango's own: after those, nothing under the tags is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from adapters.nango.callback import read_callback
from adapters.nango.client import Answer
from domain.errors import GatewayNonsense, GatewayRefused, GatewayTimeout, GatewayUnavailable
from tests.contract.sandbox_world import Exchange, exchanges

if TYPE_CHECKING:
    from domain.errors import DomainError

RECORDED = [
    each for file in ("cookie", "oauth") for each in exchanges(file) if each.url.startswith("/oauth/callback")
]
SENTENCE = "<noscript>JavaScript is required to proceed with the authentication.</noscript>"
COMMENT = (
    "<!--\nNango OAuth flow callback. Read more about how to use it at: https://nango.example\n-->\n<html>"
)


def answer(status: int, body: str | bytes, **more: Any) -> Answer:
    text = body.encode() if isinstance(body, str) else body
    return Answer(status=status, headers=CIMultiDictProxy(CIMultiDict[str]()), body=text, **more)


def test_there_are_recordings_of_successes_and_of_failures() -> None:
    statuses = [each.status for each in RECORDED]
    assert (statuses.count(200), statuses.count(400)) == (4, 13)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_a_recorded_page_is_nangos(recorded: Exchange) -> None:
    error = recorded.body["__nangoOAuthError"]
    page = f"<html>{recorded.body['visible_text']}<script>window.__nangoOAuthError = {error};</script>"
    read_callback(answer(recorded.status, page))


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_a_recorded_page_is_known_by_what_can_be_seen_of_it(recorded: Exchange) -> None:
    read_callback(answer(recorded.status, recorded.body["visible_text"]))


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_a_recorded_page_is_known_by_its_error_object(recorded: Exchange) -> None:
    error = recorded.body["__nangoOAuthError"]
    read_callback(answer(recorded.status, f"<script>window.__nangoOAuthError={error}</script>"))


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "page",
    [
        f"{COMMENT}<title>Authorization callback</title>{SENTENCE}<div>You are now connected</div></html>",
        f"{COMMENT}<body>{SENTENCE}<script>window.authErrorType = 'state_error';</script></body></html>",
        f"<title>Authorization callback</title>{SENTENCE}<script>window.close()</script>",
        f"{COMMENT}</html>",
        "\ufeff<script>window.__nangoOAuthError = undefined</script>",
    ],
)
def test_the_page_of_an_older_or_a_later_nango_is_nangos(status: int, page: str) -> None:
    read_callback(answer(status, page))


def test_a_page_that_was_cut_is_known_by_its_beginning() -> None:
    read_callback(answer(400, COMMENT, cut=True))


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"code": "invalid_query_params", "errors": [{"code": "custom", "message": "m"}]}}',
        '{"error": {"code": "server_error", "message": "Unknown error"}}',
        '{"error": {"message": "m", "code": "invalid_credentials", "payload": {}}, "more": 1}',
    ],
)
def test_an_error_in_nangos_form_is_nangos(body: str) -> None:
    read_callback(answer(400, body))


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html><body>Welcome to nginx!</body></html>",
        "<html><head><title>Down for maintenance</title></head><p>We will be back soon.</p></html>",
        "<html><body><center><h1>400 Bad Request</h1></center><hr><center>nginx</center></body></html>",
        "<title>Just a moment...</title><noscript>Enable JavaScript and cookies to continue</noscript>",
        "null",
        "{}",
        "[]",
        '{"success": true}',
        '{"result": "ok"}',
        '{"message": "no Route matched with those values"}',
        '{"error": "invalid_request"}',
        '{"error": {"code": 400, "message": "Bad Request"}}',
        '{"error": {"code": "BadRequest"}}',
        '{"error": {"message": "m"}}',
        "[" * 100_000,
        b"\x1f\x8b\x08\x00\xff",
    ],
)
def test_anything_else_leaves_the_outcome_open(status: int, body: str | bytes) -> None:
    with pytest.raises(GatewayNonsense):
        read_callback(answer(status, body))


def test_an_error_does_not_come_with_success() -> None:
    with pytest.raises(GatewayNonsense):
        read_callback(answer(200, '{"error": {"code": "server_error"}}'))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, SENTENCE),
        (204, ""),
        (302, ""),
        (404, '{"error": {"code": "not_found"}}'),
        (404, '{"error": {"code": "not_found", "message": "Integration does not exist"}}'),
        (405, ""),
        (414, ""),
        (424, '{"error": {"code": "invalid_credentials"}}'),
        (500, '{"error": {"code": "invalid_credentials"}}'),
    ],
)
def test_a_status_that_nango_gives_no_callback_leaves_the_outcome_open(status: int, body: str) -> None:
    with pytest.raises(GatewayNonsense):
        read_callback(answer(status, body))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, GatewayRefused),
        (403, GatewayRefused),
        (429, GatewayUnavailable),
        (500, GatewayUnavailable),
        (502, GatewayTimeout),
        (503, GatewayUnavailable),
        (504, GatewayTimeout),
    ],
)
def test_an_outage_is_no_nonsense(status: int, error: type[DomainError]) -> None:
    with pytest.raises(error) as caught:
        read_callback(answer(status, "<html>"))
    assert type(caught.value) is error
