"""docs/mutants.md, made from the results of a run."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from tests.mutants.mutants import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Told = Mapping[str, str | None]

PAGE = ROOT / "docs/mutants.md"

_HEAD = """\
# The guards are load-bearing

A guard that no test misses is decoration. So each is taken away in turn, by hand-made mutants of the code and
of the SQL (`tests/mutants/*.toml`), and `make mutants` insists that at least one test fails for each: a test
that fails, not one that cannot be set up. Text that is no longer found in its file stops `make test`, so that
the list cannot rot. Whoever adds a guard adds its mutant. `make mutants ONLY="webhook"` tries some of them.

**{noticed} of {all} removed guards are noticed.** What survives is listed at the end with the reason.
This page is written by the run; do not edit it.
"""


def page(results: Sequence[Told]) -> str:
    """Write the page."""
    noticed = sorted((each for each in results if each["by"] is not None), key=itemgetter("file"))
    parts = [_HEAD.format(noticed=len(noticed), all=len(results))]
    for file, each in groupby(noticed, key=itemgetter("file")):
        rows = [f"| {_cell(result['guard'])} | `{_short(result['by'])}` |" for result in each]
        parts.append(
            f"\n## {file}\n| without it | the first test that fails |\n|---|---|\n" + "\n".join(rows) + "\n"
        )
    survivors = [each for each in results if each["by"] is None]
    rows = [
        f"| `{each['file']}` | {_cell(each['guard'])} | {_cell(each['survives'] or 'no reason is known')} |"
        for each in survivors
    ]
    parts.append(
        "\n## Survivors\n| where | guard | why no test fails |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )
    return "".join(parts)


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def _short(test: str | None) -> str:
    return (test or "").removeprefix("tests/")
