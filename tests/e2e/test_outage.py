"""Without Nango: what needs only the database goes on, the rest says so soon, and nothing changes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import running
from tests.e2e.journeys import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.harness import Process
    from tests.e2e.journeys import Browser, Company
    from tests.e2e.world import World

NOWHERE = "http://127.0.0.1:9"
"""The discard port: nobody listens."""


@pytest.fixture(scope="module")
def cut_off(world: World) -> Iterator[str]:
    """A server of the same deployment that finds no Nango."""
    with running(world.serve(nango_url=NOWHERE)) as server:
        server.wait_ready()
        yield server.url
        server.stop()


@pytest.fixture
def silent(nango_process: Process) -> Iterator[None]:
    """Nango takes connections and never answers."""
    nango_process.signal(signal.SIGSTOP)
    yield
    nango_process.signal(signal.SIGCONT)


NEEDS_NANGO = ["auth-url", "create", "verify", "refresh"]


async def ask_for(company: Company, what: str, connection_id: str) -> tuple[int, int]:
    """Give the status and Retry-After of a call that needs Nango."""
    if what == "auth-url":
        answer = await company.auth_url("hubspot")
    elif what == "create":
        answer = await company.post("/connections", {"name": "Another", "provider": "slack"})
    else:
        answer = await company.post(f"/connections/{connection_id}/{what}")
    return answer.status, int(answer.headers.get("Retry-After", 0))


@pytest.mark.parametrize("what", NEEDS_NANGO)
async def test_without_nango_a_call_that_needs_it_says_so_and_changes_nothing(
    company: Company, browser: Browser, cut_off: str, what: str
) -> None:
    connection_id = await connect(company, browser)
    before = (await company.get("/connections")).body
    status, retry_after = await ask_for(company.at(cut_off), what, connection_id)
    assert (status, retry_after >= 1) == (503, True)
    assert (await company.get("/connections")).body == before


async def test_without_nango_reading_goes_on(company: Company, browser: Browser, cut_off: str) -> None:
    connection_id = await connect(company, browser)
    for path in ("/connections", f"/connections/{connection_id}", f"/connections/{connection_id}/events"):
        assert (await company.at(cut_off).get(path)).body == (await company.get(path)).body


async def test_without_nango_renaming_goes_on(company: Company, browser: Browser, cut_off: str) -> None:
    connection_id = await connect(company, browser)
    renamed = await company.at(cut_off).call("PATCH", f"/connections/{connection_id}", json={"name": "New"})
    assert (renamed.status, renamed.data["name"]) == (200, "New")


async def test_without_nango_a_delete_is_done_here(company: Company, browser: Browser, cut_off: str) -> None:
    connection_id = await connect(company, browser)
    deleted = await company.at(cut_off).delete(f"/connections/{connection_id}")
    assert (deleted.status, deleted.data) == (200, {"deleted": True})


async def test_a_callback_without_nango_waits_for_the_outcome(
    company: Company, browser: Browser, cut_off: str, world: World
) -> None:
    started = (await company.auth_url("stripe")).data
    callback = await browser.consent(started["authUrl"])
    waiting = await browser.visit(callback, at=cut_off, page=True)
    assert (waiting.status, b'http-equiv="refresh"' in waiting.body) == (202, True)
    assert await company.status_of(started["connectionId"]) == "pending"


@pytest.mark.usefixtures("silent")
async def test_with_nango_silent_every_call_that_needs_it_says_so(company: Company, world: World) -> None:
    answer = await company.auth_url("hubspot")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await company.get("/connections")).data == []
