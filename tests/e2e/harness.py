"""The service as users run it: real processes on free ports, stopped and killed by real signals."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_PORTS = range(15_000, 32_000)


def free_port(*, neighbours: int = 0) -> int:
    """Give a port that is free now, and so are the next ones.

    It is below those that the kernel gives to whoever connects, so none takes it before its server does,
    or between a server's end and its next start.
    """
    while True:
        first = secrets.choice(_PORTS)
        with suppress(OSError):
            for port in range(first, first + 1 + neighbours):
                socket.create_server(("127.0.0.1", port)).close()
            return first


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Give this process's environment with these CONNECTIONS_ settings and no others.

    Nothing here speaks TLS, and reading the authorities' certificates takes a tenth of a start.
    """
    mine = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTIONS_")}
    mine["SSL_CERT_FILE"] = os.devnull
    return mine | {f"CONNECTIONS_{name.upper()}": str(value) for name, value in settings.items()}


@frozen(kw_only=True)
class Process:
    """A process group of our own; what it says is kept in `log`."""

    popen: subprocess.Popen[bytes] = field(repr=False)
    log: Path
    url: str = ""

    @property
    def said(self) -> str:
        """Everything it has written."""
        return self.log.read_text(errors="replace")

    def wait_ready(self, path: str = "/readyz") -> Process:
        """Wait until it answers 200 there."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(path):
            assert self.popen.poll() is None, f"it ended with {self.popen.returncode}: {self.said}"
            assert time.monotonic() < deadline, f"it is not ready: {self.said}"
            time.sleep(0.02)
        return self

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as answer:  # noqa: S310 - our own http
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send the process, not its children, a signal."""
        self.popen.send_signal(number)

    def stop(self) -> int:
        """End it by SIGTERM, in time and with all its children; give the exit status."""
        self.signal(signal.SIGTERM)
        try:
            status = self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end it in {STOP_SECONDS} s: {self.said}") from None
        left = group_of(self.popen.pid)
        self.kill()
        assert not left, f"it left {left} behind"
        return status

    def kill(self) -> None:
        """Kill it and all its children, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def group_of(leader: int) -> list[int]:
    """Give the processes of a group that are alive."""
    return [pid for pid, group, state in _processes() if group == leader and state != "Z"]


def _processes() -> Iterator[tuple[int, int, str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        yield int(stat.parent.name), int(group), state


def working_below(directory: Path) -> list[int]:
    """Give the processes that work inside a directory: an embedded PostgreSQL does."""
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if cwd.readlink().is_relative_to(directory):
                found.append(int(cwd.parent.name))
        except OSError:
            continue
    return found


def spawn(
    module: str, *arguments: object, log: Path, url: str = "", settings: Mapping[str, object] | None = None
) -> Process:
    """Start `python -m module arguments` in a group of its own, at the repository's root."""
    with log.open("ab") as said:
        popen = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env=environment(settings or {}),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process(popen=popen, log=log, url=url)


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """End the process with the block, whatever happened to it there."""
    try:
        yield process
    finally:
        process.kill()


def run(*arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run `connections arguments` to its end."""
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-m", "entrypoints", *map(str, arguments)],
        cwd=ROOT,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
