"""The long form of the failure tests: `make chaos`.

`python -m tests.chaos [--short] [--seed N] [SCENARIO …]` plays some of it, or repeats a run.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import traceback

import click
from rich.console import Console
from rich.table import Table

from tests.chaos.cluster import cluster
from tests.chaos.scene import scene
from tests.chaos.table import ROWS, Row

_console = Console(width=150, highlight=False)


async def _play(row: Row, seed: int, *, short: bool) -> tuple[str, bool, float]:
    """Play one scenario on a deployment of its own; say what was reached."""
    began = time.monotonic()
    how = row.short if short else row.long
    try:
        async with cluster() as deployment, scene(deployment, seed) as set_up:
            reached, well = await row.play(set_up, **(how or {})), True
    except Exception:  # noqa: BLE001 - whatever it was, it is told, and the others follow
        _console.print(traceback.format_exc()[-4000:], markup=False)
        again = f"python -m tests.chaos{' --short' if short else ''} --seed {seed} {row.name}"
        reached, well = f"FAILED; repeat it with: {again}", False
    return reached, well, time.monotonic() - began


@click.command()
@click.option("--short", is_flag=True, help="As `make test` does.")
@click.option("--seed", type=int, help="Repeat a run.")
@click.argument("names", nargs=-1)
def main(short: bool, seed: int | None, names: tuple[str, ...]) -> None:
    """Play all scenarios, or those named, and print the table of what was reached."""
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    rows = [row for row in ROWS if (row.name in names or not names) and (row.short is not None or not short)]
    table = Table("what happens", "reached", "s", title=f"Failure tests, seed {seed}", show_lines=True)
    failed = False
    for row in rows:
        reached, well, took = asyncio.run(_play(row, seed, short=short))
        _console.print(f"{row.name}: {reached} ({took:.0f} s)", markup=False)
        table.add_row(row.goal, reached, f"{took:.0f}")
        failed |= not well
    _console.print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
