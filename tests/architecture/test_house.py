"""What tools do not check: who knows the container, what the files may mention, how errors are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from domain.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "application", "adapters", "entrypoints")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "docs")
LOCKS = sorted(ROOT.glob("requirements*.lock"))
BINARY = {".pyc", ".png", ".ico", ".woff2", ".gz"}

# each with a bracket somewhere, so that this file does not mention them itself
UNMENTIONABLE = re.compile(
    r"""
      (?<![\w.])[/](?:work|home|root|Users)[/]\w    # somebody's machine
    | [.][.]/shared\b
    | \b(?:pypi|test\.pypi|pythonhosted|npmjs|yarnpkg|conda|anaconda)[.](?:org|com)\b
    """,
    re.VERBOSE,
)


def every_file() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.name != ".git")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in BINARY and "__pycache__" not in path.parts:
                yield path


def every_error(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    yield base
    for error in base.__subclasses__():
        if error.__module__.split(".")[0] == "domain":
            yield from every_error(error)


ERRORS = list(every_error())


def test_only_the_container_mentions_dependency_injector() -> None:
    knowing = [
        path.relative_to(ROOT).as_posix()
        for folder in (*PACKAGES, "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^\s*(from|import) dependency_injector", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert knowing == ["entrypoints/container.py"]


def test_no_file_mentions_a_machine_or_a_package_registry() -> None:
    mentions = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in every_file()
        if (found := UNMENTIONABLE.search(path.read_text(errors="replace")))
    ]
    assert mentions == []


@pytest.mark.parametrize(
    "disguised", ["see |work|main", "cp ..|shared|x", "https:||pypi|.org|simple", "|home|ada"]
)
def test_such_a_mention_would_be_found(disguised: str) -> None:
    text = disguised.replace("|.", ".").replace("|", "/")
    assert UNMENTIONABLE.search(text)


def test_every_exception_from_the_rules_has_its_reason_beside_it() -> None:
    bare = re.compile(r"# *(?:noqa(?:: *[A-Z0-9, ]+)?|type: *ignore(?:\[[a-z, -]+\])?) *$", re.MULTILINE)
    files = [path for path in every_file() if path.suffix == ".py"]
    assert [str(path) for path in files if bare.search(path.read_text("utf-8"))] == []


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.__dict__.get("code") for error in ERRORS]
    assert None not in codes
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_errors_code_follows_from_its_name(error: type[DomainError]) -> None:
    assert error.code == re.sub(r"(?<!^)([A-Z])", r"_\1", error.__name__).lower()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_says_what_it_means(error: type[DomainError]) -> None:
    assert (error.__dict__["__doc__"] or "").strip()


def test_there_is_a_lock_for_running_developing_and_testing() -> None:
    assert [lock.name for lock in LOCKS] == [
        "requirements-dev.lock",
        "requirements-test.lock",
        "requirements.lock",
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_dependency_has_hashes(lock: Path) -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pinned = [entry for entry in entries if entry.strip() and not entry.startswith("#")]
    assert pinned
    for entry in pinned:
        assert re.match(r"[A-Za-z0-9._-]+(\[[^\]]+\])?==\S+", entry), entry.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry.splitlines()[0]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--(extra-)?index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)
