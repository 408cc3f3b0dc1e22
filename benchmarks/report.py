"""The one table, and the same as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from typing import TYPE_CHECKING, Literal

import attrs
from attrs import frozen
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.load import Load


@frozen(kw_only=True)
class Figure:
    """One line: a number, and the goal it is held to. `note` says what else to know."""

    what: str
    value: float
    unit: Literal["x", "ms", "s", "MB"]
    goal: float | None = None
    at: Literal["least", "most"] = "most"
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at == "least" else self.value <= self.goal


def show(figures: Sequence[Figure]) -> None:
    table = Table("measured", "is", "goal", "", "", box=None)
    for figure in figures:
        goal = "" if figure.goal is None else f"{'≥' if figure.at == 'least' else '≤'} {figure.goal:g}"
        mark = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[figure.met]
        table.add_row(figure.what, f"{figure.value:.2f} {figure.unit}", goal, mark, figure.note)
    Console(highlight=False, width=140).print(table)


def save(
    path: Path, figures: Sequence[Figure], loads: Mapping[str, Load], options: Mapping[str, object]
) -> None:
    revision = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    told = {
        "revision": revision.stdout.strip() or None,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "options": options,
        "figures": [attrs.asdict(figure) | {"met": figure.met} for figure in figures],
        "loads": {name: attrs.asdict(load) for name, load in loads.items()},
    }
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
