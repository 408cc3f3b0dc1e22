"""Many callers at once, over two processes on one database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.e2e.journeys import connect

if TYPE_CHECKING:
    from tests.e2e.conftest import NewCompany
    from tests.e2e.journeys import Browser, Company, Nango

SLOW = 3.0
"""Seconds that a provider takes: all callers come while the first one's call is on its way."""


async def test_two_hundred_auth_urls_are_one_connection_and_a_handful_of_flows(
    company: Company, nango: Nango, second: str
) -> None:
    callers = [company, company.at(second)] * 100
    answers = await asyncio.gather(*(caller.auth_url("stripe") for caller in callers))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data["connectionId"] for answer in answers}) == 1
    listed = (await company.get("/connections")).data
    assert [connection["status"] for connection in listed] == ["pending"]
    assert (await nango.calls())["start_oauth"] <= 10


async def test_each_of_many_auth_urls_can_be_completed(
    company: Company, browser: Browser, second: str
) -> None:
    callers = [company, company.at(second)] * 5
    answers = await asyncio.gather(*(caller.auth_url("stripe") for caller in callers))
    chosen = max({answer.data["authUrl"] for answer in answers})
    await browser.authorize(chosen)
    assert await company.status_of(answers[0].data["connectionId"]) == "active"


async def test_two_hundred_refreshes_are_one_at_nango(
    company: Company, browser: Browser, nango: Nango, second: str
) -> None:
    connection_id = await connect(company, browser)
    await nango.fail("token_endpoint", delay=SLOW, connection_id=await nango.id_of(connection_id))
    await nango.forget_calls()
    callers = [company, company.at(second)] * 100
    answers = await asyncio.gather(
        *(caller.post(f"/connections/{connection_id}/refresh") for caller in callers)
    )
    assert {(answer.status, answer.body) for answer in answers} == {(200, answers[0].body)}
    assert (await nango.calls())["refresh_connection"] == 1


async def test_two_hundred_refused_refreshes_are_one_at_nango_too(
    company: Company, browser: Browser, nango: Nango, second: str
) -> None:
    connection_id = await connect(company, browser)
    nango_id = await nango.id_of(connection_id)
    await nango.fail("token_endpoint", "invalid_grant", delay=SLOW, connection_id=nango_id)
    await nango.forget_calls()
    callers = [company, company.at(second)] * 100
    answers = await asyncio.gather(
        *(caller.post(f"/connections/{connection_id}/refresh") for caller in callers)
    )
    assert {(answer.status, answer.body) for answer in answers} == {(500, answers[0].body)}
    assert (await nango.calls())["refresh_connection"] == 1


async def test_verifications_at_once_ask_the_provider_once(
    company: Company, browser: Browser, nango: Nango, second: str
) -> None:
    connection_id = await connect(company, browser)
    # No provider is waited for so long as a refresh is.
    await nango.fail("provider_api", delay=SLOW / 2, connection_id=await nango.id_of(connection_id))
    await nango.forget_calls()
    callers = [company, company.at(second)] * 25
    answers = await asyncio.gather(
        *(caller.post(f"/connections/{connection_id}/verify") for caller in callers)
    )
    assert {(answer.status, answer.data["healthy"]) for answer in answers} == {(200, True)}
    assert (await nango.calls())["provider_api"] == 1


NEW = {"name": "Production Stripe", "provider": "stripe", "metadata": {"environment": "production"}}


async def test_an_idempotency_key_makes_one_connection(company: Company, second: str) -> None:
    first = await company.post("/connections", NEW, Idempotency_Key="key-1")
    again = await company.post("/connections", NEW, Idempotency_Key="key-1")
    elsewhere = await company.at(second).post("/connections", NEW, Idempotency_Key="key-1")
    assert (first.status, again.status, elsewhere.status) == (201, 201, 201)
    assert first.body == again.body == elsewhere.body
    assert len((await company.get("/connections")).data) == 1


async def test_an_idempotency_key_used_at_once_makes_one_connection(
    company: Company, nango: Nango, second: str
) -> None:
    await nango.fail("nango", operation="create_connect_session", delay=0.3)
    callers = [company, company.at(second)] * 5
    answers = await asyncio.gather(
        *(caller.post("/connections", NEW, Idempotency_Key="key-2") for caller in callers)
    )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert len((await company.get("/connections")).data) == 1


async def test_the_answer_to_a_repeated_key_can_be_followed(company: Company, browser: Browser) -> None:
    await company.post("/connections", NEW, Idempotency_Key="key-3")
    again = await company.post("/connections", NEW, Idempotency_Key="key-3")
    await browser.authorize(again.data["oauthUrl"])
    assert await company.status_of(again.data["id"]) == "active"


async def test_an_idempotency_key_with_another_body_is_refused(company: Company, second: str) -> None:
    await company.post("/connections", NEW, Idempotency_Key="key-4")
    for caller in (company, company.at(second)):
        other = await caller.post("/connections", {**NEW, "name": "Other"}, Idempotency_Key="key-4")
        assert (other.status, other.error["code"]) == (422, "UNPROCESSABLE_ENTITY")
    assert len((await company.get("/connections")).data) == 1


async def test_a_key_whose_call_failed_may_be_used_again(company: Company, nango: Nango) -> None:
    await nango.fail("nango", "server_error", operation="create_connect_session")
    failed = await company.post("/connections", NEW, Idempotency_Key="key-5")
    await nango.heal()
    again = await company.post("/connections", NEW, Idempotency_Key="key-5")
    assert (failed.status, again.status) == (503, 201)
    assert [each["id"] for each in (await company.get("/connections")).data] == [again.data["id"]]


async def test_idempotency_keys_of_two_companies_do_not_meet(
    company: Company, new_company: NewCompany
) -> None:
    other = await new_company()
    mine = await company.post("/connections", NEW, Idempotency_Key="key-6")
    theirs = await other.post("/connections", NEW, Idempotency_Key="key-6")
    assert mine.data["id"] != theirs.data["id"]
