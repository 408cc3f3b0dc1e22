"""The import rules hold, and each of them can fail: one offending import in a copy breaks it by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
RULES: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]
CONTRACTS: dict[str, dict[str, Any]] = {rule["id"]: rule for rule in RULES["contracts"]}

Offence = tuple[str, str, str]
"""The rule, the file, and the line that breaks it."""
OFFENCES: list[Offence] = [
    ("layers", "domain/connection.py", "from application import ports"),
    ("layers", "domain/provider.py", "import adapters.catalogue.templates"),
    ("layers", "application/get_connection.py", "from adapters.nango import gateway"),
    ("layers", "adapters/catalogue/loader.py", "from entrypoints import settings"),
    ("adapters-are-strangers", "adapters/http/app.py", "from adapters.postgres import store"),
    ("adapters-are-strangers", "adapters/memory/__init__.py", "from adapters.catalogue import loader"),
    ("pure-domain", "domain/connection.py", "import time"),
    ("pure-domain", "domain/events.py", "from uuid import uuid4"),
    ("pure-domain", "domain/redirect.py", "import msgspec"),
    ("pure-domain", "domain/authorization.py", "import asyncio"),
    ("application-speaks-through-ports", "application/get_connection.py", "import asyncpg"),
    ("application-speaks-through-ports", "application/get_connection.py", "from aiohttp import web"),
    ("one-composition-file", "entrypoints/settings.py", "from dependency_injector import containers"),
    ("one-composition-file", "adapters/http/app.py", "import dependency_injector"),
    (
        "one-composition-file",
        "application/get_connection.py",
        "from dependency_injector.wiring import inject",
    ),
]


# Each offence by itself, in one process: starting the linter takes longer than its work.
SPOIL = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from importlinter.cli import lint_imports

found = []
for contract, file, offence in json.load(sys.stdin):
    honest = Path(file).read_text()
    Path(file).write_text(f"{honest}\\n{offence}\\n")
    with redirect_stdout(StringIO()) as said:
        status = lint_imports(limit_to_contracts=(contract,), no_cache=True, no_logo=True)
    Path(file).write_text(honest)
    found.append((status, said.getvalue()))
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[Offence, tuple[int, str]]:
    """What the linter says of a copy of the packages with one offence at a time."""
    folder = tmp_path_factory.mktemp("copy")
    for package in RULES["root_packages"]:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", SPOIL],
        cwd=folder,
        input=json.dumps(OFFENCES),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {offence: tuple(said) for offence, said in zip(OFFENCES, json.loads(done.stdout), strict=True)}


def test_the_code_keeps_every_rule() -> None:
    result = subprocess.run(  # noqa: S603 - our own tool
        [LINT_IMPORTS, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in result.stdout


@pytest.mark.parametrize("offence", OFFENCES, ids="-".join)
def test_an_offending_import_breaks_its_rule(found: dict[Offence, tuple[int, str]], offence: Offence) -> None:
    status, said = found[offence]
    assert status == 1
    assert f"{CONTRACTS[offence[0]]['name']} BROKEN" in said


def test_every_rule_is_seen_to_fail() -> None:
    assert {contract for contract, _, _ in OFFENCES} == set(CONTRACTS)


def test_every_adapter_is_a_stranger_to_the_others() -> None:
    adapters = {f"adapters.{path.parent.name}" for path in (ROOT / "adapters").glob("*/__init__.py")}
    assert set(CONTRACTS["adapters-are-strangers"]["modules"]) == adapters
