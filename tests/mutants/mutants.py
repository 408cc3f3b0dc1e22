"""The guards that are taken away, one at a time: what each mutant says, and where it is written down.

One TOML file per part of the house. `tests` at its head is what most likely notices; a mutant may name
better ones. `survives` is the reason why no test can notice, or need.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from attrs import field, frozen

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.json"


@frozen(kw_only=True)
class Mutant:
    """One guard removed. `guard` says what no longer holds without it, and is the mutant's name."""

    guard: str
    file: str
    text: str
    becomes: str
    tests: tuple[str, ...] = field(converter=tuple)
    survives: str | None = None

    @property
    def part(self) -> str:
        """Which part of the house the guard stands in."""
        return self.file.rpartition("/")[0]

    def applied_to(self, source: str) -> str:
        """Give the source without the guard.

        Raises:
            ValueError: the text is not there, or more than once: the list has rotted.

        """
        found = source.count(self.text)
        if found != 1:
            raise ValueError(f"{self.guard!r}: its text occurs {found} times in {self.file}:\n{self.text}")
        return source.replace(self.text, self.becomes)


def read_mutants() -> list[Mutant]:
    """Read all of them."""
    return [
        Mutant(**{"tests": told["tests"], **each})
        for file in sorted(HERE.glob("*.toml"))
        for told in (tomllib.loads(file.read_text("utf-8")),)
        for each in told["mutant"]
    ]


def read_results() -> dict[str, str | None]:
    """Give the last results: by a guard, the first test that noticed, or None where none did."""
    results: dict[str, str | None] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    return results
