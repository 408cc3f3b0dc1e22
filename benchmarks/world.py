"""What is measured: a PostgreSQL of our own, filled tables, and the processes over it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
from attrs import frozen

from adapters.postgres.migrate import migrate
from benchmarks.load import on_the_first_core
from domain.api_key import digest, make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

ROOT = Path(__file__).resolve().parents[1]
NANGO_KEY = "0b9a4a52-1c7e-4d0f-9a55-6f1f7f0f2a11"
COMPANY = "bench"
OURS = 1_000
"""Connections of the company that asks; the table has others besides."""

PATIENCE = 60

# Written without triggers: what is measured is reading.
FILL = """
INSERT INTO connections (company_id, id, provider, name, status, auth_kind, origin, integration, nango_id,
    external_account_id, metadata, parameters, authorized_at, last_synced_at, version, created_at, updated_at)
SELECT CASE WHEN n % {every} = 0 THEN 'bench' ELSE 'company-' || n % 1000 END,
    'conn_' || md5(n::text)::uuid, (ARRAY['stripe', 'slack', 'hubspot', 'gmail'])[1 + n % 4],
    'Connection number ' || n, 'active', 'oauth', 'create', 'bench', 'nango-' || n, 'acct_' || n,
    '{{"environment": "production", "team": "payments"}}', '{{}}',
    now(), now(), 1, now() - n * interval '1 second', now()
FROM generate_series(1, {rows}) AS n
"""


@frozen(kw_only=True)
class Table:
    """A migrated database with a company's key, and the ids of the company's connections."""

    url: str
    key: str
    ids: list[str]


@frozen(kw_only=True)
class Running:
    """A process of ours; `ready` is how many seconds it took to get ready."""

    pid: int
    url: str
    log: Path
    ready: float

    def memory(self) -> float:
        """Give the resident megabytes of the largest of its processes."""
        return max(resident(pid) for pid in [self.pid, *children(self.pid)])


async def fill(server: str, name: str, rows: int) -> Table:
    """Make a database with so many connections, `OURS` of them the company's."""
    admin = await asyncpg.connect(server)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(FILL.format(rows=rows, every=max(1, rows // OURS)))
        key = await add_key(connection, COMPANY)
        await connection.execute("VACUUM ANALYZE")
        ids = await connection.fetch("SELECT id FROM connections WHERE company_id = $1", COMPANY)
    finally:
        await connection.close()
    return Table(url=url, key=key, ids=[row["id"] for row in ids])


async def add_key(connection: asyncpg.Connection[asyncpg.Record], company: str) -> str:
    """Make a key that may write."""
    key = make_key(secrets.token_bytes(32))
    await connection.execute(
        "INSERT INTO api_keys (company_id, scope, prefix, digest) VALUES ($1, 'write', $2, $3)",
        company,
        key[:10],
        digest(key),
    )
    return key


@contextmanager
def running(
    folder: Path,
    *command: object,
    port: int,
    ready: str,
    core: Callable[[], None] | None = None,
    settings: Mapping[str, object] = {},
) -> Iterator[Running]:
    """Run `python -m command` until the end of the block, from when it is ready."""
    log = folder / f"{port}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTIONS_")}
    environment |= {f"CONNECTIONS_{name.upper()}": str(value) for name, value in settings.items()}
    began = time.perf_counter()
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)],
            cwd=ROOT,
            env=environment,
            stdout=said,
            stderr=said,
            preexec_fn=core,  # noqa: PLW1509 - there are no threads
        )
    try:
        url = f"http://127.0.0.1:{port}"
        while not answers(f"{url}{ready}"):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                sys.exit(f"bench: {command} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.005)
        yield Running(pid=process.pid, url=url, log=log, ready=time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def service(
    folder: Path, database_url: str, *arguments: object, pinned: bool = True, **settings: object
) -> AbstractContextManager[Running]:
    """Run the service as its users do; without a Nango unless the settings name one."""
    port = free_port()
    known = {
        "database_url": database_url,
        "nango_url": "http://127.0.0.1:9",
        "nango_secret_key": NANGO_KEY,
        "port": port,
        "log_format": "json",
        "notice": 0,
    }
    return running(
        folder,
        "entrypoints",
        "serve",
        *arguments,
        port=int(str(settings.get("port", port))),
        ready="/readyz",
        core=on_the_first_core if pinned else None,
        settings={**known, **settings},
    )


def answers(url: str) -> bool:
    """Whether a GET is a success."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status < 300)  # noqa: PLR2004 - HTTP
    except (OSError, urllib.error.URLError):
        return False


def free_port() -> int:
    """Give a port that is free, and so is the next one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one, suppress(OSError):
            port: int = one.getsockname()[1]
            socket.create_server(("127.0.0.1", port + 1)).close()
            return port


def resident(pid: int) -> float:
    """Give the resident megabytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def children(pid: int) -> list[int]:
    """Give the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
