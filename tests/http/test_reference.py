"""Every example of the API reference, status and whole body."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from application.authorization_results import AuthorizationResult, AuthorizationStarted
from application.verify_connection import Verification
from domain.connection import DISCONNECTED, ERROR, EXPIRED, PENDING
from domain.errors import ActiveConnectionExists, ConnectionNotFound, RefreshRefused
from domain.redirect import RedirectUrl
from tests.http.fakes import ABSENT_ID, ID, STRIPE
from tests.http.reference import HUBSPOT as HUBSPOT_SHOWN
from tests.http.reference import STRIPE as STRIPE_SHOWN

if TYPE_CHECKING:
    from tests.http.conftest import Client
    from tests.http.fakes import FakeUseCases

CHECKED_AT = datetime(2024, 1, 15, 10, 35, tzinfo=UTC)
APP = RedirectUrl.parse("https://app.example.com/settings/connections")


async def test_a_list_shows_each_connection_with_the_fields_of_the_reference(company: Client) -> None:
    answer = await company.get("/api/v1/connections")
    assert (answer.status, await answer.json()) == (
        200,
        {"success": True, "data": [STRIPE_SHOWN, HUBSPOT_SHOWN], "meta": {"hasMore": False}},
    )


async def test_auth_url_says_that_it_has_made_a_connection(company: Client) -> None:
    answer = await company.get("/api/v1/connections/stripe/auth-url")
    assert (answer.status, await answer.json()) == (
        200,
        {
            "success": True,
            "data": {
                "connectionId": ID,
                "provider": "stripe",
                "authUrl": "https://connect.stripe.com/oauth/authorize?client_id=xxx&redirect_uri=xxx&state=xxx",
                "isNew": True,
                "message": "Redirect user to authUrl to complete OAuth authorization",
            },
        },
    )


async def test_auth_url_says_that_it_authorizes_a_connection_again(
    company: Client, fakes: FakeUseCases
) -> None:
    fakes.get_auth_url.answer = AuthorizationStarted(
        connection_id="conn_existing", provider="stripe", url="https://provider.example/", is_new=False
    )
    answer = await company.get("/api/v1/connections/stripe/auth-url")
    assert (answer.status, await answer.json()) == (
        200,
        {
            "success": True,
            "data": {
                "connectionId": "conn_existing",
                "provider": "stripe",
                "authUrl": "https://provider.example/",
                "isNew": False,
                "message": "Redirect user to authUrl to complete OAuth authorization",
            },
        },
    )


async def test_an_active_connection_blocks_auth_url(company: Client, fakes: FakeUseCases) -> None:
    fakes.get_auth_url.answer = ActiveConnectionExists("stripe")
    answer = await company.get("/api/v1/connections/stripe/auth-url")
    assert (answer.status, await answer.json()) == (
        400,
        {
            "success": False,
            "error": {
                "code": "BAD_REQUEST",
                "message": "Active connection already exists for stripe. Disconnect first to re-authorize.",
            },
        },
    )


async def test_a_callback_without_a_redirect_url_is_answered_in_json(client: Client) -> None:
    answer = await client.get(f"/api/v1/connections/stripe/callback?connectionId={ID}&success=true")
    assert (answer.status, await answer.json()) == (
        200,
        {
            "success": True,
            "data": {
                "connectionId": "conn_xxx",
                "provider": "stripe",
                "status": "active",
                "message": "OAuth authorization completed successfully",
            },
        },
    )


async def test_a_callback_with_a_redirect_url_sends_the_user_there(
    client: Client, fakes: FakeUseCases
) -> None:
    fakes.report_authorization.answer = AuthorizationResult(
        connection_id="xxx", provider="stripe", outcome="succeeded", redirect_url=APP
    )
    answer = await client.get(
        f"/api/v1/connections/stripe/callback?connectionId={ID}&success=true", allow_redirects=False
    )
    assert (answer.status, answer.headers["Location"]) == (
        303,
        "https://app.example.com/settings/connections?success=true&connectionId=xxx&provider=stripe",
    )


async def test_a_failed_callback_sends_the_user_to_the_redirect_url_with_the_error(
    client: Client, fakes: FakeUseCases
) -> None:
    fakes.report_authorization.answer = AuthorizationResult(
        connection_id="xxx", provider="stripe", outcome="failed", error="access_denied", redirect_url=APP
    )
    answer = await client.get(
        f"/api/v1/connections/stripe/callback?connectionId={ID}&success=false", allow_redirects=False
    )
    assert (answer.status, answer.headers["Location"]) == (
        303,
        "https://app.example.com/settings/connections?error=access_denied&connectionId=xxx",
    )


async def test_a_create_answers_with_the_connection_and_where_to_authorize_it(company: Client) -> None:
    body = {"name": "Production Stripe", "provider": "stripe", "metadata": {"environment": "production"}}
    answer = await company.post("/api/v1/connections", json=body)
    assert (answer.status, await answer.json()) == (
        201,
        {
            "success": True,
            "data": {
                "id": ID,
                "name": "Production Stripe",
                "provider": "stripe",
                "status": "pending",
                "oauthUrl": "https://api.nango.dev/oauth/connect/stripe?connection_id=xxx&public_key=xxx",
                "message": "Redirect user to oauthUrl to complete connection",
            },
        },
    )


async def test_a_connection_is_shown_with_the_fields_of_the_reference(company: Client) -> None:
    answer = await company.get(f"/api/v1/connections/{ID}")
    assert (answer.status, await answer.json()) == (
        200,
        {"success": True, "data": {**STRIPE_SHOWN, "metadata": {"environment": "production"}}},
    )


async def test_the_fields_come_in_the_order_of_the_reference(company: Client) -> None:
    answer = await company.get(f"/api/v1/connections/{ID}")
    names = "id name provider status externalAccountId lastSyncedAt metadata createdAt updatedAt"
    assert list((await answer.json())["data"]) == names.split()


async def test_a_delete_is_confirmed(company: Client) -> None:
    answer = await company.delete(f"/api/v1/connections/{ID}")
    assert (answer.status, await answer.json()) == (200, {"success": True, "data": {"deleted": True}})


async def test_a_refresh_answers_with_the_status_and_its_time(company: Client, fakes: FakeUseCases) -> None:
    fakes.refresh_connection.answer = attrs.evolve(STRIPE, last_synced_at=CHECKED_AT)
    answer = await company.post(f"/api/v1/connections/{ID}/refresh")
    assert (answer.status, await answer.json()) == (
        200,
        {
            "success": True,
            "data": {
                "id": ID,
                "lastSyncedAt": "2024-01-15T10:35:00.000Z",
                "message": "Connection refresh completed",
            },
        },
    )


async def test_a_refused_refresh_is_an_internal_error_with_the_words_of_the_provider(
    company: Client, fakes: FakeUseCases
) -> None:
    fakes.refresh_connection.answer = RefreshRefused("Token expired")
    answer = await company.post(f"/api/v1/connections/{ID}/refresh")
    assert (answer.status, await answer.json()) == (
        500,
        {
            "success": False,
            "error": {
                "code": "INTERNAL_ERROR",
                "message": "Failed to refresh credentials: Token expired",
            },
        },
    )


async def test_a_verification_tells_that_a_connection_is_healthy(
    company: Client, fakes: FakeUseCases
) -> None:
    fakes.verify_connection.answer = Verification(
        connection=STRIPE, healthy=True, error=None, checked_at=CHECKED_AT
    )
    answer = await company.post(f"/api/v1/connections/{ID}/verify")
    assert (answer.status, await answer.json()) == (
        200,
        {
            "success": True,
            "data": {
                "healthy": True,
                "connectionId": ID,
                "provider": "stripe",
                "status": "active",
                "externalAccountId": "acct_xxx",
                "error": None,
                "checkedAt": "2024-01-15T10:35:00.000Z",
            },
        },
    )


async def test_a_verification_tells_why_a_connection_is_not_healthy(
    company: Client, fakes: FakeUseCases
) -> None:
    fakes.verify_connection.answer = Verification(
        connection=attrs.evolve(STRIPE, status=ERROR),
        healthy=False,
        error="Invalid API key provided",
        checked_at=CHECKED_AT,
    )
    answer = await company.post(f"/api/v1/connections/{ID}/verify")
    assert (answer.status, await answer.json()) == (
        200,
        {
            "success": True,
            "data": {
                "healthy": False,
                "connectionId": ID,
                "provider": "stripe",
                "status": "error",
                "externalAccountId": None,
                "error": "Invalid API key provided",
                "checkedAt": "2024-01-15T10:35:00.000Z",
            },
        },
    )


async def test_a_verification_before_the_authorization_tells_to_authorize_first(
    company: Client, fakes: FakeUseCases
) -> None:
    fakes.verify_connection.answer = Verification(
        connection=attrs.evolve(STRIPE, status=PENDING, external_account_id=None),
        healthy=False,
        error="Connection not yet authorized - complete OAuth flow first",
        checked_at=CHECKED_AT,
    )
    answer = await company.post(f"/api/v1/connections/{ID}/verify")
    assert (answer.status, await answer.json()) == (
        200,
        {
            "success": True,
            "data": {
                "healthy": False,
                "connectionId": ID,
                "provider": "stripe",
                "status": "pending",
                "error": "Connection not yet authorized - complete OAuth flow first",
                "checkedAt": "2024-01-15T10:35:00.000Z",
            },
        },
    )


async def test_a_connection_that_is_not_there_is_not_found(company: Client) -> None:
    answer = await company.get(f"/api/v1/connections/{ABSENT_ID}")
    assert (answer.status, await answer.json()) == (
        404,
        {"success": False, "error": {"code": "NOT_FOUND", "message": "Connection not found"}},
    )


async def test_a_connection_that_was_never_authorized_has_nulls(company: Client, fakes: FakeUseCases) -> None:
    fakes.get_connection.there = attrs.evolve(
        STRIPE, status=PENDING, external_account_id=None, last_synced_at=None
    )
    data = (await (await company.get(f"/api/v1/connections/{ID}")).json())["data"]
    assert (data["externalAccountId"], data["lastSyncedAt"]) == (None, None)


async def test_an_error_message_is_shown_while_it_matters(company: Client, fakes: FakeUseCases) -> None:
    shown = {}
    for status in (ERROR, EXPIRED, DISCONNECTED):
        fakes.get_connection.there = attrs.evolve(STRIPE, status=status, error_message="why")
        shown[status.value] = (await (await company.get(f"/api/v1/connections/{ID}")).json())["data"].get(
            "errorMessage"
        )
    assert shown == {"error": "why", "expired": "why", "disconnected": None}


async def test_an_error_message_is_shown_in_lists_too(company: Client, fakes: FakeUseCases) -> None:
    page = fakes.list_connections.answer
    assert not isinstance(page, Exception)
    fakes.list_connections.answer = attrs.evolve(
        page, items=[attrs.evolve(STRIPE, status=ERROR, error_message="why")]
    )
    data = (await (await company.get("/api/v1/connections")).json())["data"]
    assert data == [{**STRIPE_SHOWN, "status": "error", "errorMessage": "why"}]


async def test_a_failed_callback_with_nowhere_to_go_is_a_bad_request(
    client: Client, fakes: FakeUseCases
) -> None:
    fakes.report_authorization.answer = AuthorizationResult(
        connection_id=ID, provider="stripe", outcome="failed", error="access_denied"
    )
    answer = await client.get(f"/api/v1/connections/stripe/callback?connectionId={ID}&success=false")
    assert (answer.status, await answer.json()) == (
        400,
        {
            "success": False,
            "error": {"code": "BAD_REQUEST", "message": "Authorization failed: access_denied"},
        },
    )


async def test_a_callback_for_another_provider_is_not_found(client: Client, fakes: FakeUseCases) -> None:
    fakes.report_authorization.answer = ConnectionNotFound()
    answer = await client.get(f"/api/v1/connections/slack/callback?connectionId={ID}&success=true")
    assert (answer.status, await answer.json()) == (
        404,
        {"success": False, "error": {"code": "NOT_FOUND", "message": "Connection not found"}},
    )
