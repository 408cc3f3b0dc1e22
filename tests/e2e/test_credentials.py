"""Connections by API key: active at once, or nothing at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from domain.api_key import readable_prefix
from tests.e2e.journeys import eventually

if TYPE_CHECKING:
    from tests.e2e.journeys import Answer, Company, Nango
    from tests.e2e.world import World

BAD = "sk_test-bad-1"
"""One that the sandbox's providers refuse."""


def good(company: Company, number: int = 1) -> str:
    """Give a key that no other test revokes."""
    return f"sk_test_{company.id}_{number}"


async def create(company: Company, key: str, **headers: str) -> Answer:
    body = {"name": "By key", "provider": "stripe", "credentials": {"apiKey": key}}
    return await company.post("/connections", body, **headers)


async def test_a_good_key_makes_an_active_connection(company: Company, nango: Nango) -> None:
    created = await create(company, good(company))
    assert (created.status, created.data["status"], "oauthUrl" in created.data) == (201, "active", False)
    connection = (await company.get(f"/connections/{created.data['id']}")).data
    assert (connection["status"], connection["externalAccountId"][:5]) == ("active", "acct_")
    assert len(await nango.of(created.data["id"])) == 1


async def test_a_refused_key_leaves_nothing(company: Company, nango: Nango) -> None:
    refused = await create(company, BAD)
    assert (refused.status, refused.error["code"]) == (400, "BAD_REQUEST")
    assert BAD.encode() not in refused.body
    assert (await company.get("/connections")).data == []
    assert (await nango.calls())["delete_connection"] == 1


async def test_a_key_that_cannot_be_tried_leaves_nothing(company: Company, nango: Nango) -> None:
    await nango.fail("provider_api", "server_error", integration="stripe-api-key")
    untried = await create(company, good(company))
    assert (untried.status, untried.error["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert (await company.get("/connections")).data == []
    assert (await nango.calls())["delete_connection"] == 1


async def test_a_key_connection_is_verified_and_not_refreshed(company: Company, nango: Nango) -> None:
    connection_id = (await create(company, good(company))).data["id"]
    assert (await company.post(f"/connections/{connection_id}/verify")).data["healthy"] is True
    assert (await company.post(f"/connections/{connection_id}/refresh")).status == 400


async def test_a_key_revoked_at_the_provider_is_unhealthy(company: Company, nango: Nango) -> None:
    connection_id = (await create(company, good(company))).data["id"]
    await nango.act("revoke", await nango.id_of(connection_id))
    verified = (await company.post(f"/connections/{connection_id}/verify")).data
    assert (verified["healthy"], verified["status"]) == (False, "error")


async def test_a_bad_key_never_replaces_one(company: Company, nango: Nango) -> None:
    connection_id = (await create(company, good(company))).data["id"]
    nango_id = await nango.id_of(connection_id)
    await nango.act("revoke", nango_id)
    await company.post(f"/connections/{connection_id}/verify")
    replaced = await company.post(
        f"/connections/{connection_id}/reauthorize", {"credentials": {"apiKey": BAD}}
    )
    assert replaced.status == 400
    assert await company.status_of(connection_id) == "error"
    assert await nango.id_of(connection_id) == nango_id


async def test_a_good_key_replaces_a_dead_one(company: Company, nango: Nango) -> None:
    connection_id = (await create(company, good(company))).data["id"]
    nango_id = await nango.id_of(connection_id)
    await nango.act("revoke", nango_id)
    await company.post(f"/connections/{connection_id}/verify")
    replaced = await company.post(
        f"/connections/{connection_id}/reauthorize", {"credentials": {"apiKey": good(company, 2)}}
    )
    assert replaced.status == 200, replaced.body
    assert await company.status_of(connection_id) == "active"
    assert await nango.id_of(connection_id) != nango_id


async def test_a_key_comes_back_after_a_disconnect(company: Company, nango: Nango) -> None:
    connection_id = (await create(company, good(company))).data["id"]
    await company.post(f"/connections/{connection_id}/disconnect")
    await company.post(
        f"/connections/{connection_id}/reauthorize", {"credentials": {"apiKey": good(company, 2)}}
    )
    assert await company.status_of(connection_id) == "active"
    assert len(await nango.of(connection_id)) == 1


async def test_a_deleted_key_is_gone_at_nango(company: Company, nango: Nango) -> None:
    connection_id = (await create(company, good(company))).data["id"]
    await company.delete(f"/connections/{connection_id}")
    assert await nango.of(connection_id) == []


async def test_a_key_given_at_once_under_one_idempotency_key_is_one_connection(
    company: Company, nango: Nango, second: str
) -> None:
    await nango.fail("nango", operation="import_connection", delay=0.3)
    answers = await asyncio.gather(
        *(create(caller, good(company), Idempotency_Key="k") for caller in [company, company.at(second)] * 3)
    )
    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
    assert len((await company.get("/connections")).data) == 1


async def test_a_key_that_nango_took_in_a_crash_is_finished_by_the_worker(
    company: Company, nango: Nango, world: World
) -> None:
    await nango.fail("provider_api", "server_error", integration="stripe-api-key")
    await nango.fail("nango", "server_error", operation="delete_connection")
    assert (await create(company, good(company))).status == 503
    await nango.heal()
    rows = await world.sql("SELECT id FROM connections WHERE company_id = $1", company.id)
    [connection_id] = [row["id"] for row in rows]
    assert len(await nango.of(connection_id)) == 1
    await world.let_time_pass(connection_id)

    async def gone() -> bool:
        return not await nango.of(connection_id)

    await eventually(gone)


async def test_an_active_key_does_not_block_oauth(company: Company) -> None:
    await create(company, good(company))
    assert (await company.auth_url("stripe")).data["isNew"] is True


async def test_no_key_is_in_the_database_or_the_logs(company: Company, world: World, nango: Nango) -> None:
    canary = "sk_test_canary_5d1f0b7e"
    connection_id = (await create(company, canary, Idempotency_Key="canary-6b0c")).data["id"]
    await create(company, f"{canary}-bad-1")
    await company.post(f"/connections/{connection_id}/verify")
    tables = [
        row["t"]
        for row in await world.sql("SELECT tablename AS t FROM pg_tables WHERE schemaname = 'public'")
    ]
    dumped = [str(await world.sql(f"SELECT t::text FROM {table} t")) for table in tables]  # noqa: S608 - names of the catalogue
    logged = [log.read_text() for log in world.logs.glob("serve-*.log")]
    assert len(tables) > 5
    assert any(connection_id in text for text in dumped)
    for secret in (canary, "canary-6b0c", company.key):
        assert not [text for text in dumped + logged if secret in text]
    assert any(f"api_key:{readable_prefix(company.key)}" in text for text in logged)
