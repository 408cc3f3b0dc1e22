"""A pgbouncer in transaction mode before a PostgreSQL: Debian's, as a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.e2e.harness import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
START_SECONDS = 30.0
SERVERS = 3
"""Connections to the server per database: far fewer than clients have, so that they take turns on them."""

_CONFIGURATION = """\
[databases]
* = host={socket_directory} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 500
server_reset_query =
"""


@contextmanager
def pgbouncer(server: str) -> Iterator[str]:
    """Run one before the server at this URL, which listens on a Unix socket; give its URL for `postgres`."""
    assert PROGRAM, "these tests need Debian's pgbouncer: apt-get install pgbouncer"
    port = free_port()
    [socket_directory] = parse_qs(urlsplit(server).query)["host"]
    directory = Path(tempfile.mkdtemp(prefix="connections-pgbouncer-"))
    directory.chmod(0o755)
    try:
        settings = directory / "pgbouncer.ini"
        settings.write_text(
            _CONFIGURATION.format(socket_directory=socket_directory, port=port, servers=SERVERS)
        )
        log = directory / "log"
        with log.open("wb") as said:
            process = subprocess.Popen(  # noqa: S603 - Debian's own
                [PROGRAM, str(settings)],
                # It refuses to be root, and only the server's own user may enter the socket's directory.
                user=Path(socket_directory).stat().st_uid if os.getuid() == 0 else None,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_for(process, port, log)
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(directory)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, f"pgbouncer ended: {log.read_text()}"
            assert time.monotonic() < deadline, f"pgbouncer is not ready: {log.read_text()}"
            time.sleep(0.02)
        else:
            return
