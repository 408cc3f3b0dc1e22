"""The browser's way back: once, many times at once, through Nango alone, or never from us at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.e2e.journeys import APP, ask, connect, eventually, result_in, with_query
from tests.e2e.sandbox_process import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.journeys import Browser, Company, Nango
    from tests.e2e.world import World

import pytest

INTEGRATION = "stripe-app"


async def test_the_same_callback_twenty_times_at_once_is_one_authorization(
    company: Company, browser: Browser, nango: Nango, second: str
) -> None:
    started = (await company.auth_url("stripe")).data
    callback = await browser.consent(started["authUrl"])
    await nango.fail("token_endpoint", delay=0.3, integration=INTEGRATION)
    answers = await asyncio.gather(
        *(browser.visit(callback, at=base) for base in [company.base, second] * 10)
    )
    assert {(answer.status, answer.location) for answer in answers} == {
        (303, f"{APP}?success=true&connectionId={started['connectionId']}&provider=stripe")
    }
    assert (await nango.calls())["token_exchange"] == 1
    assert (await company.events_of(started["connectionId"])).count("authorized") == 1


async def test_a_callback_loaded_again_gets_the_first_answer(
    company: Company, browser: Browser, nango: Nango, second: str
) -> None:
    started = (await company.auth_url("stripe")).data
    callback = await browser.consent(started["authUrl"])
    answers = [await browser.visit(callback, at=base) for base in [company.base, second] * 5]
    assert {(answer.status, answer.location) for answer in answers} == {
        (303, f"{APP}?success=true&connectionId={started['connectionId']}&provider=stripe")
    }
    assert (await nango.calls())["finish_oauth"] == 1
    assert (await company.events_of(started["connectionId"])).count("authorized") == 1


async def test_a_denied_callback_loaded_again_gets_the_first_answer(
    company: Company, browser: Browser, nango: Nango
) -> None:
    started = (await company.auth_url("stripe")).data
    callback = await browser.consent(started["authUrl"], decision="deny")
    answers = [await browser.visit(callback) for _ in range(3)]
    assert {answer.location for answer in answers} == {
        f"{APP}?error=access_denied&connectionId={started['connectionId']}"
    }
    assert (await company.events_of(started["connectionId"])).count("authorization_failed") == 1


async def test_of_two_auth_urls_the_first_that_comes_back_wins(
    company: Company, browser: Browser, nango: Nango
) -> None:
    one, two = (await company.auth_url("stripe")).data, (await company.auth_url("stripe")).data
    connection_id = one["connectionId"]
    assert two["connectionId"] == connection_id
    callbacks = [await browser.consent(started["authUrl"]) for started in (two, one)]
    first, late = [result_in((await browser.visit(callback)).location) for callback in callbacks]
    assert first == {"success": "true", "connectionId": connection_id, "provider": "stripe"}
    assert late == {"error": "superseded", "connectionId": connection_id}
    assert len(await nango.of(connection_id)) == 1


async def test_two_authorizations_that_come_back_at_once_leave_one_account_at_nango(
    company: Company, browser: Browser, nango: Nango, second: str
) -> None:
    one, two = (await company.auth_url("stripe")).data, (await company.auth_url("stripe")).data
    callbacks = [await browser.consent(started["authUrl"]) for started in (one, two)]
    await nango.fail("token_endpoint", delay=0.3, integration=INTEGRATION)
    answers = await asyncio.gather(browser.visit(callbacks[0]), browser.visit(callbacks[1], at=second))
    results = [result_in(answer.location) for answer in answers]
    assert sorted(result.get("error", "success") for result in results) == ["success", "superseded"]
    assert len(await nango.of(one["connectionId"])) == 1


async def test_a_denied_authorization_leaves_its_sibling_open(company: Company, browser: Browser) -> None:
    one, two = (await company.auth_url("stripe")).data, (await company.auth_url("stripe")).data
    await browser.authorize(one["authUrl"], decision="deny")
    back = await browser.authorize(two["authUrl"])
    assert result_in(back.location)["success"] == "true"
    assert await company.status_of(one["connectionId"]) == "active"


async def test_a_state_of_ours_that_nobody_knows_is_not_found(browser: Browser, company: Company) -> None:
    answer = await browser.visit(f"{company.base}/oauth/callback?code=x&state=cs_{'A' * 43}")
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(("taken", "status", "then"), [(True, 303, "active"), (False, 202, "pending")])
async def test_a_page_that_is_not_nango_s_fails_nobody(
    company: Company, browser: Browser, nango: Nango, *, taken: bool, status: int, then: str
) -> None:
    started = (await company.auth_url("stripe")).data
    callback = await browser.consent(started["authUrl"])
    await nango.fail("nango", "garbage", operation="finish_oauth", after=taken, times=1)
    assert (await browser.visit(callback)).status == status
    assert await company.status_of(started["connectionId"]) == then


async def test_another_application_s_callback_is_passed_on_to_nango(
    company: Company, browser: Browser, nango: Nango
) -> None:
    session = await ask(
        browser.session,
        "POST",
        f"{nango.url}/connect/sessions",
        headers={"Authorization": f"Bearer {SECRET_KEY}"},
        json={"tags": {"connection": f"theirs-of-{company.id}"}},
    )
    start = with_query(
        f"{nango.url}/oauth/connect/{INTEGRATION}", connect_session_token=session.json["data"]["token"]
    )
    begun = await browser.visit(start)
    callback = await browser.consent(begun.location)
    passed_on = await browser.visit(callback)
    assert (passed_on.status, passed_on.location) == (
        307,
        f"{nango.url}/oauth/callback?{urlsplit(callback).query}",
    )
    assert (await browser.visit(passed_on.location)).status == 200
    assert len(await nango.of(f"theirs-of-{company.id}")) == 1


@pytest.fixture
async def no_relay(nango: Nango, world: World) -> AsyncIterator[None]:
    """Nango's callback URL is its own, as before anybody sets it."""
    await nango.set(callback_url=f"{nango.url}/oauth/callback")
    yield
    await nango.set(callback_url=f"{world.public_url}/oauth/callback")


