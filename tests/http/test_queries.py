"""Query parameters: strict where callers write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from application.ports import ConnectionFilter, Page
from domain.connection import ERROR
from domain.errors import InvalidParameters
from domain.redirect import RedirectUrl
from tests.http.fakes import ID, STRIPE, WRITE_KEY
from tests.http.raw import exchange

if TYPE_CHECKING:
    from tests.http.conftest import Client
    from tests.http.fakes import FakeUseCases

LIST = "/api/v1/connections"
AUTH_URL = "/api/v1/connections/netsuite/auth-url"


async def _refused(client: Client, target: str) -> tuple[int, bytes]:
    """Ask for a target byte for byte."""
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\n\r\n"
    status, _, body = await exchange(client, head.encode("latin-1"))
    return status, body


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=-1", "limit=1e3", "limit=101", "limit=1000", "limit=", "limit=%2B5", "limit=5.0"),
        *(
            "limit=%EF%BC%95",
            "limit=%D9%A5",
            "limit=5%00",
            "limit=%205",
            "limit=5%0A",
            "limit=0x10",
            "limit=5_0",
        ),
        *("limit=5&limit=5", "limit=null", "limit=true", "limit=" + "9" * 5000),
        *("status=", "status=Active", "status=active&status=active", "status=null", "status=active%00"),
        *("provider=", "provider=a%00b", "provider=%C3%A9", "provider=stripe&provider=slack"),
        *("name=", "name=%00", "name=" + "n" * 256, "externalAccountId=%0D%0A"),
        *("cursor=", "cursor=%20", "cursor=%FF", "cursor=" + "c" * 513),
        *("unknown=1", "Limit=5", "limit%00=5", "limit[]=5", "&".join(f"p{i}=1" for i in range(101))),
        *("name=%FF", "name=%ED%A0%80", "name=%C0%AF", "name=\xff", "x", "=1"),
    ],
)
async def test_a_hostile_query_is_a_bad_request(client: Client, fakes: FakeUseCases, query: str) -> None:
    status, _ = await _refused(client, f"{LIST}?{query}")
    assert (status, fakes.list_connections.asked) == (400, [])


async def test_a_list_hands_on_what_it_was_asked_for(company: Client, fakes: FakeUseCases) -> None:
    await company.get(
        LIST,
        params={
            "provider": "stripe",
            "status": "error",
            "name": "prod é",
            "externalAccountId": "acct 1",
            "limit": "007",
            "cursor": "abc",
        },
    )
    assert fakes.list_connections.asked == [
        {
            "company_id": "acme",
            "wanted": ConnectionFilter(
                provider="stripe", status=ERROR, name="prod é", external_account_id="acct 1"
            ),
            "limit": 7,
            "cursor": "abc",
        }
    ]


async def test_a_list_wants_fifty_of_everything(company: Client, fakes: FakeUseCases) -> None:
    await company.get(LIST)
    assert fakes.list_connections.asked == [
        {"company_id": "acme", "wanted": ConnectionFilter(), "limit": 50, "cursor": None}
    ]


async def test_a_list_with_more_says_where_it_goes_on(company: Client, fakes: FakeUseCases) -> None:
    fakes.list_connections.answer = Page(items=[STRIPE], has_more=True, next_cursor="next")
    assert (await (await company.get(LIST)).json())["meta"] == {"hasMore": True, "nextCursor": "next"}


@pytest.mark.parametrize("path", [f"{LIST}/{ID}", "/api/v1/providers"])
async def test_where_no_parameters_are_known_none_is_taken(company: Client, path: str) -> None:
    answer = await company.get(f"{path}?verbose=1")
    assert (await answer.json())["error"]["details"] == [
        {"field": "verbose", "message": "is not known here; none are"}
    ]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        (LIST, "provider, status, name, externalAccountId, limit, cursor"),
        (f"{LIST}/{ID}/events", "after, limit"),
    ],
)
async def test_an_unknown_parameter_is_told_which_are_known(company: Client, path: str, known: str) -> None:
    answer = await company.get(f"{path}?page=2")
    assert (await answer.json())["error"]["details"] == [
        {"field": "page", "message": f"is not known here; known are {known}"}
    ]


@pytest.mark.parametrize("name", ["redirect_url", "RedirectUrl"])
async def test_an_unknown_parameter_of_auth_url_is_told_ours_and_the_provider_s(
    company: Client, fakes: FakeUseCases, name: str
) -> None:
    fakes.get_auth_url.answer = InvalidParameters(unknown=[name], known=["accountId"])
    answer = await company.get(f"{AUTH_URL}?{name}=https://app.example")
    assert (await answer.json())["error"]["details"] == [
        {"field": name, "message": "is not known here; known are redirectUrl, connectionName, accountId"}
    ]


async def test_parameters_on_a_post_are_refused_too(company: Client) -> None:
    assert (await company.post(f"{LIST}/{ID}/refresh?force=1")).status == 400


async def test_auth_url_hands_other_parameters_to_the_provider(company: Client, fakes: FakeUseCases) -> None:
    await company.get(
        AUTH_URL,
        params={
            "accountId": "123_SB1",
            "connectionName": " Books ",
            "redirectUrl": "https://app.example/?a=1",
        },
    )
    assert fakes.get_auth_url.asked == [
        {
            "company_id": "acme",
            "provider": "netsuite",
            "redirect_url": RedirectUrl.parse("https://app.example/?a=1"),
            "name": "Books",
            "parameters": {"accountId": "123_SB1"},
            "actor": "api_key:write",
        }
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("accountId=1&accountId=2", "accountId"),
        ("redirectUrl=https://a.example&redirectUrl=https://a.example", "redirectUrl"),
        ("redirectUrl=javascript:alert(1)", "redirectUrl"),
        ("redirectUrl=//evil.example", "redirectUrl"),
        ("redirectUrl=", "redirectUrl"),
        ("connectionName=", "connectionName"),
        ("connectionName=a%0D%0Ab", "connectionName"),
        ("accountId=%00", "query"),
        ("accountId=%FF", "query"),
    ],
)
async def test_auth_url_refuses_what_it_cannot_mean(
    company: Client, fakes: FakeUseCases, query: str, field: str
) -> None:
    answer = await company.get(f"{AUTH_URL}?{query}")
    assert (answer.status, (await answer.json())["error"]["details"][0]["field"]) == (400, field)
    assert fakes.get_auth_url.asked == []


@pytest.mark.parametrize("provider", ["..%2f..%2fx", "a%00b", "%C3%A9", "a%20b", "x" * 65])
async def test_auth_url_refuses_a_provider_that_cannot_be_one(
    client: Client, fakes: FakeUseCases, provider: str
) -> None:
    status, _ = await _refused(client, f"/api/v1/connections/{provider}/auth-url")
    assert (status in (400, 404), fakes.get_auth_url.asked) == (True, [])
