"""docs/mutants.md, made from the list and the results of a run."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from tests.mutants.mutants import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.mutants.mutants import Mutant

PAGE = ROOT / "docs/mutants.md"

_HEAD = """\
# The guards are load-bearing

A guard that no test misses is decoration. So each is taken away in turn, by hand-made mutants of the code and
of the SQL (`tests/mutants/*.toml`), and `make mutants` insists that at least one test fails for each: a test
that fails, not one that cannot be set up. A mutant whose text is no longer found in its file fails
`make test`, so that the list cannot rot. Whoever adds a guard adds its mutant, and tries it:
`make mutants ONLY=--rest` tries what is new, `make mutants ONLY="redirect port"` those with these words.

**{noticed} of {all} removed guards are noticed.** The others are at the end, each with the reason.
This page is written by the run; do not edit it.
"""


def page(mutants: Sequence[Mutant], results: Mapping[str, str | None]) -> str:
    """Write the page."""
    noticed = sorted((each for each in mutants if results.get(each.guard)), key=attrgetter("file"))
    parts = [_HEAD.format(noticed=len(noticed), all=len(mutants))]
    for file, each in groupby(noticed, key=attrgetter("file")):
        rows = ((mutant.guard, f"`{_short(results[mutant.guard])}`") for mutant in each)
        parts.append(f"\n## {file}\n{_table(('without it', 'the first test that fails'), rows)}")
    survivors = (
        (f"`{each.file}`", each.guard, each.survives or "not known: to be mended")
        for each in mutants
        if not results.get(each.guard)
    )
    parts.append(f"\n## Survivors\n{_table(('where', 'without it', 'why no test fails'), survivors)}")
    return "".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _short(test: str | None) -> str:
    return (test or "").removeprefix("tests/")
