"""The calls that the reference does not have, on the same envelope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from application.ports import Page
from domain.connection import ACTIVE, DISCONNECTED, PENDING
from domain.errors import StoreUnavailable
from domain.events import Event, EventType
from domain.provider import ApiKey, OAuth, Parameter, Provider
from domain.redirect import RedirectUrl
from tests.http.fakes import ID, NOON, STRIPE

if TYPE_CHECKING:
    from tests.http.conftest import Client
    from tests.http.fakes import FakeUseCases

ONE = f"/api/v1/connections/{ID}"
EVENT = Event(
    company_id="acme",
    connection_id=ID,
    version=2,
    type=EventType.AUTHORIZED,
    at=NOON,
    actor="callback",
    status_before=PENDING,
    status=ACTIVE,
    changes={"nango_id": "secret-to-us"},
)
EVENT_SHOWN = {
    "connectionId": ID,
    "version": 2,
    "type": "authorized",
    "at": "2026-01-01T12:00:00.000Z",
    "actor": "callback",
    "statusBefore": "pending",
    "status": "active",
    "reason": None,
}


async def test_a_disconnected_connection_is_shown_whole(company: Client, fakes: FakeUseCases) -> None:
    fakes.disconnect_connection.answer = attrs.evolve(STRIPE, status=DISCONNECTED)
    answer = await company.post(f"{ONE}/disconnect")
    data = (await answer.json())["data"]
    assert (answer.status, data["status"], data["metadata"]) == (
        200,
        "disconnected",
        {"environment": "production"},
    )


async def test_reauthorize_gives_an_auth_url(company: Client, fakes: FakeUseCases) -> None:
    answer = await company.post(
        f"{ONE}/reauthorize", json={"redirectUrl": "https://app.example/", "parameters": {"a": "1"}}
    )
    assert (answer.status, await answer.json()) == (
        200,
        {
            "success": True,
            "data": {
                "connectionId": ID,
                "provider": "stripe",
                "authUrl": "https://provider.example/again",
                "isNew": False,
                "message": "Redirect user to authUrl to complete OAuth authorization",
            },
        },
    )
    assert fakes.reauthorize_connection.asked == [
        {
            "company_id": "acme",
            "connection_id": ID,
            "redirect_url": RedirectUrl.parse("https://app.example/"),
            "parameters": {"a": "1"},
            "actor": "api_key:write",
        }
    ]


async def test_reauthorize_without_parameters_leaves_them_to_the_last_time(
    company: Client, fakes: FakeUseCases
) -> None:
    await company.post(f"{ONE}/reauthorize")
    assert fakes.reauthorize_connection.asked[0]["parameters"] is None


async def test_a_connect_session_answers_with_its_token_and_link(company: Client) -> None:
    answer = await company.post(f"{ONE}/connect-session")
    assert (answer.status, await answer.json()) == (
        201,
        {
            "success": True,
            "data": {
                "token": "session-token",
                "connectLink": "https://connect.example/s",
                "expiresAt": "2026-01-01T12:00:00.000Z",
            },
        },
    )


async def test_an_update_hands_on_what_it_names(company: Client, fakes: FakeUseCases) -> None:
    answer = await company.patch(ONE, json={"name": " New "})
    assert ((await answer.json())["data"]["id"], fakes.update_connection.asked) == (
        ID,
        [
            {
                "company_id": "acme",
                "connection_id": ID,
                "name": "New",
                "metadata": None,
                "actor": "api_key:write",
            }
        ],
    )


async def test_metadata_may_be_emptied(company: Client, fakes: FakeUseCases) -> None:
    await company.patch(ONE, json={"metadata": {}})
    assert fakes.update_connection.asked[0]["metadata"] == {}


async def test_the_history_of_a_connection_keeps_our_own_fields_to_itself(
    company: Client, fakes: FakeUseCases
) -> None:
    fakes.list_events.answer = Page(items=[EVENT], has_more=False, next_cursor="c1")
    answer = await company.get(f"{ONE}/events?limit=2")
    assert await answer.json() == {
        "success": True,
        "data": [EVENT_SHOWN],
        "meta": {"hasMore": False, "nextCursor": "c1"},
    }
    assert fakes.list_events.asked == [
        {"company_id": "acme", "connection_id": ID, "limit": 2, "cursor": None}
    ]


@pytest.mark.parametrize("more", [True, False])
async def test_a_full_page_of_history_says_whether_there_is_more(
    company: Client, fakes: FakeUseCases, *, more: bool
) -> None:
    fakes.list_events.answer = Page(items=[EVENT], has_more=more, next_cursor="c1")
    answer = await company.get("/api/v1/events?limit=1")
    assert (await answer.json())["meta"] == {"hasMore": more, "nextCursor": "c1"}


async def test_a_history_in_which_nothing_has_happened_yet_has_no_cursor(company: Client) -> None:
    answer = await company.get("/api/v1/events")
    assert (await answer.json())["meta"] == {"hasMore": False}


async def test_an_empty_page_of_history_keeps_the_reader_s_place(
    company: Client, fakes: FakeUseCases
) -> None:
    answer = await company.get("/api/v1/events?after=c1")
    assert await answer.json() == {
        "success": True,
        "data": [],
        "meta": {"hasMore": False, "nextCursor": "c1"},
    }
    assert fakes.list_events.asked == [
        {"company_id": "acme", "connection_id": None, "limit": 50, "cursor": "c1"}
    ]


async def test_providers_say_how_they_are_connected(company: Client, fakes: FakeUseCases) -> None:
    account = Parameter(name="accountId", pattern="[0-9]+", label="Account id")
    shown = {"name": "accountId", "label": "Account id", "required": True, "pattern": "[0-9]+"}
    fakes.providers = [
        Provider(
            key="netsuite",
            name="NetSuite",
            description="ERP",
            category="erp",
            oauth=OAuth(integration="netsuite", parameters=(account,)),
            api_key=ApiKey(
                integration="netsuite-tba",
                type="TBA",
                credentials={"token_id": "{tokenId}", "token_secret": "{tokenSecret}"},
                parameters=(account,),
            ),
        ),
        Provider(
            key="slack",
            name="Slack",
            description="Messaging",
            category="chat",
            oauth=OAuth(integration="slack"),
        ),
    ]
    answer = await company.get("/api/v1/providers")
    assert await answer.json() == {
        "success": True,
        "data": [
            {
                "provider": "netsuite",
                "name": "NetSuite",
                "description": "ERP",
                "category": "erp",
                "docsUrl": None,
                "oauth": True,
                "apiKey": True,
                "parameters": [shown],
                "credentials": {"fields": ["tokenId", "tokenSecret"], "parameters": [shown]},
            },
            {
                "provider": "slack",
                "name": "Slack",
                "description": "Messaging",
                "category": "chat",
                "docsUrl": None,
                "oauth": True,
                "apiKey": False,
                "parameters": [],
            },
        ],
    }


@pytest.mark.parametrize(("path", "status"), [("/healthz", "ok"), ("/readyz", "ready")])
async def test_healthz_and_readyz_tell_their_status(client: Client, path: str, status: str) -> None:
    answer = await client.get(path)
    assert (answer.status, await answer.json()) == (200, {"success": True, "data": {"status": status}})


async def test_without_a_database_we_live_but_are_not_ready(client: Client, fakes: FakeUseCases) -> None:
    fakes.check_readiness.answer = StoreUnavailable()
    assert [(await client.get(path)).status for path in ("/healthz", "/readyz")] == [200, 503]
