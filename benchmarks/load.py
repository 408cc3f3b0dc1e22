"""wrk as the load generator, and what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONNECTIONS = 32
UNIT = {"us": 1e-3, "ms": 1.0, "s": 1e3}

# Every request is another of the paths, written out before the clock starts.
SCRIPT = """
local requests, at = {}, 0
init = function()
  for line in io.lines("%s") do requests[#requests + 1] = wrk.format("GET", line) end
end
request = function()
  at = at %% #requests + 1
  return requests[at]
end
"""


@frozen(kw_only=True)
class Target:
    """Where to send load, under what name, with which headers."""

    name: str
    url: str
    paths: Sequence[str]
    pid: int
    key: str | None = None


@frozen(kw_only=True)
class Load:
    """What one run of wrk found; times in milliseconds.

    `cpu` is what the serving process spent on a request: a busy machine changes it least.
    """

    per_second: float
    p50: float
    p99: float
    cpu: float


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        sys.exit(
            "bench: wrk is missing; on Debian: apt-get install wrk, elsewhere: https://github.com/wg/wrk"
        )


def load(target: Target, *, seconds: int, connections: int = CONNECTIONS) -> Load:
    before = cpu_seconds(target.pid)
    with tempfile.TemporaryDirectory() as folder:
        paths, script = Path(folder, "paths"), Path(folder, "script.lua")
        paths.write_text("\n".join(target.paths) + "\n")
        script.write_text(SCRIPT % paths)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
        if target.key:
            command += ["-H", f"x-api-key: {target.key}"]
        done = subprocess.run(
            [*command, target.url], capture_output=True, text=True, check=True, preexec_fn=on_the_last_core
        )
    return read(done.stdout, cpu_seconds(target.pid) - before)


def read(said: str, cpu: float) -> Load:
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"bench: not every answer was a success:\n{said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    count = re.search(r"(\d+) requests in", said)
    times = {name: float(n) * UNIT[unit] for name, n, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)", said)}
    assert rate, said
    assert count, said
    return Load(per_second=float(rate[1]), p50=times["50"], p99=times["99"], cpu=cpu * 1000 / int(count[1]))


def cpu_seconds(pid: int) -> float:
    """Give what a process has spent until now, its children left out."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def on_the_last_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def on_the_first_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def in_turn(targets: Sequence[Target], *, rounds: int, seconds: int) -> Mapping[str, Load]:
    """Load one after the other, again and again; give the medians, so that a noisy moment hurts nobody."""
    found: dict[str, list[Load]] = {target.name: [] for target in targets}
    for target in {target.url: target for target in targets}.values():
        load(target, seconds=1)
    for _ in range(rounds):
        for target in targets:
            found[target.name].append(load(target, seconds=seconds))
    return {
        name: Load(
            per_second=median(each.per_second for each in loads),
            p50=median(each.p50 for each in loads),
            p99=median(each.p99 for each in loads),
            cpu=median(each.cpu for each in loads),
        )
        for name, loads in found.items()
    }
