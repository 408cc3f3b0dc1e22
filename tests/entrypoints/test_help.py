"""What the command line says of itself."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from entrypoints.cli import main


@pytest.mark.parametrize("group", [[], ["keys"], ["providers"]], ids=" ".join)
def test_a_list_of_commands_has_whole_sentences(group: list[str]) -> None:
    _, commands = CliRunner().invoke(main, [*group, "--help"]).output.split("Commands:\n")
    cut = [line for line in commands.splitlines() if not line.endswith(".") or line.endswith("...")]
    assert cut == []


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["keys", "create", "--company", "a b"], "--company"),
        (["providers", "check", "acme.toml", "--parameter", "eu1"], "--parameter"),
    ],
    ids=["company", "parameter"],
)
def test_an_option_that_cannot_be_is_named(arguments: list[str], option: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, f"Invalid value for {option}: " in done.output) == (
        click.UsageError.exit_code,
        True,
    )
