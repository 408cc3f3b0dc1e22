"""The commands as an operator runs them: started, stopped, killed, and refused."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.e2e.harness import Process, free_port, group_of, run, running, spawn, working_below
from tests.e2e.journeys import Answer, Browser, Company, Nango, connect, eventually, result_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.e2e.world import World


# ── dev ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory that PostgreSQL's own user can enter."""
    directory = Path(tempfile.mkdtemp(prefix="connections-dev-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
async def passing() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps no connection to what may be gone by its next call."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True), cookie_jar=aiohttp.CookieJar(unsafe=True)
    ) as session:
        yield session


def dev(data_dir: Path, port: int, log: Path) -> Process:
    settings = {"port": port, "data_dir": data_dir, "public_url": f"http://127.0.0.1:{port}"}
    url = f"http://127.0.0.1:{port}"
    return spawn("entrypoints", "dev", log=log, url=url, settings=settings).wait_ready()


async def test_what_dev_has_connected_outlives_its_restart_and_its_death(
    data_dir: Path, tmp_path: Path, passing: aiohttp.ClientSession
) -> None:
    port = free_port(neighbours=1)
    browser = Browser(passing)
    with running(dev(data_dir, port, tmp_path / "first")) as first:
        key = (data_dir / "api-key").read_text()
        company = Company(session=passing, base=first.url, key=key, id="development")
        connection_id = await connect(company, browser)
        pending = (await company.auth_url("hubspot")).data
        assert first.stop() == 0
    assert working_below(data_dir) == []
    with running(dev(data_dir, port, tmp_path / "second")) as second:
        assert (await company.post(f"/connections/{connection_id}/verify")).data["healthy"] is True
        await browser.authorize(pending["authUrl"])
        second.kill()
    with running(dev(data_dir, port, tmp_path / "third")) as third:
        for connected in (connection_id, pending["connectionId"]):
            assert (await company.post(f"/connections/{connected}/verify")).data["healthy"] is True
        assert third.stop() == 0
    assert working_below(data_dir) == []


def test_what_dev_prints_works_when_pasted(data_dir: Path, tmp_path: Path) -> None:
    with running(dev(data_dir, free_port(neighbours=1), tmp_path / "log")) as service:
        [call] = [line for line in service.said.splitlines() if "curl" in line and "auth-url" in line]
        assert b'"success":true' in pasted(call)
        [database] = [line for line in service.said.splitlines() if "CONNECTIONS_DATABASE_URL" in line]
        assert b"development" in pasted(f"{database.strip()} {sys.executable} -m entrypoints keys list")
        service.stop()


def pasted(line: str) -> bytes:
    done = subprocess.run(line, shell=True, capture_output=True, check=True)  # noqa: S602 - as a user does
    return done.stdout


# ── serve ─────────────────────────────────────────────────────────────────────────────────────────────


def children_of(server: Process) -> list[int]:
    return sorted(pid for pid in group_of(server.popen.pid) if pid != server.popen.pid)


async def test_a_worker_process_that_dies_is_replaced_and_sigterm_ends_all_even_then(
    world: World, company: Company
) -> None:
    with running(world.serve("--workers", 2)) as server:
        server.wait_ready()
        here = company.at(server.url)
        doomed, survivor = children_of(server)
        os.kill(doomed, signal.SIGKILL)

        async def replaced() -> bool:
            # A connection that the dead one had accepted is lost with it; a new one never is.
            assert (await here.call("GET", "/connections", headers={"Connection": "close"})).status == 200
            now = children_of(server)
            return len(now) == 2 and doomed not in now

        await eventually(replaced)
        os.kill(survivor, signal.SIGKILL)

        async def noticed() -> bool:
            return server.said.count("worker process died") == 2

        await eventually(noticed)
        assert server.stop() == 0


@asynccontextmanager
async def at_work(
    world: World, company: Company, browser: Browser, nango: Nango
) -> AsyncIterator[tuple[Process, asyncio.Task[Answer]]]:
    """Give a server of two processes, and a callback that one of them waits for Nango with."""
    callback = await browser.consent((await company.auth_url("stripe")).data["authUrl"])
    await nango.linger("stripe-app", 1.0)
    with running(world.serve("--workers", 2)) as server:
        server.wait_ready()
        on_its_way = asyncio.create_task(browser.visit(callback, at=server.url))
        await eventually(nango.is_exchanging)
        yield server, on_its_way


async def test_a_signal_to_the_whole_group_lets_a_request_end(
    world: World, company: Company, browser: Browser, nango: Nango
) -> None:
    async with at_work(world, company, browser, nango) as (server, on_its_way):
        os.killpg(server.popen.pid, signal.SIGTERM)
        assert result_in((await on_its_way).location)["success"] == "true"
        assert server.popen.wait(30) == 0


async def test_worker_processes_whose_parent_is_killed_let_a_request_end_and_end_themselves(
    world: World, company: Company, browser: Browser, nango: Nango
) -> None:
    async with at_work(world, company, browser, nango) as (server, on_its_way):
        server.signal(signal.SIGKILL)
        assert server.popen.wait() == -signal.SIGKILL
        assert result_in((await on_its_way).location)["success"] == "true"

        async def all_ended() -> bool:
            return not group_of(server.popen.pid)

        await eventually(all_ended)
        assert server.said.count("supervisor died") == 2


async def test_a_worker_that_has_nothing_to_do_ends(world: World) -> None:
    with running(world.worker()) as worker:

        async def working() -> bool:
            return "working" in worker.said

        await eventually(working)
        assert worker.stop() == 0


async def test_a_worker_on_a_database_that_was_never_migrated_says_so_and_goes_on(
    empty_database_url: str, world: World
) -> None:
    with running(world.worker(database_url=empty_database_url)) as worker:

        async def told_of_every_kind_of_work() -> bool:
            return worker.said.count("42P01") >= 4

        await eventually(told_of_every_kind_of_work)
        assert worker.stop() == 0
    assert "connections migrate" in worker.said
    assert "Traceback" not in worker.said


# ── migrate ───────────────────────────────────────────────────────────────────────────────────────────


def test_migrate_brings_an_empty_database_up_and_is_then_idle(empty_database_url: str) -> None:
    first = run("migrate", database_url=empty_database_url)
    again = run("migrate", database_url=empty_database_url)
    assert (first.returncode, again.returncode) == (0, 0)
    assert "0001" in first.stderr
    assert again.stderr == "nothing to do\n"


def test_a_database_that_was_never_migrated_is_not_ready(empty_database_url: str, world: World) -> None:
    with running(world.serve(database_url=empty_database_url)) as server:
        server.wait_ready("/healthz")
        for path in ("/readyz", "/api/v1/connections"):
            asked = urllib.request.Request(f"{server.url}{path}", headers={"x-api-key": "k" * 40})  # noqa: S310 - our own http
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(asked, timeout=5)  # noqa: S310 - our own http
        assert server.stop() == 0
    assert "Traceback" not in server.said
    assert "connections migrate" in server.said
