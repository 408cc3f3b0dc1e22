"""The import rules hold, and each of them can fail: one offending import in a copy breaks it by name."""

from __future__ import annotations

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

OFFENCES = [
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


def lint(folder: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(LINT_IMPORTS), "--no-cache", "--no-logo", *(["--contract", contract] if contract else [])]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own tool


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their rules, in a place where they may be spoilt."""
    folder = tmp_path_factory.mktemp("copy")
    for package in RULES["root_packages"]:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_code_keeps_every_rule() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in result.stdout


@pytest.mark.parametrize(("contract", "file", "offence"), OFFENCES)
def test_an_offending_import_breaks_its_rule(copied: Path, contract: str, file: str, offence: str) -> None:
    spoilt = copied / file
    text = spoilt.read_text(encoding="utf-8")
    spoilt.write_text(f"{text}\n{offence}\n")
    try:
        result = lint(copied, contract)
    finally:
        spoilt.write_text(text)
    assert result.returncode == 1, result.stderr
    assert f"{CONTRACTS[contract]['name']} BROKEN" in result.stdout


def test_every_rule_is_seen_to_fail() -> None:
    assert {contract for contract, _, _ in OFFENCES} == set(CONTRACTS)


def test_every_adapter_is_a_stranger_to_the_others() -> None:
    adapters = {f"adapters.{path.parent.name}" for path in (ROOT / "adapters").glob("*/__init__.py")}
    assert set(CONTRACTS["adapters-are-strangers"]["modules"]) == adapters
