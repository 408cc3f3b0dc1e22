"""The list of removed guards keeps up with the code, and the page with the list."""

from __future__ import annotations

import re

import pytest

from tests.mutants.mutants import ROOT, Mutant, read_mutants, read_results
from tests.mutants.page import PAGE, page

MUTANTS = read_mutants()


def test_every_guard_is_where_its_mutant_looks_for_it() -> None:
    assert [lost for mutant in MUTANTS if (lost := _not_found(mutant))] == []


def _not_found(mutant: Mutant) -> str | None:
    source = (ROOT / mutant.file).read_text("utf-8")
    try:
        changed = mutant.applied_to(source)
    except ValueError as problem:
        return str(problem)
    return f"{mutant.guard}: it changes nothing" if changed == source else None


def test_a_mutant_whose_text_is_gone_is_named() -> None:
    mutant = MUTANTS[0]
    with pytest.raises(ValueError, match=mutant.guard):
        mutant.applied_to("")


def test_no_two_mutants_have_the_same_name() -> None:
    guards = [mutant.guard for mutant in MUTANTS]
    assert len(guards) == len(set(guards))


def test_each_mutant_names_tests_that_are_there() -> None:
    assert [
        test for mutant in MUTANTS for test in mutant.tests if not (ROOT / test.partition("::")[0]).exists()
    ] == []


def test_each_result_names_a_test_that_is_there() -> None:
    there = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
    }
    noticed = {test.rpartition("::")[2] for test in read_results().values() if test}

    assert noticed - there == set()


def test_the_page_tells_what_the_last_run_found() -> None:
    assert PAGE.read_text("utf-8") == page(MUTANTS, read_results()), "make mutants ONLY=--rest writes it"
