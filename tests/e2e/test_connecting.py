"""Connecting an account, from auth-url to the address the user comes back to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.journeys import APP, connect, result_in

if TYPE_CHECKING:
    from tests.e2e.journeys import Browser, Company, Nango

ACCOUNTS = {
    "stripe": r"acct_\w+",
    "salesforce": r"00D\w{15}",
    "hubspot": r"\d+",
    "quickbooks": r"\d{16}",
    "pandadoc": r"\w{18,22}",
    "netsuite": r"1234567-sb1",
    "slack": r"T\w{10}",
    "gmail": r"[\w.+-]+@[\w.-]+",
}
every_provider = pytest.mark.parametrize("provider", ACCOUNTS)


@every_provider
async def test_a_user_who_authorizes_comes_back_to_the_app(
    company: Company, browser: Browser, provider: str
) -> None:
    started = (await company.auth_url(provider, redirect_url=f"{APP}?tab=1")).data
    back = await browser.authorize(started["authUrl"])
    connection_id = started["connectionId"]
    assert (started["isNew"], back.status, back.location) == (
        True,
        303,
        f"{APP}?tab=1&success=true&connectionId={connection_id}&provider={provider}",
    )


@every_provider
async def test_a_connected_account_is_active_and_known_by_its_id(
    company: Company, browser: Browser, provider: str
) -> None:
    connection = (await company.get(f"/connections/{await connect(company, browser, provider)}")).data
    assert connection["status"] == "active"
    assert re.fullmatch(ACCOUNTS[provider], connection["externalAccountId"])


@every_provider
async def test_a_connected_account_is_healthy(company: Company, browser: Browser, provider: str) -> None:
    connection_id = await connect(company, browser, provider)
    verified = (await company.post(f"/connections/{connection_id}/verify")).data
    assert (verified["healthy"], verified["status"], verified["error"]) == (True, "active", None)


@every_provider
async def test_a_connected_account_can_be_refreshed(
    company: Company, browser: Browser, provider: str
) -> None:
    connection_id = await connect(company, browser, provider)
    before = (await company.get(f"/connections/{connection_id}")).data["lastSyncedAt"]
    refreshed = (await company.post(f"/connections/{connection_id}/refresh")).data
    assert refreshed["id"] == connection_id
    assert refreshed["message"] == "Connection refresh completed"
    assert refreshed["lastSyncedAt"] > before


@every_provider
async def test_a_user_who_denies_comes_back_with_the_reason(
    company: Company, browser: Browser, provider: str
) -> None:
    started = (await company.auth_url(provider)).data
    back = await browser.authorize(started["authUrl"], decision="deny")
    assert (back.status, back.location) == (
        303,
        f"{APP}?error=access_denied&connectionId={started['connectionId']}",
    )


async def test_a_denied_first_authorization_leaves_an_error(company: Company, browser: Browser) -> None:
    started = (await company.auth_url("stripe")).data
    await browser.authorize(started["authUrl"], decision="deny")
    connection = (await company.get(f"/connections/{started['connectionId']}")).data
    assert connection["status"] == "error"
    assert "access_denied" in connection["errorMessage"]


async def test_without_a_redirect_url_a_client_gets_the_reference_s_json(
    company: Company, browser: Browser
) -> None:
    started = (await company.auth_url("stripe", redirect_url=None)).data
    back = await browser.authorize(started["authUrl"])
    assert (back.status, back.json) == (
        200,
        {
            "success": True,
            "data": {
                "connectionId": started["connectionId"],
                "provider": "stripe",
                "status": "active",
                "message": "OAuth authorization completed successfully",
            },
        },
    )


async def test_without_a_redirect_url_a_browser_gets_a_page(company: Company, browser: Browser) -> None:
    started = (await company.auth_url("stripe", redirect_url=None)).data
    back = await browser.visit(await browser.consent(started["authUrl"]), page=True)
    assert (back.status, back.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"Your account is connected" in back.body


async def test_without_a_redirect_url_a_denial_is_a_bad_request(company: Company, browser: Browser) -> None:
    started = (await company.auth_url("stripe", redirect_url=None)).data
    back = await browser.authorize(started["authUrl"], decision="deny")
    assert (back.status, back.error["code"], back.error["message"]) == (
        400,
        "BAD_REQUEST",
        "Authorization failed: access_denied",
    )


async def test_an_active_connection_blocks_auth_url(company: Company, browser: Browser) -> None:
    await connect(company, browser)
    answer = await company.auth_url("stripe")
    assert (answer.status, answer.json) == (
        400,
        {
            "success": False,
            "error": {
                "code": "BAD_REQUEST",
                "message": "Active connection already exists for stripe. Disconnect first to re-authorize.",
            },
        },
    )


async def test_create_makes_another_connection_beside_an_active_one(
    company: Company, browser: Browser, nango: Nango
) -> None:
    first = await connect(company, browser)
    created = await company.post(
        "/connections", {"name": "Second", "provider": "stripe", "redirectUrl": APP, "metadata": {"n": 2}}
    )
    back = await browser.authorize(created.data["oauthUrl"], account="second")
    assert (created.status, result_in(back.location)["success"]) == (201, "true")
    assert await nango.id_of(first) != await nango.id_of(created.data["id"])


async def test_the_history_tells_the_journey(company: Company, browser: Browser) -> None:
    connection_id = await connect(company, browser)
    assert await company.events_of(connection_id) == ["created", "authorized", "account_identified"]


async def test_what_is_wrong_with_a_create_leads_to_what_is_right(company: Company) -> None:
    body: dict[str, object] = {"name": "Books", "provider": "netsuite"}
    missing = await company.post("/connections", body)
    assert missing.error["details"] == [
        {"field": "parameters.accountId", "message": "is required: NetSuite account id"}
    ]
    ill_formed = await company.post("/connections", {**body, "parameters": {"accountId": 1234567}})
    assert [problem["field"] for problem in ill_formed.error["details"]] == ["parameters.accountId"]
    assert (
        await company.post("/connections", {**body, "parameters": {"accountId": "1234567"}})
    ).status == 201


async def test_a_misspelt_parameter_of_auth_url_is_told_what_is_known(company: Company) -> None:
    refused = await company.get("/connections/netsuite/auth-url?accountId=1&redirect_url=https://a.example")
    known = "is not known here; known are redirectUrl, connectionName, accountId"
    assert refused.error["details"] == [{"field": "redirect_url", "message": known}]
