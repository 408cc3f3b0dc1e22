"""The embedded server's life: stops, crashes, users that are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from entrypoints.embedded_postgres import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

_USER = """
import sys, time
from pathlib import Path
from entrypoints.embedded_postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(60)
"""
DEADLINE = 30.0


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """One for all, as making a database takes most of a second: each test leaves its server stopped."""
    path = Path(tempfile.mkdtemp(prefix="connections-tests-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _postmaster(directory: Path) -> int:
    return int((directory / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def _stopped(directory: Path) -> bool:
    return not (directory / "postgres" / "postmaster.pid").exists()


def _user(directory: Path) -> tuple[subprocess.Popen[str], str]:
    """Start another process that uses the server; give it once the server runs."""
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-c", _USER, str(directory)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url
    return process, url


def _end(process: subprocess.Popen[str], number: int) -> None:
    process.send_signal(number)
    process.wait(DEADLINE)
    assert process.stdout is not None
    process.stdout.close()


async def _ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        answer: object = await connection.fetchval(sql)
    finally:
        await connection.close()
    return answer


async def _keep(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer")
    finally:
        await connection.close()


async def test_what_was_written_is_there_at_the_next_start(directory: Path) -> None:
    with embedded_postgres(directory) as url:
        await _keep(url)

    with embedded_postgres(directory) as url:
        assert await _ask(url, "SELECT answer FROM kept") == 42


def test_it_stops_with_its_user(directory: Path) -> None:
    with embedded_postgres(directory):
        assert not _stopped(directory)

    assert _stopped(directory)


async def test_it_listens_on_no_network(directory: Path) -> None:
    with embedded_postgres(directory) as url:
        assert await _ask(url, "SHOW listen_addresses") == ""


async def test_a_second_user_joins_and_the_last_one_out_stops_it(directory: Path) -> None:
    with embedded_postgres(directory) as url:
        process, joined = _user(directory)
        assert joined == url
        _end(process, signal.SIGTERM)
        assert await _ask(url, "SELECT 1") == 1

    assert _stopped(directory)


def test_sigterm_stops_it(directory: Path) -> None:
    process, _ = _user(directory)
    _end(process, signal.SIGTERM)

    assert _stopped(directory)


async def test_a_user_that_was_killed_is_not_waited_for(directory: Path) -> None:
    process, _ = _user(directory)
    _end(process, signal.SIGKILL)
    assert not _stopped(directory)

    with embedded_postgres(directory) as url:
        assert await _ask(url, "SELECT 1") == 1

    assert _stopped(directory)


async def test_a_server_that_was_killed_recovers_what_was_committed(directory: Path) -> None:
    process, url = _user(directory)
    await _keep(url)
    os.kill(_postmaster(directory), signal.SIGKILL)
    _end(process, signal.SIGKILL)

    with embedded_postgres(directory) as url:
        assert await _ask(url, "SELECT answer FROM kept") == 42


async def test_a_folder_may_have_a_name_that_a_shell_would_quote(directory: Path) -> None:
    named = directory / "Sophie's projects (new)"
    process, url = _user(named)
    await _keep(url)
    os.kill(_postmaster(named), signal.SIGKILL)
    _end(process, signal.SIGKILL)

    with embedded_postgres(named) as url:
        assert await _ask(url, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("character", list('"$`\\\n'))
def test_a_name_that_cannot_be_quoted_is_told(directory: Path, character: str) -> None:
    with (
        pytest.raises(ValueError, match="cannot be started"),
        embedded_postgres(directory / f"a{character}b"),
    ):
        pass


@pytest.mark.parametrize("left", ["", "1\n", "{pid}\n/elsewhere\n"])
async def test_a_pid_file_that_tells_nothing_is_no_obstacle(directory: Path, left: str) -> None:
    with embedded_postgres(directory):
        pass
    (directory / "postgres" / "postmaster.pid").write_text(left.format(pid=os.getpid()))

    with embedded_postgres(directory) as url:
        assert await _ask(url, "SELECT 1") == 1


async def test_a_server_that_is_stopped_in_mid_air_is_told_not_replaced(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrypoints.embedded_postgres._LAST_BREATH", 0.2)
    process, url = _user(directory)
    postmaster = _postmaster(directory)
    os.kill(postmaster, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError, match="does not answer"), embedded_postgres(directory):
            pass
    finally:
        os.kill(postmaster, signal.SIGCONT)
    assert await _ask(url, "SELECT 1") == 1
    _end(process, signal.SIGTERM)


async def test_a_server_that_stops_while_it_is_asked_is_started_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, _ = _user(directory)
    _end(process, signal.SIGKILL)

    def stops(_: Path) -> bool:
        os.kill(_postmaster(directory), signal.SIGINT)
        deadline = time.monotonic() + DEADLINE
        while not _stopped(directory) and time.monotonic() < deadline:
            time.sleep(0.01)
        return False

    with monkeypatch.context() as patch:
        patch.setattr("entrypoints.embedded_postgres._answers", stops)
        with embedded_postgres(directory) as url:
            assert await _ask(url, "SELECT 1") == 1
