"""Whose connection it is, and what a key may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from application.ports import Scope
from domain.api_key import readable_prefix
from tests.e2e.harness import run
from tests.e2e.journeys import Answer, connect, eventually

if TYPE_CHECKING:
    from tests.e2e.conftest import NewCompany
    from tests.e2e.journeys import Browser, Company
    from tests.e2e.world import World

ABSENT = "conn_01890a5d-ac96-774b-bcce-b302099a8057"
OF_THE_MOMENT = {"x-request-id", "date"}

ON_ONE: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("PATCH", "", {"name": "Mine now"}),
    ("DELETE", "", None),
    ("POST", "/refresh", None),
    ("POST", "/verify", None),
    ("POST", "/disconnect", None),
    ("POST", "/reauthorize", None),
    ("POST", "/connect-session", None),
    ("GET", "/events", None),
]
WRITES: list[tuple[str, str, Any]] = [
    *((method, f"/{{id}}{path}", body) for method, path, body in ON_ONE if method != "GET"),
    ("POST", "", {"name": "New", "provider": "stripe"}),
    ("GET", "/stripe/auth-url", None),
]


async def call(company: Company, method: str, path: str, body: Any) -> Answer:
    return await company.call(method, f"/connections{path}", **({} if body is None else {"json": body}))


def lasting(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """Give what of an answer does not depend on the moment."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return answer.status, {n: v for n, v in headers.items() if n not in OF_THE_MOMENT}, answer.body


@pytest.mark.parametrize(("method", "path", "body"), ON_ONE)
async def test_another_company_s_connection_is_one_that_does_not_exist(
    company: Company, new_company: NewCompany, browser: Browser, method: str, path: str, body: Any
) -> None:
    theirs = await connect(company, browser)
    stranger = await new_company()
    foreign = await call(stranger, method, f"/{theirs}{path}", body)
    absent = await call(stranger, method, f"/{ABSENT}{path}", body)
    assert foreign.status == 404
    assert lasting(foreign) == lasting(absent)
    assert await company.status_of(theirs) == "active"


async def test_a_company_lists_its_own_connections_alone(
    company: Company, new_company: NewCompany, browser: Browser
) -> None:
    await connect(company, browser)
    stranger = await new_company()
    assert (await stranger.get("/connections")).data == []
    assert (await stranger.get("/events")).data == []


async def test_an_active_connection_of_another_company_blocks_nothing(
    company: Company, new_company: NewCompany, browser: Browser
) -> None:
    await connect(company, browser)
    assert (await (await new_company()).auth_url("stripe")).data["isNew"] is True


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_key_for_reading_changes_nothing(
    company: Company, new_company: NewCompany, browser: Browser, method: str, path: str, body: Any
) -> None:
    connection_id = await connect(company, browser)
    reader = await new_company(Scope.READ, company_id=company.id)
    answer = await call(reader, method, path.format(id=connection_id), body)
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    assert await company.status_of(connection_id) == "active"


@pytest.mark.parametrize("path", ["/connections", "/connections/{id}", "/connections/{id}/events", "/events"])
async def test_a_key_for_reading_reads(
    company: Company, new_company: NewCompany, browser: Browser, path: str
) -> None:
    connection_id = await connect(company, browser)
    reader = await new_company(Scope.READ, company_id=company.id)
    path = path.format(id=connection_id)
    assert (await reader.get(path)).body == (await company.get(path)).body


async def test_a_revoked_key_is_refused_everywhere_soon(company: Company, world: World, second: str) -> None:
    callers = [company, company.at(second)]
    assert [(await caller.get("/connections")).status for caller in callers] == [200, 200]
    revoked = run("keys", "revoke", readable_prefix(company.key), **world.settings())
    assert revoked.returncode == 0, revoked.stderr

    async def refused() -> bool:
        return [(await caller.get("/connections")).status for caller in callers] == [401, 401]

    await eventually(refused)


async def test_a_created_key_is_all_that_is_printed_and_it_works(company: Company, world: World) -> None:
    created = run("keys", "create", "--company", company.id, "--scope", "read", **world.settings())
    assert (created.returncode, created.stdout.count("\n")) == (0, 1)
    key = created.stdout.strip()
    assert (await company.call("GET", "/connections", headers={"x-api-key": key})).status == 200


async def test_a_list_of_keys_shows_none_of_them(company: Company, world: World) -> None:
    listed = run("keys", "list", "--company", company.id, **world.settings())
    assert readable_prefix(company.key) in listed.stdout
    assert company.key not in listed.stdout + listed.stderr
