"""Everything, as ratios within one run: `python -m benchmarks [--quick] [--rows N]`, or `make bench`."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.beside_nango import beside_nango, commit
from benchmarks.lists import page_100
from benchmarks.load import Target, in_turn, on_the_first_core, require_wrk
from benchmarks.report import Figure, save, show
from benchmarks.world import OURS, fill, free_port, running, service
from entrypoints.embedded_postgres import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.load import Load
    from benchmarks.world import Running, Table

LIST = "/api/v1/connections"
STEADIER = "moves least on a busy machine"
NANGO_GET, NANGO_LIST = 200 / 14_000, 360 / 14_000
"""Nango 0.71.4 beside the ceiling, recorded on another day: its own get, and its list of 20."""


@click.command()
@click.option("--quick", is_flag=True, help="Two short rounds over a small table.")
@click.option(
    "--rows", type=click.IntRange(OURS), help="Rows of the large table; the goal speaks of 1000000."
)
@click.option("--json", "path", type=click.Path(path_type=Path), default="benchmarks/latest.json")
def main(*, quick: bool, rows: int | None, path: Path) -> None:
    """Measure the service against the ceiling, against bare SQL, and against its goals."""
    require_wrk()
    busy = os.getloadavg()[0]
    rounds, seconds, calls = (2, 1, 15) if quick else (5, 2, 50)
    rows = rows or (20_000 if quick else 100_000)
    folder = Path(tempfile.mkdtemp(prefix="connections-bench-"))
    try:
        figures = _starts(folder)
        with embedded_postgres(folder / "bench") as server:
            small = asyncio.run(fill(server, "small", OURS))
            large = asyncio.run(fill(server, "large", rows))
            loads, more = _loads(folder, small, large, rounds=rounds, seconds=seconds)
            ours = asyncio.run(beside_nango(folder, small, calls))
            disk = asyncio.run(commit(small.url, calls))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = [*_ratios(loads, rows), *more, *_times(ours, disk), *figures]
    show(figures)
    save(path, figures, loads, {"rounds": rounds, "seconds": seconds, "rows": rows})
    click.echo(
        f"\nLoad before it began: {busy:.1f}. Where others work on the machine, only ratios mean something."
    )
    click.echo(f"Everything was measured in this run; all of it is in {path}.")


def _loads(
    folder: Path, small: Table, large: Table, *, rounds: int, seconds: int
) -> tuple[Mapping[str, Load], list[Figure]]:
    port = free_port()
    with ExitStack() as stack:
        enter = stack.enter_context
        bare = enter(
            running(
                folder,
                "benchmarks.bare",
                port,
                small.url,
                port=port,
                ready="/constant",
                core=on_the_first_core,
            )
        )
        one = enter(service(folder, small.url))
        other = enter(service(folder, large.url))
        two = enter(service(folder, small.url, "--workers", 2, pinned=False))
        alone = enter(service(folder, small.url, pinned=False))
        rest = one.memory()
        targets = [
            Target(name="ceiling", url=bare.url, pid=bare.pid, paths=["/constant"]),
            Target(
                name="bare get",
                url=bare.url,
                pid=bare.pid,
                paths=[f"/bench/connections/{each}" for each in small.ids],
            ),
            _target("get", one, small, [f"{LIST}/{each}" for each in small.ids]),
            Target(name="bare list", url=bare.url, pid=bare.pid, paths=["/bench/connections"]),
            _target("list", one, small, [f"{LIST}?limit=50"]),
            _target("one worker", alone, small, [f"{LIST}/{each}" for each in small.ids]),
            _target("two workers", two, small, [f"{LIST}/{each}" for each in small.ids]),
        ]
        for size, at, table in (("small", one, small), ("large", other, large)):
            targets.append(_target(f"first page, {size}", at, table, [f"{LIST}?limit=10"]))
            targets.append(_target(f"page 100, {size}", at, table, [page_100(at.url, table.key)]))
        loads = in_turn(targets, rounds=rounds, seconds=seconds)
        memory = [
            Figure(what="memory of a worker at rest", value=rest, unit="MB", goal=60),
            Figure(what="memory of a worker under load", value=one.memory(), unit="MB", goal=90),
            Figure(what="memory of bare under load", value=bare.memory(), unit="MB"),
            Figure(what="start to ready, database up", value=one.ready, unit="s", goal=1),
            Figure(what="start to ready, beside bare's", value=one.ready / bare.ready, unit="x"),
        ]
    return loads, memory


def _target(name: str, at: Running, table: Table, paths: list[str]) -> Target:
    return Target(name=name, url=at.url, pid=at.pid, paths=paths, key=table.key)


def _ratios(loads: Mapping[str, Load], rows: int) -> list[Figure]:
    def times(what: str, of: str) -> float:
        return loads[what].per_second / loads[of].per_second

    def slower(what: str, than: str) -> float:
        return loads[what].p50 / loads[than].p50

    def cpu(what: str, of: str) -> float:
        return loads[what].cpu / loads[of].cpu

    cores = len(os.sched_getaffinity(0))
    get, against = loads["get"], f"{rows:,} rows against {OURS:,}"
    return [
        Figure(what="GET one, beside bare", value=times("get", "bare get"), unit="x", goal=2, at="least"),
        Figure(
            what="GET one, beside the ceiling", value=times("get", "ceiling"), unit="x", goal=0.5, at="least"
        ),
        Figure(
            what="GET one, beside Nango's own",
            value=times("get", "ceiling") / NANGO_GET,
            unit="x",
            note="Nango's is recorded",
        ),
        Figure(what="list 50, beside bare", value=times("list", "bare list"), unit="x", goal=1.5, at="least"),
        Figure(
            what="list 50, beside Nango's list of 20",
            value=times("list", "ceiling") / NANGO_LIST,
            unit="x",
            note="Nango's is recorded",
        ),
        Figure(
            what="CPU of GET one, beside the ceiling's",
            value=cpu("get", "ceiling"),
            unit="x",
            note=STEADIER,
        ),
        Figure(what="CPU of bare's get, beside ours", value=cpu("bare get", "get"), unit="x", note=STEADIER),
        Figure(
            what="CPU of bare's list, beside ours", value=cpu("bare list", "list"), unit="x", note=STEADIER
        ),
        Figure(what="GET one, p99 beside its p50", value=get.p99 / get.p50, unit="x", goal=3),
        Figure(
            what="bare get, p99 beside its p50", value=loads["bare get"].p99 / loads["bare get"].p50, unit="x"
        ),
        Figure(
            what="list, first page, p50",
            value=slower("first page, large", "first page, small"),
            unit="x",
            goal=1.2,
            note=against,
        ),
        Figure(
            what="list, page 100, p50",
            value=slower("page 100, large", "page 100, small"),
            unit="x",
            goal=1.2,
            note=against,
        ),
        Figure(
            what="two workers, beside one",
            value=times("two workers", "one worker"),
            unit="x",
            goal=1.8 if cores >= 4 else None,  # noqa: PLR2004 - two, the database, and wrk
            at="least",
            note=f"{cores} cores for all, wrk and the database included",
        ),
    ]


def _times(ours: Mapping[str, float], disk: float) -> list[Figure]:
    return [
        *(
            Figure(what=f"{name}: ours beside Nango's, p50", value=value, unit="ms", goal=5)
            for name, value in ours.items()
        ),
        Figure(
            what="one commit that waits for the disk, p50",
            value=disk,
            unit="ms",
            note="auth-url and create wait for two, verify and refresh for one",
        ),
    ]


def _starts(folder: Path) -> list[Figure]:
    """Start everything on one machine, twice."""
    figures = []
    for what, goal in (("embedded, first run", 4), ("embedded, later runs", 1.5)):
        port = free_port()
        settings = {"port": port, "data_dir": folder / "dev"}
        with running(folder, "entrypoints", "dev", port=port, ready="/readyz", settings=settings) as dev:
            figures.append(Figure(what=f"start to ready, {what}", value=dev.ready, unit="s", goal=goal))
    return figures


if __name__ == "__main__":
    main()
