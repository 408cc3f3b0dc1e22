"""Refreshing and verifying: what each answer of Nango and the provider means for the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.journeys import connect, eventually

if TYPE_CHECKING:
    from tests.e2e.journeys import Browser, Company, Nango
    from tests.e2e.world import World

DEAD = {
    "stripe": "Invalid API key provided",
    "salesforce": "Session expired or invalid",
    "hubspot": "The access token is expired or invalid",
    "quickbooks": "Token expired",
    "pandadoc": "Invalid credentials",
    "netsuite": "Invalid login attempt",
    "slack": "Slack answered token_revoked",
    "gmail": "invalid authentication credentials",
}


async def seen(company: Company, connection_id: str) -> tuple[str, str | None, str | None]:
    """Give what callers can see of a connection's health."""
    connection = (await company.get(f"/connections/{connection_id}")).data
    return connection["status"], connection.get("errorMessage"), connection["lastSyncedAt"]


@pytest.mark.parametrize("provider", DEAD)
async def test_a_revoked_account_is_unhealthy_in_the_provider_s_words(
    company: Company, browser: Browser, nango: Nango, provider: str
) -> None:
    connection_id = await connect(company, browser, provider)
    await nango.act("revoke", await nango.id_of(connection_id))
    verified = await company.post(f"/connections/{connection_id}/verify")
    assert verified.status == 200
    said = verified.data["error"]
    assert verified.data == {
        "healthy": False,
        "connectionId": connection_id,
        "provider": provider,
        "status": "error",
        "externalAccountId": None,
        "error": said,
        "checkedAt": verified.data["checkedAt"],
    }
    assert DEAD[provider] in said


