"""A whole deployment that may be hurt: two servers and a worker over PostgreSQL and Nango, through proxies.

Everything is a process of its own. PostgreSQL and Nango are reached by the service only through a `Proxy`;
tests look at both directly. Everything that was ever said is kept in `logs`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from attrs import define, field

from adapters.postgres.migrate import migrate
from tests.chaos.proxy import Proxy, to_port, to_socket
from tests.e2e.harness import Process, free_port, spawn
from tests.e2e.sandbox_process import SECRET_KEY
from tests.e2e.world import World, start_nango

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

REPLICAS = 2
PATIENCE = 60.0
WEBHOOK_KEY = "canary-webhook-signing-key"

_TUNING = ("fsync", "full_page_writes", "autovacuum")
"""Off: processes are killed here, not the machine. synchronous_commit stays on."""

_UNFINISHED = "closed_at IS NULL AND (mode IS NULL OR claimed_at IS NOT NULL)"
_HURRY = (
    f"UPDATE attempts SET check_at = clock() WHERE {_UNFINISHED} OR (closed_at IS NULL AND mode <> 'relay')",  # noqa: S608 - constants
    # Long past the time after which a claim that Nango knows nothing of is given up.
    """UPDATE attempts SET claimed_at = claimed_at - interval '1 hour',
        created_at = created_at - interval '1 hour'
    WHERE closed_at IS NULL AND claimed_at > clock() - interval '30 minutes'""",
    "UPDATE jobs SET due_at = clock()",
    "UPDATE flights SET lease_until = clock() WHERE landed_at IS NULL",
    "UPDATE turns SET next_at = clock()",
)
_OWED = f"""
SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM attempts WHERE {_UNFINISHED}) AS owed
"""  # noqa: S608 - constants


@define(eq=False)
class Cluster:
    """The deployment, and what may be done to it."""

    directory: Path
    logs: Path
    nango: Process
    world: World
    database_url: str
    database: Proxy
    gateway: Proxy
    ports: Sequence[int]
    _postgres: Process
    replicas: dict[int, Process] = field(factory=dict)
    worker: Process | None = None

    # ── who is there ──────────────────────────────────────────────────────────────────────────────

    @property
    def urls(self) -> list[str]:
        """The addresses of the servers, alive or not."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def start(self, number: int) -> Process:
        """Start a server on its own port; it is not ready yet."""
        process = self.world.serve(port=self.ports[number])
        self.replicas[number] = process
        return process

    def start_worker(self) -> Process:
        """Start the worker."""
        self.worker = self.world.worker()
        return self.worker

    async def ready(self, *numbers: int) -> None:
        """Wait until these servers answer; all without numbers."""
        for number in numbers or range(REPLICAS):
            await asyncio.to_thread(self.replicas[number].wait_ready)

    async def whole(self) -> None:
        """Mend everything: no faults, both servers and the worker alive and ready."""
        self.database.heal()
        self.gateway.heal()
        for number in range(REPLICAS):
            if number not in self.replicas or self.replicas[number].popen.poll() is not None:
                self.start(number)
        if self.worker is None or self.worker.popen.poll() is not None:
            self.start_worker()
        await self.ready()

    def kill(self, number: int) -> None:
        """SIGKILL a server."""
        self.replicas[number].kill()

    # ── PostgreSQL ────────────────────────────────────────────────────────────────────────────────

    async def kill_postgres(self) -> None:
        """SIGKILL the postmaster; its children notice by themselves."""
        os.kill(int((self.directory / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        self._postgres.kill()

    async def start_postgres(self) -> None:
        """Start it again; it has recovered, and takes connections, when this returns."""
        self._postgres, _ = await _start_postgres(self.directory, self.logs)

    async def sql(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Ask the database directly."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    async def settle(self, *, within: float = PATIENCE) -> None:
        """Let time pass until the worker has nothing left to finish: all owed work is made due at once."""
        deadline = time.monotonic() + within
        connection = await asyncpg.connect(self.database_url)
        try:
            while True:
                for statement in _HURRY:
                    await connection.execute(statement)
                for _ in range(25):
                    await asyncio.sleep(0.1)
                    if not await connection.fetchval(_OWED):
                        return
                if time.monotonic() > deadline:
                    left = await connection.fetch("SELECT * FROM jobs LIMIT 5")
                    left += await connection.fetch(
                        f"SELECT * FROM attempts WHERE {_UNFINISHED} LIMIT 5"  # noqa: S608 - constants
                    )
                    raise AssertionError(f"the worker does not come to an end: {left}")
        finally:
            await connection.close()

    def said(self) -> Mapping[str, str]:
        """Give everything that the service has written, by file; PostgreSQL and the sandbox are not ours."""
        return {path.name: path.read_text(errors="replace") for path in self.logs.glob("[sw]*.log")}


async def _start_postgres(directory: Path, logs: Path) -> tuple[Process, str]:
    log = logs / "postgres.log"
    seen = log.stat().st_size if log.exists() else 0
    process = spawn("tests.chaos.postgres_process", directory, log=log)
    deadline = time.monotonic() + PATIENCE
    while True:
        lines = log.read_text(errors="replace")[seen:].splitlines()
        if url := next((line for line in lines if line.startswith("postgresql://")), None):
            return process, url
        assert process.popen.poll() is None, lines
        assert time.monotonic() < deadline, lines
        await asyncio.sleep(0.01)


async def _tune(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for setting in _TUNING:
            await connection.execute(f"ALTER SYSTEM SET {setting} = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """Start a deployment of one's own; nothing of it is left afterwards."""
    # Not under pytest's own directory: as root, PostgreSQL's user must be able to enter it.
    directory = Path(tempfile.mkdtemp(prefix="connections-chaos-"))
    logs = directory / "logs"
    logs.mkdir()
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        first_port, *others = [free_port() for _ in range(REPLICAS)]
        public_url = f"http://127.0.0.1:{first_port}"
        nango = start_nango(logs, f"{public_url}/oauth/callback")
        stack.callback(nango.kill)
        postgres, url = await _start_postgres(directory, logs)
        await _tune(url)
        await migrate(url)
        socket = Path(parse_qs(urlsplit(url).query)["host"][0]) / ".s.PGSQL.5432"
        database = await Proxy(to_socket(str(socket))).start()
        stack.push_async_callback(database.stop)
        gateway = await Proxy(to_port(urlsplit(nango.url).port or 0)).start()
        stack.push_async_callback(gateway.stop)
        world = ChaosWorld(
            database_url=f"postgresql://postgres@127.0.0.1:{database.port}/postgres?sslmode=disable",
            nango_url=f"http://127.0.0.1:{gateway.port}",
            public_url=public_url,
            logs=logs,
        )
        made = Cluster(
            directory=directory,
            logs=logs,
            nango=nango,
            world=world,
            database_url=url,
            database=database,
            gateway=gateway,
            ports=[first_port, *others],
            postgres=postgres,
        )
        stack.callback(_end, made)
        nango.wait_ready("/ready")
        await made.whole()
        yield made


def _end(cluster: Cluster) -> None:
    for process in [*cluster.replicas.values(), cluster.worker, cluster._postgres]:
        if process is not None:
            if process is cluster._postgres:
                process.stop()
            else:
                process.kill()


class ChaosWorld(World):
    """The settings of a deployment under load from one machine."""

    def settings(self, **other: object) -> dict[str, object]:
        """Give the settings of a process: no limits on one caller, and sweeps all the time."""
        return super().settings(
            nango_webhook_keys=WEBHOOK_KEY,
            starts_per_minute=0,
            callbacks_per_minute=0,
            sweep_interval=2,
            log_format="json",
            **other,
        )


__all__ = ["SECRET_KEY", "Cluster", "cluster"]
