"""docs/state-machine.md shows the transition table, all of it and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from domain.connection import TRANSITIONS, TRIGGERS

PAGE = (Path(__file__).parents[2] / "docs/state-machine.md").read_text(encoding="utf-8")
DRAWN = re.findall(r"^ +(\w+|\[\*\]) --> (\w+) : (\w+)$", PAGE, re.MULTILINE)
ARROWS = PAGE.count("-->")


def test_every_arrow_is_a_transition_and_every_transition_an_arrow() -> None:
    table = [
        (str(before), str(after), str(trigger))
        for (before, trigger), targets in TRANSITIONS.items()
        for after in targets
    ]
    assert Counter(DRAWN) == Counter([("[*]", "pending", "created"), *table])


def test_no_arrow_escapes_the_reading() -> None:
    assert len(DRAWN) == ARROWS


def test_every_trigger_is_explained_once() -> None:
    assert Counter(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == Counter(map(str, TRIGGERS))
