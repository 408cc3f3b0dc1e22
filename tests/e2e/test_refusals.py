"""What stops a command before it starts: status 1 and one line that names the variable, never its value.

Two of them as processes of their own; the others within this one, for speed.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from attrs import frozen
from click.testing import CliRunner

from entrypoints.cli import main
from tests.e2e.harness import environment, free_port, run

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2-hunter2-hunter2"
DATABASE = f"postgresql://connections:{SECRET}@127.0.0.1:9/connections"
NANGO_KEY = "8b9a4a52-1c7e-4d0f-9a55-6f1f7f0f2a11"
GOOD: dict[str, object] = {"database_url": DATABASE, "nango_secret_key": NANGO_KEY}

REFUSED: dict[str, tuple[str, dict[str, object]]] = {
    "no database": ("CONNECTIONS_DATABASE_URL", {"nango_secret_key": NANGO_KEY}),
    "an empty database": ("CONNECTIONS_DATABASE_URL", {**GOOD, "database_url": ""}),
    "a database of another kind": ("CONNECTIONS_DATABASE_URL", {**GOOD, "database_url": f"x://{SECRET}@h"}),
    "no Nango key": ("CONNECTIONS_NANGO_SECRET_KEY", {"database_url": DATABASE}),
    "a Nango key of two lines": ("CONNECTIONS_NANGO_SECRET_KEY", {**GOOD, "nango_secret_key": "a\nb"}),
    "an address of Nango with a password": (
        "CONNECTIONS_NANGO_URL",
        {**GOOD, "nango_url": f"http://u:{SECRET}@h"},
    ),
    "an unknown variable": ("CONNECTIONS_DATBASE_URL", {**GOOD, "datbase_url": DATABASE}),
    "a port that is none": ("CONNECTIONS_PORT", {**GOOD, "port": SECRET}),
    "a port out of range": ("CONNECTIONS_PORT", {**GOOD, "port": 70000}),
    "a log level that is none": ("CONNECTIONS_LOG_LEVEL", {**GOOD, "log_level": SECRET}),
    "a weak bootstrap key": ("CONNECTIONS_BOOTSTRAP_API_KEY", {**GOOD, "bootstrap_api_key": SECRET}),
    "an origin with a path": (
        "CONNECTIONS_REDIRECT_ORIGINS",
        {**GOOD, "redirect_origins": "https://a.example/b"},
    ),
    "a folder that is not there": ("CONNECTIONS_PROVIDERS_DIR", {**GOOD, "providers_dir": f"/{SECRET}"}),
}


@frozen
class Ended:
    """How a command ended."""

    status: int
    printed: str
    said: str


def here(*arguments: str, **settings: object) -> Ended:
    """Run a command that is expected to end before it starts anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("entrypoints.cli.configure_logs", lambda *_: None)  # it is for the whole process
        done = CliRunner().invoke(main, arguments, env=dict(environment(settings)))
    return Ended(done.exit_code, done.stdout, done.stderr)


def there(*arguments: str, **settings: object) -> Ended:
    done = run(*arguments, **settings)
    return Ended(done.returncode, done.stdout, done.stderr)


def one_line(ended: Ended) -> str:
    assert (ended.status, ended.printed) == (1, ""), ended.said
    [line] = ended.said.splitlines()
    assert SECRET not in line
    assert NANGO_KEY not in line
    return line


@pytest.mark.parametrize("case", REFUSED)
def test_serve_refuses_to_start_with(case: str) -> None:
    variable, settings = REFUSED[case]
    assert variable in one_line(here("serve", **settings))


@pytest.mark.parametrize("command", [["worker"], ["migrate"], ["keys", "list"]])
def test_a_command_without_a_database_says_so(command: list[str]) -> None:
    assert "CONNECTIONS_DATABASE_URL" in one_line(here(*command))


def test_a_worker_without_a_nango_key_says_so() -> None:
    assert "CONNECTIONS_NANGO_SECRET_KEY" in one_line(here("worker", database_url=DATABASE))


def test_serve_refuses_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = there("serve", **GOOD, port=taken.getsockname()[1])
    assert "CONNECTIONS_PORT" in one_line(ended)


def test_dev_refuses_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = here("dev", data_dir=tmp_path, port=taken.getsockname()[1])
    assert "CONNECTIONS_PORT" in one_line(ended)


@pytest.mark.parametrize("folder", ["/dev/null/data", "/proc/data", "a$b"])
def test_dev_refuses_a_folder_that_its_database_cannot_live_in(tmp_path: Path, folder: str) -> None:
    ended = here("dev", data_dir=tmp_path / folder, port=free_port(neighbours=1))
    assert "CONNECTIONS_DATA_DIR" in one_line(ended)


def test_dev_refuses_a_nango_of_ones_own_without_its_key(tmp_path: Path) -> None:
    ended = here("dev", data_dir=tmp_path, nango_url="http://127.0.0.1:3003")
    assert "CONNECTIONS_NANGO_SECRET_KEY" in one_line(ended)


@pytest.mark.parametrize("command", [["migrate"], ["keys", "create", "--company", "acme"]])
def test_a_database_that_is_away_is_one_line(command: list[str]) -> None:
    assert "database" in one_line(there(*command, database_url=DATABASE)).lower()


@pytest.mark.parametrize("command", ["serve", "worker", "dev"])
def test_each_fault_of_a_provider_file_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "acme.toml").write_text('key = "other"')
    settings = {**GOOD, "providers_dir": tmp_path, "data_dir": tmp_path / "data", "port": free_port()}
    ended = here(command, **settings)
    assert (ended.status, ended.printed) == (1, "")
    assert all("acme.toml:1: " in line for line in ended.said.splitlines()), ended.said


def test_a_company_that_cannot_be_one_is_refused() -> None:
    ended = here("keys", "create", "--company", "a b", database_url=DATABASE)
    assert (ended.status, ended.printed, "must be 1 to 64 letters" in ended.said) == (2, "", True)
