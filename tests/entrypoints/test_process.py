"""How processes start: on which port, and with whose code."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.e2e.harness import Process, environment, free_port, run, running

SETTINGS = {
    "database_url": "postgresql://nobody@127.0.0.1:1/nothing",
    "nango_secret_key": "0b9a4a52-1c7e-4d0f-9a55-6f1f7f0f2a11",
}


def test_they_run_their_parent_s_code_whatever_lies_in_the_folder_where_it_was_started(
    tmp_path: Path,
) -> None:
    (tmp_path / "entrypoints").mkdir()
    (tmp_path / "entrypoints" / "__init__.py").write_text("raise SystemExit('another code than ours ran')")
    port = free_port()
    connections = [str(Path(sys.executable).with_name("connections")), "serve", "--workers", "2"]
    with (tmp_path / "log").open("wb") as said:
        popen = subprocess.Popen(  # noqa: S603 - our own code
            connections,
            cwd=tmp_path,
            env=environment({**SETTINGS, "port": port}),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with running(Process(popen=popen, log=tmp_path / "log", url=f"http://127.0.0.1:{port}")) as server:
        server.wait_ready("/healthz")
        assert server.stop() == 0
        assert "another code" not in server.said


def test_a_port_that_is_taken_is_told_in_one_line_without_repeating_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", **SETTINGS, port=port)
    line = f"CONNECTIONS_HOST, CONNECTIONS_PORT: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert done.stderr == f"connections: {line}\n"


def test_dev_says_that_the_port_which_is_taken_is_the_sandbox_s(tmp_path: Path) -> None:
    port = free_port(neighbours=1)
    with socket.create_server(("127.0.0.1", port + 1)):
        done = run("dev", data_dir=tmp_path, database_url=SETTINGS["database_url"], port=port)
    named = "CONNECTIONS_PORT (the sandbox takes the one after it)"
    assert f"{named}: cannot listen on 127.0.0.1:{port + 1}: " in done.stderr
