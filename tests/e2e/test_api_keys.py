"""The three providers that take keys, each in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.journeys import Answer, Company, Nango


async def create(company: Company, provider: str, credentials: dict[str, str], **more: Any) -> Answer:
    return await company.post(
        "/connections", {"name": "By key", "provider": provider, "credentials": credentials, **more}
    )


async def test_pandadoc_takes_a_good_key(company: Company, nango: Nango) -> None:
    created = await create(company, "pandadoc", {"apiKey": f"pd_{company.id}"})
    assert (created.status, created.data["status"]) == (201, "active")
    connection = (await company.get(f"/connections/{created.data['id']}")).data
    assert connection["externalAccountId"]
    [grant] = await nango.of(created.data["id"])
    assert grant["integration"] == "pandadoc-api-key"


async def test_pandadoc_refuses_a_bad_key_and_nothing_is_left(company: Company, nango: Nango) -> None:
    refused = await create(company, "pandadoc", {"apiKey": "pd-bad-key"})
    assert (refused.status, refused.error["code"]) == (400, "BAD_REQUEST")
    assert "pd-bad-key" not in refused.body.decode()
    assert (await company.get("/connections")).data == []
    assert "proxy" not in await nango.calls()


async def test_a_restricted_stripe_key_is_good_without_its_account(company: Company, nango: Nango) -> None:
    await nango.fail("provider_api", "forbidden", integration="stripe-api-key")
    created = await create(company, "stripe", {"apiKey": f"rk_{company.id}"})
    assert (created.status, created.data["status"]) == (201, "active")
    verified = (await company.post(f"/connections/{created.data['id']}/verify")).data
    assert (verified["healthy"], verified["status"], verified["error"]) == (True, "active", None)
    assert (await company.get(f"/connections/{created.data['id']}")).data["externalAccountId"] is None


async def test_netsuite_takes_a_token_and_its_account(company: Company, nango: Nango) -> None:
    credentials = {"tokenId": f"id-{company.id}", "tokenSecret": "secret"}
    created = await create(company, "netsuite", credentials, parameters={"accountId": "1234567_SB1"})
    assert created.status == 201
    connection = (await company.get(f"/connections/{created.data['id']}")).data
    assert (connection["status"], connection["externalAccountId"]) == ("active", "1234567-sb1")
    [grant] = await nango.of(created.data["id"])
    assert grant["connection_config"] == {"accountId": "1234567-sb1"}


async def test_netsuite_says_what_is_missing(company: Company, nango: Nango) -> None:
    refused = await create(company, "netsuite", {"tokenId": "id"})
    assert refused.status == 400
    assert [each["field"] for each in refused.error["details"]] == ["parameters.accountId"]
    assert await nango.calls() == {}


async def test_a_key_connection_is_given_a_key_and_no_page_to_go_to(company: Company, nango: Nango) -> None:
    created = await create(company, "stripe", {"apiKey": f"sk_{company.id}_a"})
    path = f"/connections/{created.data['id']}"
    refused = await company.post(f"{path}/reauthorize")
    assert (refused.status, refused.error["code"]) == (400, "BAD_REQUEST")
    assert [each["field"] for each in refused.error["details"]] == ["credentials"]
    assert (await company.get(path)).data["status"] == "active"
    assert len(await nango.of(created.data["id"])) == 1
