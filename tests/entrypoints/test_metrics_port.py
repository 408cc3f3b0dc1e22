"""Where real processes serve their numbers."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from tests.e2e.harness import free_port, run, running, spawn

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.harness import Process

SETTINGS = {
    "database_url": "postgresql://nobody@127.0.0.1:1/nothing",
    "nango_secret_key": "0b9a4a52-1c7e-4d0f-9a55-6f1f7f0f2a11",
    "log_format": "json",
}


def start(folder: Path, *arguments: object, at: int, **settings: object) -> Process:
    return spawn(
        "entrypoints",
        *arguments,
        log=folder / "log",
        url=f"http://127.0.0.1:{at}",
        settings={**SETTINGS, **settings},
    )


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def test_a_server_serves_them_beside_the_api_unless_told_otherwise(tmp_path: Path) -> None:
    port = free_port()
    with running(start(tmp_path, "serve", at=port, port=port)) as server:
        server.wait_ready("/healthz")
        assert 'connections_http_requests_total{method="GET",route="/healthz",status="200"}' in read(port)


def test_each_of_several_workers_has_a_port_of_its_own(tmp_path: Path) -> None:
    port = free_port(neighbours=2)
    settings = {"port": port, "metrics_port": port + 1}
    with running(start(tmp_path, "serve", "--workers", 2, at=port + 1, **settings)) as server:
        server.wait_ready("/metrics")
        evolve(server, url=f"http://127.0.0.1:{port + 2}").wait_ready("/metrics")
        with pytest.raises(urllib.error.HTTPError):
            read(port)


def test_a_worker_serves_them_where_it_has_a_port(tmp_path: Path) -> None:
    port = free_port()
    with running(start(tmp_path, "worker", at=port, metrics_port=port)) as worker:
        worker.wait_ready("/metrics")
        assert "connections_database_up 0.0" in read(port)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_stops_the_start_and_is_named(workers: int) -> None:
    port = free_port()
    done = run("serve", "--workers", workers, **SETTINGS, port=port, metrics_port=port - workers + 1)
    assert (done.returncode, "CONNECTIONS_METRICS_PORT: cannot listen" in done.stderr) == (1, True)
