"""The worked examples of docs/adding-a-provider.md, taken from the page and run."""

from __future__ import annotations

import asyncio
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from adapters.catalogue.errors import CatalogueError
from adapters.catalogue.loader import load_catalogue
from adapters.sandbox import Integration, create_sandbox
from entrypoints.cli import main
from tests.e2e.harness import free_port
from tests.e2e.sandbox_process import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_aiohttp import AiohttpServer

GUIDE = (Path(__file__).parents[2] / "docs/adding-a-provider.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
ERROR, ACME, CHECK, TRY_ACME, PACKAGE, OBJECT, PYPROJECT, TRY_OBJECT = [text for _, text in BLOCKS]


def run(example: str) -> None:
    exec(compile(example, "docs/adding-a-provider.md", "exec"), {})  # noqa: S102 - our own page, run on purpose


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory that a reader works in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("salesforce_by_token", "acme_providers"):
        sys.modules.pop(name, None)


def test_the_toml_example_works_as_the_page_says(folder: Path) -> None:
    (folder / "providers").mkdir()
    (folder / "providers/acme.toml").write_text(ACME)
    run(TRY_ACME)


def test_the_error_on_the_page_is_the_one_that_is_given(folder: Path) -> None:
    (folder / "acme.toml").write_text(ACME.replace("integration", "integraton"))
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(folder)
    assert str(caught.value).replace(str(folder), "/etc/connections") == ERROR.strip()


def test_a_package_of_toml_files_is_built_and_found_as_the_page_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, installed = folder / "source", folder / "installed"
    (source / "acme_providers").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PACKAGE)
    (source / "acme_providers/__init__.py").touch()
    (source / "acme_providers/acme.toml").write_text(ACME)
    # With what is here, and nothing else.
    how = ("--no-index", "--no-deps", "--no-build-isolation", "--target", installed)
    pip = (sys.executable, "-m", "pip", "install", *how, source)
    subprocess.run(pip, check=True, capture_output=True)  # noqa: S603 - our own words
    monkeypatch.syspath_prepend(installed)
    assert load_catalogue(None).get("acme").provider.name == "Acme CRM"


def test_the_python_example_works_as_the_page_says(folder: Path) -> None:
    project = tomllib.loads(PYPROJECT)["project"]
    (folder / "salesforce_by_token.py").write_text(OBJECT)
    info = folder / f"salesforce_by_token-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = project["entry-points"]["connections.providers"]
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[connections.providers]", *lines]))
    importlib.invalidate_caches()
    run(TRY_OBJECT)


async def test_the_check_says_what_the_page_shows(
    folder: Path, aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrypoints.cli.configure_logs", lambda *_: None)  # it is for the whole process
    (folder / "providers").mkdir()
    (folder / "providers/acme.toml").write_text(ACME)
    port = free_port()
    sandbox = create_sandbox(
        secret_key=SECRET_KEY,
        public_url=f"http://127.0.0.1:{port}",
        callback_url="https://connections.example.com/oauth/callback",
        integrations=[Integration("acme", scopes="read,write")],
    )
    await aiohttp_server(sandbox, port=port)
    command, _, shown = CHECK.partition("\n")
    settings = {
        "CONNECTIONS_NANGO_URL": f"http://127.0.0.1:{port}",
        "CONNECTIONS_NANGO_SECRET_KEY": SECRET_KEY,
    }
    arguments = command.removeprefix("$ connections ").split()
    with capture_logs():
        result = await asyncio.to_thread(CliRunner(env=settings).invoke, main, arguments)
    assert (result.exit_code, result.stdout.replace("127.0.0.1", "acme.example")) == (0, shown)
