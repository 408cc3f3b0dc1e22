"""Take each guard away and see which test notices: `make mutants`; `ONLY="…"` names words of those to try.

What is committed is what is tried. The result goes to results.json, and from there into docs/mutants.md.
"""

from __future__ import annotations

import io
import json
import os
import queue
import re
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from tests.mutants.mutants import RESULTS, ROOT, read_mutants, read_results
from tests.mutants.page import PAGE, page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.mutants.mutants import Mutant

LANES = 2
EVERYTHING = (
    "tests/domain",
    "tests/application",
    "tests/http",
    "tests/contract",
    "tests/entrypoints",
    "tests/e2e",
)
"""What a mutant must get past that its own tests did not notice."""

_PATIENCE = 60
"""Seconds that one test may take: without its guard, a test may also wait for ever."""
_PLUGINS = ("no:cacheprovider", "pytest_asyncio.plugin", "pytest_aiohttp.plugin")
_OPTIONS = (f"faulthandler_timeout={_PATIENCE}", "faulthandler_exit_on_timeout=true")
_PYTEST = (sys.executable, "-m", "pytest", "-xv", "-rf", *(f"-p{name}" for name in _PLUGINS))
_ENVIRON = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "400"}
"""The plugins that no test needs take longer to load than most guards' tests take to run."""
_FAILED = re.compile(r"^FAILED ([^\s\[]+)", re.MULTILINE)
_LAST = re.compile(r"(?s).*^(tests/[^\s\[]+)", re.MULTILINE)


@frozen(kw_only=True)
class Result:
    """What came of a mutant: `by` is the first test that noticed, None where none did."""

    mutant: Mutant
    by: str | None


@frozen
class Tree:
    """A copy of what is committed, to be damaged and mended."""

    root: Path

    def run(self, tests: Sequence[str]) -> str | None:
        """Run tests until one fails; give its name, or None where all pass.

        Raises:
            RuntimeError: they could not be run, so that nothing is known.

        """
        done = subprocess.run(  # noqa: S603 - our own tests
            [*_PYTEST, *(f"-o{option}" for option in _OPTIONS), *tests],
            cwd=self.root,
            env={**os.environ, **_ENVIRON, "PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.USAGE_ERROR):
            return None  # the latter where a test that noticed last time is no longer there
        hangs = f"Timeout (0:{_PATIENCE // 60:02}:{_PATIENCE % 60:02})!" in done.stderr
        noticed = _LAST.search(done.stdout) if hangs else _FAILED.search(done.stdout)
        if done.returncode != pytest.ExitCode.TESTS_FAILED or noticed is None:
            said = f"{done.stdout[-2000:]}{done.stderr[-1000:]}"
            raise RuntimeError(f"pytest {' '.join(tests)} ended with {done.returncode}:\n{said}")
        return noticed[1]

    def without(self, mutant: Mutant, attempts: Sequence[Sequence[str]]) -> str | None:
        """Take a guard away, and give the first test that notices, some tests after others."""
        file = self.root / mutant.file
        source = file.read_text("utf-8")
        _write(file, mutant.applied_to(source))
        try:
            return next((by for tests in attempts if (by := self.run(tests)) is not None), None)
        finally:
            _write(file, source)


def _write(file: Path, source: str) -> None:
    file.write_text(source, "utf-8")
    # Python takes a file that changed within a second and kept its length for the one it has compiled.
    Path(cache_from_source(str(file))).unlink(missing_ok=True)


def main(words: Sequence[str]) -> int:
    """Try the mutants whose guard or file holds all of these words; give the exit status.

    With `--quick` a mutant has only its own tests to get past, and who does is not written down; `--rest`
    leaves out what was noticed before, or lives for a known reason.
    """
    quick, rest = "--quick" in words, "--rest" in words
    words = [word for word in words if not word.startswith("--")]
    mutants = [each for each in read_mutants() if all(word in f"{each.file} {each.guard}" for word in words)]
    if rest:
        results = read_results()
        mutants = [each for each in mutants if not _is_settled(each, results)]
    if not mutants:
        return 0
    with tempfile.TemporaryDirectory(prefix="connections-mutants-") as directory:
        trees = [_copy(Path(directory) / str(number)) for number in range(LANES)]
        failing = trees[0].run(sorted({test for mutant in mutants for test in mutant.tests}))
        if failing is not None:
            print(f"{failing} fails with every guard in place: nothing was tried")
            return 1
        found = []
        for result in _try_all(mutants, trees, quick=quick):
            found.append(result)
            if result.by is not None or not quick:
                _write_down(result)
    return _tell(mutants, found)


def _is_settled(mutant: Mutant, results: Mapping[str, str | None]) -> bool:
    return bool(results.get(mutant.guard)) or (mutant.guard in results and mutant.survives is not None)


def _write_down(result: Result) -> None:
    known = read_results() | {result.mutant.guard: result.by}
    mutants = read_mutants()
    kept = {each.guard: known[each.guard] for each in mutants if each.guard in known}
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(page(mutants, kept), "utf-8")


def _copy(root: Path) -> Tree:
    archive = subprocess.run(
        ["git", "archive", "HEAD"],  # noqa: S607 - whichever git is there
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(root, filter="data")
    return Tree(root)


def _try_all(mutants: Sequence[Mutant], trees: Sequence[Tree], *, quick: bool) -> Iterator[Result]:
    before = _noticed_before()
    free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def attempt(mutant: Mutant) -> Result | None:
        tree = free.get()
        try:
            # What noticed last time most likely does again, and at once.
            attempts = [before.get(mutant.guard), mutant.tests, None if quick else EVERYTHING]
            by = tree.without(mutant, [tests for tests in attempts if tests])
        except (ValueError, RuntimeError) as problem:
            print(f"? {mutant.guard}: {problem}", flush=True)
            return None
        finally:
            free.put(tree)
        print(f"{'✗' if by is None else '✓'} {mutant.file}: {mutant.guard}: {by}", flush=True)
        return Result(mutant=mutant, by=by)

    with ThreadPoolExecutor(len(trees)) as lanes:
        yield from (result for result in lanes.map(attempt, mutants) if result is not None)


def _noticed_before() -> dict[str, list[str]]:
    return {guard: [by] for guard, by in read_results().items() if by is not None}


def _tell(mutants: Sequence[Mutant], results: Sequence[Result]) -> int:
    noticed = [each for each in results if each.by is not None]
    unexplained = [each.mutant for each in results if each.by is None and each.mutant.survives is None]
    needless = [each for each in noticed if each.mutant.survives is not None]
    print(f"\n{len(noticed)} of {len(mutants)} removed guards were noticed by a test")
    for each in unexplained:
        print(f"  not noticed, for no reason given: {each.guard} ({each.file})")
    for result in needless:
        print(f"  noticed after all, by {result.by}: {result.mutant.guard}")
    return int(bool(unexplained or needless or len(results) < len(mutants)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
