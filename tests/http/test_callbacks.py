"""Where browsers come back: nobody is authenticated, everything is hostile."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

import attrs
import pytest
from structlog.testing import capture_logs

from application.authorization_results import AuthorizationResult
from domain.errors import AuthorizationNotFound, GatewayUnavailable
from domain.redirect import RedirectUrl
from tests.http.conftest import NANGO
from tests.http.fakes import ID
from tests.http.raw import exchange

if TYPE_CHECKING:
    from tests.http.conftest import Client
    from tests.http.fakes import FakeUseCases

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
RELAY = "/oauth/callback"
REPORT = "/api/v1/connections/stripe/callback"
APP = RedirectUrl.parse("https://app.example/done?tab=1#top")

SUCCEEDED = AuthorizationResult(connection_id=ID, provider="stripe", outcome="succeeded")
FAILED = attrs.evolve(SUCCEEDED, outcome="failed", error="access_denied")
OVERTAKEN = attrs.evolve(FAILED, error="superseded")
PENDING = attrs.evolve(SUCCEEDED, outcome="pending")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?code=1",
        "?state=",
        "?state=550e8400-e29b-11d4-a716-446655440000&code=a%2fb%2Fc+d%20e&x=%zz&y=1;2&&z",
        "?state=CS_x",
        "?code=cs_x&state=other",
        "?state=a&state=b",
        "?code='\"<>{}|^`[]\\",
        "?code=%0d%0aSet-Cookie:%20a=b&state=x",
    ],
)
async def test_another_application_s_callback_is_passed_on_byte_for_byte(
    client: Client, fakes: FakeUseCases, query: str
) -> None:
    status, headers, _ = await exchange(client, f"GET {RELAY}{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    location = f"{NANGO}/oauth/callback{query}".lower()
    assert (status, headers["location"], fakes.complete_authorization.asked) == (307, location, [])


@pytest.mark.parametrize("path", [f"{RELAY}?state=cs_a", f"{REPORT}?success=true&connectionId={ID}"])
@pytest.mark.parametrize("result", [SUCCEEDED, FAILED, PENDING], ids=lambda result: result.outcome)
async def test_the_line_of_a_callback_names_the_connection_that_it_was_about(
    client: Client, fakes: FakeUseCases, path: str, result: AuthorizationResult
) -> None:
    fakes.complete_authorization.answer = fakes.report_authorization.answer = result
    with capture_logs() as lines:
        await client.get(path, allow_redirects=False)
    assert [line["connection_id"] for line in lines] == [ID]


@pytest.mark.parametrize("letter", [b"\xff", "é".encode()])
async def test_a_query_that_is_not_ascii_is_refused(client: Client, letter: bytes) -> None:
    head = b"GET /oauth/callback?state=" + letter + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    status, _, _ = await exchange(client, head)
    assert status == 400


async def test_a_query_of_very_many_parameters_is_refused(client: Client) -> None:
    query = "&".join(["state=x", *("a=b" for _ in range(100))])
    assert (await client.get(f"{RELAY}?{query}", allow_redirects=False)).status == 400


async def test_our_own_callback_is_handed_on_decoded_and_in_order(
    client: Client, fakes: FakeUseCases
) -> None:
    await client.get(f"{RELAY}?code=a%2Fb&realmId=1&realmId=2&empty=&state=cs_abc&text=two+words")
    assert fakes.complete_authorization.asked == [
        {
            "state": "cs_abc",
            "query": [
                ("code", "a/b"),
                ("realmId", "1"),
                ("realmId", "2"),
                ("empty", ""),
                ("state", "cs_abc"),
                ("text", "two words"),
            ],
        }
    ]


@pytest.mark.parametrize("query", ["state=cs_a&state=cs_a", "state=other&state=cs_a", "state=cs_a&state="])
async def test_a_repeated_state_is_refused(client: Client, fakes: FakeUseCases, query: str) -> None:
    assert (await client.get(f"{RELAY}?{query}")).status == 400
    assert fakes.complete_authorization.asked == []


async def test_what_a_provider_encodes_badly_does_not_stop_a_callback(client: Client) -> None:
    assert (await client.get(f"{RELAY}?state=cs_a&error_description=%E9")).status == 200


async def test_a_success_goes_to_the_app_with_its_query_kept(client: Client, fakes: FakeUseCases) -> None:
    fakes.complete_authorization.answer = attrs.evolve(SUCCEEDED, redirect_url=APP)
    answer = await client.get(f"{RELAY}?state=cs_a", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (
        303,
        f"https://app.example/done?tab=1&success=true&connectionId={ID}&provider=stripe#top",
    )


async def test_a_failure_goes_to_the_app_too(client: Client, fakes: FakeUseCases) -> None:
    fakes.complete_authorization.answer = attrs.evolve(FAILED, redirect_url=APP)
    answer = await client.get(f"{RELAY}?state=cs_a", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (
        303,
        f"https://app.example/done?tab=1&error=access_denied&connectionId={ID}#top",
    )


async def test_that_a_link_was_overtaken_is_told_to_the_app(client: Client, fakes: FakeUseCases) -> None:
    fakes.complete_authorization.answer = attrs.evolve(OVERTAKEN, redirect_url=APP)
    answer = await client.get(f"{RELAY}?state=cs_a", allow_redirects=False)
    assert f"&error=superseded&connectionId={ID}" in answer.headers["Location"]


MEANING = (
    "This link is not in use any more: another one was used first, or the connection was disconnected or "
    "deleted. Look at the connection in your application."
)


async def test_that_a_link_was_overtaken_is_explained_to_a_program(
    client: Client, fakes: FakeUseCases
) -> None:
    fakes.complete_authorization.answer = OVERTAKEN
    answer = await client.get(f"{RELAY}?state=cs_a")
    assert (answer.status, (await answer.json())["error"]) == (
        400,
        {"code": "BAD_REQUEST", "message": f"Authorization failed: superseded. {MEANING}"},
    )


async def test_a_person_whose_link_was_overtaken_is_not_told_that_nothing_is_connected(
    client: Client, fakes: FakeUseCases
) -> None:
    fakes.complete_authorization.answer = OVERTAKEN
    answer = await client.get(f"{RELAY}?state=cs_a", headers={"Accept": "text/html"})
    said = await answer.text()
    assert (answer.status, MEANING in said) == (400, True)
    assert "<h1>Not needed any more</h1>" in said
    assert "superseded" not in said


@pytest.mark.parametrize("error", ["<script>", "a b", "A", "x" * 65, "", None, "a\r\nb"])
async def test_no_error_but_oauth_s_own_reaches_the_app(
    client: Client, fakes: FakeUseCases, error: str | None
) -> None:
    fakes.complete_authorization.answer = attrs.evolve(FAILED, error=error, redirect_url=APP)
    answer = await client.get(f"{RELAY}?state=cs_a", allow_redirects=False)
    assert "error=unknown_error&" in answer.headers["Location"]


async def test_a_redirect_is_not_cached_and_tells_nobody_where_it_came_from(
    client: Client, fakes: FakeUseCases
) -> None:
    fakes.complete_authorization.answer = attrs.evolve(SUCCEEDED, redirect_url=APP)
    headers = (await client.get(f"{RELAY}?state=cs_a", allow_redirects=False)).headers
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")


@pytest.mark.parametrize("url", [f"{RELAY}?state=cs_a", f"{REPORT}?connectionId={ID}"])
@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        (SUCCEEDED, 200, "Your account is connected"),
        (FAILED, 400, "Authorization failed: access_denied"),
        (PENDING, 202, '<meta http-equiv="refresh" content="2">'),
        (attrs.evolve(PENDING, late=True), 202, "You can close this window. Your application will show"),
        (AuthorizationNotFound(), 404, "This authorization link is not known"),
        (GatewayUnavailable(), 503, "Nango does not answer"),
        (RuntimeError("secret"), 500, "Something went wrong on our side"),
    ],
)
async def test_a_person_gets_a_page(
    client: Client,
    fakes: FakeUseCases,
    url: str,
    outcome: AuthorizationResult | Exception,
    status: int,
    said: str,
) -> None:
    fakes.complete_authorization.answer = fakes.report_authorization.answer = outcome
    answer = await client.get(url, headers=BROWSER)
    assert (answer.status, answer.content_type) == (status, "text/html")
    assert said in await answer.text()


async def test_a_page_that_was_waited_at_for_long_does_not_load_itself_again(
    client: Client, fakes: FakeUseCases
) -> None:
    fakes.complete_authorization.answer = attrs.evolve(PENDING, late=True)
    page = await (await client.get(f"{RELAY}?state=cs_a", headers=BROWSER)).text()
    assert "http-equiv" not in page


@pytest.mark.parametrize("url", [f"{RELAY}?state=cs_a", f"{REPORT}?connectionId={ID}"])
async def test_a_person_who_was_refused_is_told_what_to_do(
    client: Client, fakes: FakeUseCases, url: str
) -> None:
    fakes.complete_authorization.answer = fakes.report_authorization.answer = FAILED
    page = await (await client.get(url, headers=BROWSER)).text()
    assert "Authorization failed: access_denied. Start again from your application." in page


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0, */*", "text/html;q=x", ""])
async def test_a_client_that_does_not_ask_for_a_page_gets_json(client: Client, accept: str) -> None:
    answer = await client.get(f"{RELAY}?state=cs_a", headers={"Accept": accept})
    assert answer.content_type == "application/json"


async def test_a_client_that_prefers_json_gets_json(client: Client) -> None:
    accept = "text/html;q=0.5, application/json"
    assert (await client.get(f"{RELAY}?state=cs_a", headers={"Accept": accept})).content_type == (
        "application/json"
    )


async def test_an_outcome_that_is_not_known_yet_is_accepted(client: Client, fakes: FakeUseCases) -> None:
    fakes.complete_authorization.answer = attrs.evolve(PENDING, redirect_url=APP)
    answer = await client.get(f"{RELAY}?state=cs_a")
    assert (answer.status, await answer.json()) == (
        202,
        {
            "success": True,
            "data": {
                "connectionId": ID,
                "provider": "stripe",
                "status": "pending",
                "message": "OAuth authorization is not confirmed yet",
            },
        },
    )


@pytest.mark.parametrize("outcome", [SUCCEEDED, FAILED, PENDING])
async def test_a_page_allows_nothing_but_its_own_style(
    client: Client, fakes: FakeUseCases, outcome: AuthorizationResult
) -> None:
    fakes.complete_authorization.answer = outcome
    answer = await client.get(f"{RELAY}?state=cs_a", headers=BROWSER)
    style = re.search("<style>(.*)</style>", await answer.text())
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert {name: answer.headers[name] for name in answer.headers if "-Policy" in name} == {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
    }
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == (
        "nosniff",
        "no-store",
    )


async def test_nothing_of_the_query_is_written_on_a_page(client: Client, fakes: FakeUseCases) -> None:
    fakes.complete_authorization.answer = FAILED
    answer = await client.get(f"{RELAY}?state=cs_canary&error=<b>canary&code=canary", headers=BROWSER)
    assert "canary" not in await answer.text()


async def test_what_is_written_on_a_page_is_escaped(client: Client, fakes: FakeUseCases) -> None:
    fakes.complete_authorization.answer = GatewayUnavailable("<script>alert(1)</script>")
    text = await (await client.get(f"{RELAY}?state=cs_a", headers=BROWSER)).text()
    assert ("<script>" in text, "&lt;script&gt;" in text) == (False, True)


# ── the reference's callback ──────────────────────────────────────────────────────────────────────────


async def test_a_report_is_handed_on(client: Client, fakes: FakeUseCases) -> None:
    await client.get(
        REPORT,
        params={"connectionId": ID, "success": "true", "redirectUrl": "https://app.example/", "utm": "1"},
    )
    assert fakes.report_authorization.asked == [
        {
            "provider": "stripe",
            "connection_id": ID,
            "error": None,
            "redirect_url": "https://app.example/",
        }
    ]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("success=true", None),
        ("", None),
        ("success=false", "unknown_error"),
        ("success=false&error=access_denied", "access_denied"),
        ("error=access_denied", "access_denied"),
        ("error=%3Cscript%3E", "unknown_error"),
        ("error=", None),
        ("success=false&error=%FF", "unknown_error"),
    ],
)
async def test_a_reported_error_is_passed_on_only_where_it_is_one(
    client: Client, fakes: FakeUseCases, query: str, error: str | None
) -> None:
    await client.get(f"{REPORT}?connectionId={ID}&{query}")
    assert fakes.report_authorization.asked[0]["error"] == error


@pytest.mark.parametrize(
    "query", ["", "?connectionId=", "?connectionId=conn_1", f"?connectionid={ID}", f"?connectionId={ID}%0A"]
)
async def test_a_report_of_no_connection_is_not_found(
    client: Client, fakes: FakeUseCases, query: str
) -> None:
    answer = await client.get(REPORT + query)
    assert (answer.status, fakes.report_authorization.asked) == (404, [])


@pytest.mark.parametrize(
    "query", ["success=yes", "success=TRUE", "success=", "success=true&success=true", f"connectionId={ID}"]
)
async def test_a_report_is_strict_with_what_is_ours(client: Client, fakes: FakeUseCases, query: str) -> None:
    answer = await client.get(f"{REPORT}?connectionId={ID}&{query}")
    assert (answer.status, fakes.report_authorization.asked) == (400, [])


async def test_a_report_ignores_what_is_not_ours_even_twice(client: Client) -> None:
    assert (await client.get(f"{REPORT}?connectionId={ID}&utm=1&utm=2")).status == 200


async def test_where_to_redirect_is_not_taken_from_the_query(client: Client) -> None:
    answer = await client.get(f"{REPORT}?connectionId={ID}&redirectUrl=https://evil.example/")
    assert (answer.status, "evil" in await answer.text()) == (200, False)
