"""The document tells the truth: schemathesis makes requests of it and finds no answer that it does not tell.

`SCHEMATHESIS_EXAMPLES` says how many requests of each kind each call gets: other ones in each run, where it
is set.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness import ROOT, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.world import World

pytestmark = pytest.mark.fuzz

FEW = ["--max-examples=5", "--generation-deterministic"]


@pytest.fixture
def unlimited(world: World) -> Iterator[str]:
    """The address of a server that takes any number of requests."""
    with running(world.serve(starts_per_minute=0, callbacks_per_minute=0)) as server:
        yield server.wait_ready().url


def test_schemathesis_finds_nothing(unlimited: str, world: World, tmp_path: Path) -> None:
    key = asyncio.run(world.create_key("schemathesis"))
    many = os.environ.get("SCHEMATHESIS_EXAMPLES")
    run = subprocess.run(  # noqa: S603 - our own tools
        [
            sys.executable,
            *("-m", "schemathesis.cli", "--config-file", str(ROOT / "tests/e2e/schemathesis.toml")),
            *("run", f"{unlimited}/openapi.json", "--url", unlimited, "--checks=all", "--no-color"),
            *([f"--max-examples={many}"] if many else FEW),
        ],
        cwd=tmp_path,  # it leaves files behind
        # Nothing more: the client looks through all of it for proxies, three times for each request.
        env={"API_KEY": key, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