@pytest.mark.usefixtures("no_relay")
async def test_without_the_relay_the_poll_finds_the_authorization(
    company: Company, browser: Browser, world: World
) -> None:
    started = (await company.auth_url("stripe")).data
    ended = await browser.authorize(started["authUrl"])
    assert (ended.status, b"Successful connection" in ended.body) == (200, True)
    await world.let_time_pass(started["connectionId"])

    async def active() -> bool:
        return await company.status_of(started["connectionId"]) == "active"

    await eventually(active)


@pytest.mark.usefixtures("no_relay")
async def test_without_the_relay_nango_s_own_state_stays(company: Company) -> None:
    started = (await company.auth_url("stripe")).data
    [state] = parse_qs(urlsplit(started["authUrl"]).query)["state"]
    assert not state.startswith("cs_")


@pytest.mark.usefixtures("no_relay")
async def test_without_the_relay_the_reference_s_callback_finds_the_authorization(
    company: Company, browser: Browser
) -> None:
    started = (await company.auth_url("stripe")).data
    await browser.authorize(started["authUrl"])
    told = await browser.visit(
        with_query(
            f"{company.base}/api/v1/connections/stripe/callback",
            connectionId=started["connectionId"],
            success="true",
        )
    )
    assert told.location == f"{APP}?success=true&connectionId={started['connectionId']}&provider=stripe"


async def with_nango_s_sdk(company: Company, browser: Browser, nango: Nango) -> str:
    """Open a connect session for a front end that runs Nango's SDK; give the connection's id."""
    created = (await company.post("/connections", {"name": "By SDK", "provider": "stripe"})).data
    opened = await company.post(f"/connections/{created['id']}/connect-session")
    assert opened.status == 201, opened.body
    start = with_query(f"{nango.url}/oauth/connect/{INTEGRATION}", connect_session_token=opened.data["token"])
    callback = await browser.consent((await browser.visit(start)).location)
    await browser.visit((await browser.visit(callback)).location)
    return str(created["id"])


async def test_a_connect_session_is_completed_by_the_reference_s_callback(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await with_nango_s_sdk(company, browser, nango)
    assert await company.status_of(connection_id) == "pending"
    told = await browser.visit(
        with_query(
            f"{company.base}/api/v1/connections/stripe/callback", connectionId=connection_id, success="true"
        )
    )
    assert (told.status, told.data["status"]) == (200, "active")
    assert await company.status_of(connection_id) == "active"


async def test_a_connect_session_is_completed_by_the_poll(
    company: Company, browser: Browser, nango: Nango, world: World
) -> None:
    connection_id = await with_nango_s_sdk(company, browser, nango)
    await world.let_time_pass(connection_id)

    async def active() -> bool:
        return await company.status_of(connection_id) == "active"

    await eventually(active)


async def open_session(company: Company) -> str:
    created = (await company.post("/connections", {"name": "By SDK", "provider": "stripe"})).data
    assert (await company.post(f"/connections/{created['id']}/connect-session")).status == 201
    return str(created["id"])


@pytest.mark.parametrize("told", [{"success": "true"}, {"success": "false"}, {"error": "access_denied"}, {}])
async def test_what_a_callback_claims_changes_nothing(
    company: Company, browser: Browser, told: dict[str, str]
) -> None:
    connection_id = await open_session(company)
    before = await company.get(f"/connections/{connection_id}")
    await browser.visit(
        with_query(f"{company.base}/api/v1/connections/stripe/callback", connectionId=connection_id, **told)
    )
    assert (await company.get(f"/connections/{connection_id}")).body == before.body


async def test_a_thousand_forged_callbacks_cost_nango_five_calls_at_most(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await open_session(company)
    await nango.forget_calls()
    forged = with_query(
        f"{company.base}/api/v1/connections/stripe/callback", connectionId=connection_id, success="true"
    )
    for _ in range(20):
        await asyncio.gather(*(browser.visit(forged) for _ in range(50)))
    # What else is open is looked at beside it.
    assert 1 <= await nango.calls_on(connection_id) <= 5


async def test_a_callback_names_the_right_provider_or_nothing_is_found(
    company: Company, browser: Browser
) -> None:
    connection_id = await connect(company, browser)
    told = await browser.visit(
        with_query(
            f"{company.base}/api/v1/connections/hubspot/callback",
            connectionId=connection_id,
            redirectUrl=APP,
        )
    )
    assert (told.status, told.error["message"]) == (404, "Connection not found")


async def test_a_callback_does_not_redirect_to_where_its_query_says(
    company: Company, browser: Browser
) -> None:
    connection_id = await connect(company, browser)
    told = await browser.visit(
        with_query(
            f"{company.base}/api/v1/connections/stripe/callback",
            connectionId=connection_id,
            success="true",
            redirectUrl="https://evil.example/",
        )
    )
    assert told.location.startswith(APP)
