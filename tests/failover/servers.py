"""PostgreSQL servers that may be killed, stopped, frozen and promoted: Debian's 15, run by ourselves."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from attrs import define

from tests.e2e.harness import free_port, working_below

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

BIN = Path(os.environ.get("POSTGRES_BIN", "/usr/lib/postgresql/15/bin"))
PATIENCE = 20.0
STANDBY = "standby"
"""What the standby calls itself, and the primary waits for."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": 100,
    # Processes are killed here, not the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "wal_level": "replica",
}


@define(eq=False)
class Server:
    """One server. `name` is its directory's; a copy does not inherit the settings given at its start."""

    home: Path
    name: str
    port: int
    _process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.home / self.name

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.host}/postgres?sslmode=disable"

    @property
    def _log(self) -> Path:
        return self.home / f"{self.name}.log"

    def start(self, **settings: object) -> None:
        """Start it and wait until it takes connections."""
        options = [f"{key}={value}" for key, value in {**_SETTINGS, **settings, "port": self.port}.items()]
        arguments = [argument for option in options for argument in ("-c", option)]
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(  # noqa: S603 - Debian's own
                [BIN / "postgres", "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_as_somebody(),
            )
        deadline = time.monotonic() + PATIENCE
        ready = [str(BIN / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode:  # noqa: S603 - Debian's own
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL the postmaster; what it leaves behind ends when it notices."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in an orderly way (a fast shutdown)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        """SIGSTOP all of it: as seen from outside, the machine has lost its power."""
        for pid in working_below(self.data):
            os.kill(pid, signal.SIGSTOP)

    def end(self) -> None:
        """Leave nothing of it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        deadline = time.monotonic() + PATIENCE
        while pids := working_below(self.data):
            assert time.monotonic() < deadline, f"{pids} do not end"
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def promote(self) -> None:
        """Make a standby the primary; it is one when this returns."""
        _run("pg_ctl", "promote", "-w", "-D", self.data)

    def copy(self, name: str) -> Server:
        """Give a standby of this one, which is not started."""
        made = Server(self.home, name, free_port())
        source = f"host=127.0.0.1 port={self.port} user=postgres"
        _run("pg_basebackup", "-R", "-X", "stream", "-c", "fast", "--no-sync", "-D", made.data, "-d", source)
        return made

    async def sql(self, statement: str, *values: Any) -> Any:
        """Ask this server, and no other, for one value."""
        connection = await asyncpg.connect(self.url, timeout=5)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()


@contextmanager
def new_server() -> Iterator[Server]:
    """Make a server of one's own; nothing of it or its copies is left afterwards. It is not started."""
    assert BIN.is_dir(), "these tests need Debian's PostgreSQL 15: apt-get install postgresql-15"
    # Not under pytest's own directory: as root, PostgreSQL's user must be able to enter it.
    home = Path(tempfile.mkdtemp(prefix="connections-failover-"))
    if os.getuid() == 0:
        somebody = pwd.getpwnam("postgres")
        os.chown(home, somebody.pw_uid, somebody.pw_gid)
    try:
        server = Server(home, "primary", free_port())
        _run(
            "initdb",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-N",
            "-D",
            server.data,
        )
        yield server
        assert not working_below(home), "a server was left running"
    finally:
        shutil.rmtree(home)


@define(eq=False)
class Pair:
    """A primary, and a standby without which it acknowledges nothing."""

    primary: Server
    standby: Server

    @property
    def url(self) -> str:
        """Name both, and ask for the one that may be written to."""
        hosts = f"{self.primary.host},{self.standby.host}"
        return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write&sslmode=disable"

    def start_primary(self) -> None:
        self.primary.start(synchronous_standby_names=STANDBY)

    def start_standby(self) -> None:
        self.standby.start(cluster_name=STANDBY)

    async def in_step(self) -> None:
        """Wait until the primary waits for its standby, and the standby is there."""
        deadline = time.monotonic() + PATIENCE
        while await self.primary.sql("SELECT sync_state FROM pg_stat_replication") != "sync":
            assert time.monotonic() < deadline, "the standby does not come"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def new_pair() -> AsyncIterator[Pair]:
    """Start a primary and its synchronous standby."""
    with new_server() as primary:
        try:
            primary.start()
            pair = Pair(primary, primary.copy("standby"))
            primary.stop()
            try:
                pair.start_primary()
                pair.start_standby()
                await pair.in_step()
                yield pair
            finally:
                pair.standby.end()
        finally:
            primary.end()


def _run(program: str, *arguments: object) -> None:
    done = subprocess.run(  # noqa: S603 - Debian's own
        [BIN / program, *map(str, arguments)],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **_as_somebody(),
    )
    assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"


def _as_somebody() -> dict[str, Any]:
    """PostgreSQL refuses to be root: it is then the user that Debian's package has made."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