async def test_what_the_provider_accepts_again_is_healthy_again(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    nango_id = await nango.id_of(connection_id)
    await nango.act("revoke", nango_id)
    await company.post(f"/connections/{connection_id}/verify")
    await nango.act("restore", nango_id)
    assert (await company.post(f"/connections/{connection_id}/verify")).data["status"] == "active"


async def test_a_lack_of_permission_is_no_lack_of_health(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    await nango.fail("provider_api", "forbidden", connection_id=await nango.id_of(connection_id))
    assert (await company.post(f"/connections/{connection_id}/verify")).data["healthy"] is True


async def test_what_is_gone_at_nango_is_disconnected(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    await nango.act("forget", await nango.id_of(connection_id))
    verified = (await company.post(f"/connections/{connection_id}/verify")).data
    assert (verified["healthy"], verified["status"]) == (False, "disconnected")


async def test_a_pending_connection_is_answered_as_the_reference_has_it(company: Company) -> None:
    connection_id = (await company.auth_url("stripe")).data["connectionId"]
    verified = (await company.post(f"/connections/{connection_id}/verify")).data
    assert verified == {
        "healthy": False,
        "connectionId": connection_id,
        "provider": "stripe",
        "status": "pending",
        "error": "Connection not yet authorized - complete OAuth flow first",
        "checkedAt": verified["checkedAt"],
    }


async def test_a_refused_refresh_is_an_error(company: Company, browser: Browser, nango: Nango) -> None:
    connection_id = await connect(company, browser)
    await nango.fail("token_endpoint", "invalid_grant", connection_id=await nango.id_of(connection_id))
    refreshed = await company.post(f"/connections/{connection_id}/refresh")
    assert (refreshed.status, refreshed.error["code"]) == (500, "INTERNAL_ERROR")
    assert refreshed.error["message"].startswith("Failed to refresh credentials: ")
    status, message, _ = await seen(company, connection_id)
    assert (status, f"Failed to refresh credentials: {message}") == ("error", refreshed.error["message"])


async def test_a_refused_refresh_of_what_nango_was_renewing_by_itself_is_an_error(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    nango_id = await nango.id_of(connection_id)
    await nango.act("expire", nango_id)
    await nango.fail("token_endpoint", "invalid_grant", connection_id=nango_id)
    assert (await company.post(f"/connections/{connection_id}/verify")).data["status"] == "error"


async def test_a_revoked_account_s_refresh_is_refused_in_the_provider_s_words(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    await nango.act("revoke", await nango.id_of(connection_id))
    refreshed = await company.post(f"/connections/{connection_id}/refresh")
    assert (refreshed.status, DEAD["stripe"] in refreshed.error["message"]) == (500, True)


async def test_the_worker_puts_right_what_was_wrongly_refused(
    company: Company, browser: Browser, nango: Nango, world: World
) -> None:
    connection_id = await connect(company, browser)
    nango_id = await nango.id_of(connection_id)
    await nango.fail("token_endpoint", "server_error", connection_id=nango_id)
    await company.post(f"/connections/{connection_id}/refresh")
    await nango.heal()
    await nango.act("end-backoff", nango_id)
    await world.let_time_pass(connection_id)

    async def right() -> bool:
        return await company.status_of(connection_id) == "active"

    await eventually(right)


async def test_what_nango_has_given_up_is_expired(company: Company, browser: Browser, nango: Nango) -> None:
    connection_id = await connect(company, browser)
    nango_id = await nango.id_of(connection_id)
    await nango.act("exhaust", nango_id)
    await nango.fail("token_endpoint", "invalid_grant", connection_id=nango_id)
    refreshed = await company.post(f"/connections/{connection_id}/refresh")
    assert refreshed.error["message"].startswith("Failed to refresh credentials: The refresh limit")
    assert await company.status_of(connection_id) == "expired"


async def test_a_verification_finds_out_that_nango_has_given_up(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    nango_id = await nango.id_of(connection_id)
    await nango.act("exhaust", nango_id)
    await nango.fail("token_endpoint", "invalid_grant", connection_id=nango_id)
    assert (await company.post(f"/connections/{connection_id}/verify")).data["status"] == "expired"


async def test_what_nango_gave_up_comes_back_where_a_forced_refresh_works(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    await nango.act("exhaust", await nango.id_of(connection_id))
    assert (await company.post(f"/connections/{connection_id}/refresh")).status == 200


async def test_an_ended_token_without_a_refresh_token_is_expired(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    nango_id = await nango.id_of(connection_id)
    await nango.act("drop-refresh-token", nango_id)
    await nango.act("expire", nango_id)
    refreshed = await company.post(f"/connections/{connection_id}/refresh")
    assert (refreshed.status, await company.status_of(connection_id)) == (500, "expired")


async def test_an_expired_connection_can_be_authorized_again(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    nango_id = await nango.id_of(connection_id)
    await nango.act("drop-refresh-token", nango_id)
    await nango.act("expire", nango_id)
    await company.post(f"/connections/{connection_id}/refresh")
    await browser.authorize((await company.auth_url("stripe")).data["authUrl"])
    assert await company.status_of(connection_id) == "active"
    assert await nango.id_of(connection_id) == nango_id


async def test_an_ended_access_token_is_renewed_by_a_verification(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    await nango.act("expire", await nango.id_of(connection_id))
    assert (await company.post(f"/connections/{connection_id}/verify")).data["healthy"] is True


@pytest.mark.parametrize("operation", ["refresh", "verify"])
@pytest.mark.parametrize("kind", ["rate_limited", "server_error", "unreachable"])
async def test_a_provider_in_trouble_changes_nothing(
    company: Company, browser: Browser, nango: Nango, operation: str, kind: str
) -> None:
    connection_id = await connect(company, browser)
    before = await seen(company, connection_id)
    await nango.fail("provider_api", kind, connection_id=await nango.id_of(connection_id))
    answer = await company.post(f"/connections/{connection_id}/{operation}")
    assert (answer.status, answer.error["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) >= 1
    assert await seen(company, connection_id) == before


async def test_a_provider_in_trouble_is_not_asked_for_new_tokens(
    company: Company, browser: Browser, nango: Nango
) -> None:
    connection_id = await connect(company, browser)
    await nango.fail("provider_api", "server_error", connection_id=await nango.id_of(connection_id))
    await company.post(f"/connections/{connection_id}/refresh")
    assert "refresh_connection" not in await nango.calls()


@pytest.mark.parametrize("operation", ["refresh", "verify"])
async def test_a_provider_that_talks_nonsense_changes_nothing(
    company: Company, browser: Browser, nango: Nango, operation: str
) -> None:
    connection_id = await connect(company, browser)
    before = await seen(company, connection_id)
    await nango.fail("nango", "garbage", operation="proxy")
    answer = await company.post(f"/connections/{connection_id}/{operation}")
    assert answer.status in (502, 503)
    assert "Retry-After" in answer.headers
    assert await seen(company, connection_id) == before


@pytest.mark.parametrize("kind", ["server_error", "rate_limited", "disconnect", "database_down", "garbage"])
async def test_nango_in_trouble_changes_nothing(
    company: Company, browser: Browser, nango: Nango, kind: str
) -> None:
    connection_id = await connect(company, browser)
    before = await seen(company, connection_id)
    await nango.fail("nango", kind)
    verify = await company.post(f"/connections/{connection_id}/verify")
    refresh = await company.post(f"/connections/{connection_id}/refresh")
    other = await company.auth_url("hubspot")
    await nango.heal()
    expected = 502 if kind == "garbage" else 503
    assert [verify.status, refresh.status, other.status] == [expected] * 3
    assert await seen(company, connection_id) == before


@pytest.mark.parametrize("status", ["pending", "disconnected"])
async def test_what_is_not_authorized_cannot_be_refreshed(
    company: Company, browser: Browser, status: str
) -> None:
    connection_id = (await company.auth_url("stripe")).data["connectionId"]
    if status == "disconnected":
        await company.post(f"/connections/{connection_id}/disconnect")
    refreshed = await company.post(f"/connections/{connection_id}/refresh")
    assert (refreshed.status, refreshed.error["code"]) == (400, "BAD_REQUEST")
