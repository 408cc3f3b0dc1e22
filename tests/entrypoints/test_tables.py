"""The tables of `keys list` and `providers list`: for people in narrow terminals, and for programs."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from tests.e2e.harness import ROOT, environment, run


def test_a_row_is_a_line_for_a_program() -> None:
    listed = run("providers", "list").stdout.splitlines()
    [netsuite] = [line for line in listed if "netsuite" in line]
    assert netsuite.rstrip().endswith("(an API-key connection) lasts longer.")


def test_what_other_commands_take_is_whole_in_a_narrow_terminal() -> None:
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "entrypoints", "providers", "list"],
        cwd=ROOT,
        env=environment({}) | {"COLUMNS": "40", "TERM": "xterm"},
        stdout=theirs,
        check=True,
    )
    os.close(theirs)
    said = os.read(ours, 100_000).decode()
    os.close(ours)
    assert {"quickbooks", "salesforce"} <= set(said.split())


def test_a_label_is_shown_as_it_was_written(empty_database_url: str) -> None:
    label = "[prod] billing :key: " + "x" * 80
    run("migrate", database_url=empty_database_url)
    run("keys", "create", "--company", "acme", "--label", label, database_url=empty_database_url)
    assert label in run("keys", "list", database_url=empty_database_url).stdout
