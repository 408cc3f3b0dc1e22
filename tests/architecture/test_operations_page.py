"""The operations page names everything that operators meet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from entrypoints.cli import main
from entrypoints.settings import _READERS, PREFIX

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
EVENTS = sorted(
    {
        event
        for folder in ("application", "adapters", "entrypoints")
        for path in (ROOT / folder).rglob("*.py")
        if "sandbox" not in path.parts
        for event in re.findall(
            r"_log\.(?:info|warning|error|exception)\(\s*\"([^\"]+)\"", path.read_text(encoding="utf-8")
        )
    }
)


@pytest.mark.parametrize("name", sorted(_READERS))
def test_every_setting_is_explained(name: str) -> None:
    assert f"`{PREFIX}{name.upper()}`" in PAGE


@pytest.mark.parametrize("command", sorted(set(main.commands) - {"dev", "keys", "providers"}))
def test_every_command_is_explained(command: str) -> None:
    assert f"`connections {command}" in PAGE


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_of_the_log_is_explained(event: str) -> None:
    assert f"`{event}`" in PAGE
