"""docs/map.md names every module and folder that a newcomer may look for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/map.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)/\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def _modules(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__", "conftest"}


def _packages(folder: str) -> set[str]:
    return {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}


def _first_cells(folder: str) -> set[str]:
    cells = re.findall(r"^\|([^|]*)\|", SECTIONS[folder], re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_module_of_the_domain_is_on_the_map() -> None:
    assert _first_cells("domain") == _modules("domain")


def test_every_module_of_the_application_is_on_the_map_once() -> None:
    named = re.findall(r"`(\w+)`", SECTIONS["application"])

    assert sorted(named) == sorted(_modules("application"))


@pytest.mark.parametrize("folder", ["adapters", "tests"])
def test_every_package_is_on_the_map(folder: str) -> None:
    assert _first_cells(folder) == _packages(folder)
