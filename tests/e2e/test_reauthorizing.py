"""Authorizing again: after an error, after a disconnect, with another account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.journeys import connect, result_in

if TYPE_CHECKING:
    from tests.e2e.journeys import Browser, Company, Nango


async def broken(company: Company, browser: Browser, nango: Nango) -> str:
    """Connect Stripe, let the user revoke it there, and notice."""
    connection_id = await connect(company, browser)
    await nango.act("revoke", await nango.id_of(connection_id))
    verified = (await company.post(f"/connections/{connection_id}/verify")).data
    assert verified["status"] == "error"
    return connection_id


async def test_from_error_auth_url_speaks_of_the_same_connection(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await broken(company, browser, nango)
    started = (await company.auth_url("stripe")).data
    assert (started["connectionId"], started["isNew"]) == (connection_id, False)


async def test_from_error_the_id_at_nango_is_kept(company: Company, browser: Browser, nango: Nango) -> None:
    connection_id = await broken(company, browser, nango)
    before = await nango.id_of(connection_id)
    await browser.authorize((await company.auth_url("stripe")).data["authUrl"])
    assert await company.status_of(connection_id) == "active"
    assert await nango.id_of(connection_id) == before


async def test_what_is_authorized_again_is_healthy_again(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await broken(company, browser, nango)
    await browser.authorize((await company.auth_url("stripe")).data["authUrl"])
    assert (await company.post(f"/connections/{connection_id}/verify")).data["healthy"] is True


async def test_while_the_user_decides_the_connection_is_pending(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await broken(company, browser, nango)
    await company.auth_url("stripe")
    assert await company.status_of(connection_id) == "pending"


async def test_a_denied_re_authorization_gives_back_the_error_and_its_message(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await broken(company, browser, nango)
    before = (await company.get(f"/connections/{connection_id}")).data
    started = (await company.auth_url("stripe")).data
    back = await browser.authorize(started["authUrl"], decision="deny")
    assert result_in(back.location) == {"error": "access_denied", "connectionId": connection_id}
    after = (await company.get(f"/connections/{connection_id}")).data
    assert (after["status"], after["errorMessage"]) == ("error", before["errorMessage"])


async def test_a_denied_re_authorization_leaves_the_account_at_nango(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await broken(company, browser, nango)
    before = await nango.id_of(connection_id)
    await browser.authorize((await company.auth_url("stripe")).data["authUrl"], decision="deny")
    assert await nango.id_of(connection_id) == before


async def test_after_a_disconnect_the_id_at_nango_is_new(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    before = await nango.id_of(connection_id)
    await company.post(f"/connections/{connection_id}/disconnect")
    started = (await company.auth_url("stripe")).data
    assert (started["connectionId"], started["isNew"]) == (connection_id, False)
    await browser.authorize(started["authUrl"])
    assert await nango.id_of(connection_id) != before


async def test_a_disconnect_removes_the_account_at_nango(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    disconnected = await company.post(f"/connections/{connection_id}/disconnect")
    assert (disconnected.data["status"], await nango.of(connection_id)) == ("disconnected", [])


async def test_another_account_is_told_with_both_ids(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await broken(company, browser, nango)
    before = (await company.get(f"/connections/{connection_id}")).data["externalAccountId"]
    started = (await company.auth_url("stripe")).data
    await browser.authorize(started["authUrl"], account="second")
    after = (await company.get(f"/connections/{connection_id}")).data["externalAccountId"]
    events = (await company.get(f"/connections/{connection_id}/events")).data
    [changed] = [fact for fact in events if fact["type"] == "account_changed"]
    assert after != before
    assert before in changed["reason"]
    assert after in changed["reason"]


async def test_reauthorize_serves_a_connection_that_create_made(
    company: Company, browser: Browser, nango: Nango
) -> None:
    created = (await company.post("/connections", {"name": "Mine", "provider": "slack"})).data
    await browser.authorize(created["oauthUrl"], decision="deny")
    again = (await company.post(f"/connections/{created['id']}/reauthorize")).data
    assert (again["connectionId"], again["isNew"]) == (created["id"], False)
    await browser.authorize(again["authUrl"])
    assert await company.status_of(created["id"]) == "active"


async def test_a_provider_s_parameter_is_kept_for_the_next_time(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser, "netsuite")
    await company.post(f"/connections/{connection_id}/disconnect")
    started = (await company.get("/connections/netsuite/auth-url")).data
    await browser.authorize(started["authUrl"])
    [held] = await nango.of(connection_id)
    assert held["connection_config"]["accountId"] == "1234567-sb1"
