"""Connections with credentials, which need no OAuth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import CredentialsRefused
from tests.http.fakes import ID

if TYPE_CHECKING:
    from tests.http.conftest import Client
    from tests.http.fakes import FakeUseCases

URL = "/api/v1/connections"
AGAIN = f"{URL}/{ID}/reauthorize"
PANDADOC: dict[str, Any] = {"name": " PandaDoc ", "provider": "pandadoc", "credentials": {"apiKey": "k"}}


async def test_a_create_with_credentials_is_ready_at_once(company: Client) -> None:
    answer = await company.post(URL, json=PANDADOC)
    assert (answer.status, await answer.json()) == (
        201,
        {
            "success": True,
            "data": {
                "id": ID,
                "name": "PandaDoc",
                "provider": "pandadoc",
                "status": "active",
                "message": "Connection is ready to use",
            },
        },
    )


async def test_a_create_with_credentials_is_handed_on_whole(company: Client, fakes: FakeUseCases) -> None:
    body = {**PANDADOC, "metadata": {"a": 1}, "parameters": {"accountId": "7"}}
    await company.post(URL, json=body, headers={"Idempotency-Key": "once"})
    assert fakes.create_connection.asked == []
    assert fakes.create_api_key_connection.asked == [
        {
            "company_id": "acme",
            "provider": "pandadoc",
            "name": "PandaDoc",
            "metadata": {"a": 1},
            "parameters": {"accountId": "7"},
            "credentials": {"apiKey": "k"},
            "idempotency_key": "once",
            "actor": "api_key:write",
        }
    ]


async def test_reauthorize_with_credentials_shows_the_connection(company: Client) -> None:
    answer = await company.post(AGAIN, json={"credentials": {"apiKey": "k"}})
    data = (await answer.json())["data"]
    assert (answer.status, data["id"], data["status"]) == (200, ID, "active")


@pytest.mark.parametrize(("body", "parameters"), [({}, None), ({"parameters": {"a": "1"}}, {"a": "1"})])
async def test_reauthorize_with_credentials_is_handed_on_whole(
    company: Client, fakes: FakeUseCases, body: dict[str, Any], parameters: dict[str, str] | None
) -> None:
    await company.post(AGAIN, json={**body, "credentials": {"apiKey": "k"}})
    assert fakes.reauthorize_connection.asked == []
    assert fakes.replace_credentials.asked == [
        {
            "company_id": "acme",
            "connection_id": ID,
            "parameters": parameters,
            "credentials": {"apiKey": "k"},
            "actor": "api_key:write",
        }
    ]


@pytest.mark.parametrize(("url", "body"), [(URL, PANDADOC), (AGAIN, {"credentials": {"apiKey": "k"}})])
async def test_credentials_leave_nowhere_to_be_sent_to(
    company: Client, fakes: FakeUseCases, url: str, body: dict[str, Any]
) -> None:
    answer = await company.post(url, json={**body, "redirectUrl": "https://app.example/"})
    assert (answer.status, (await answer.json())["error"]["details"]) == (
        400,
        [{"field": "redirectUrl", "message": "must be left out where credentials are given"}],
    )
    assert fakes.create_api_key_connection.asked + fakes.replace_credentials.asked == []


async def test_refused_credentials_are_a_bad_request(company: Client, fakes: FakeUseCases) -> None:
    fakes.create_api_key_connection.answer = CredentialsRefused("Invalid API key")
    answer = await company.post(URL, json=PANDADOC)
    assert (answer.status, (await answer.json())["error"]) == (
        400,
        {"code": "BAD_REQUEST", "message": "The provider refused these credentials: Invalid API key"},
    )


@pytest.mark.parametrize("credentials", [[], "k", {str(n): "k" for n in range(17)}])
async def test_credentials_are_an_object_of_texts(company: Client, credentials: Any) -> None:
    answer = await company.post(URL, json={**PANDADOC, "credentials": credentials})
    assert [problem["field"] for problem in (await answer.json())["error"]["details"]] == ["credentials"]


@pytest.mark.parametrize("url", [URL, f"{URL}/{ID}/reauthorize"])
@pytest.mark.parametrize("value", [271828, "s3cret" * 1000, None, {"s3cret": "s3cret"}])
async def test_a_credential_that_is_no_text_is_named_and_not_told(
    company: Client, url: str, value: Any
) -> None:
    named = PANDADOC if url == URL else {}
    answer = await company.post(url, json={**named, "credentials": {"apiKey": value, "other": "k"}})
    assert (await answer.json())["error"]["details"] == [
        {
            "field": "credentials.apiKey",
            "message": "must be a text of 1 to 4096 visible ASCII characters",
        }
    ]
    told = await answer.text()
    assert "s3cret" not in told
    assert "271828" not in told
