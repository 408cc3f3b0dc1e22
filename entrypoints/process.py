"""A process and its children: the listening socket, signals, and several workers on one socket."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
import uvloop

from entrypoints.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

BACKLOG = 2048
INHERITED = "LISTENER_FD"
"""Names, for a child of `supervise`, the descriptor of the socket that its parent listens on."""
LIFELINE = "LIFELINE_FD"
"""Names, for a child of `supervise`, the descriptor of a pipe that closes once its parent is gone."""
NUMBER = "WORKER_NUMBER"
"""Tells a child of `supervise` which it is, from 0."""

_ALONE = -1
_RESTART_PAUSE = 1.0
_LOOK_AGAIN = 0.1
_SAME_SIGNAL = 1.0
"""Seconds in which a second signal is the first one again: a terminal and systemd signal every process, and
`supervise` passes on what it gets itself."""

_log = structlog.get_logger()


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a listening socket: our own, or the one a parent has handed down.

    Raises:
        SettingsError: the address cannot be had.

    """
    inherited = os.environ.get(INHERITED)
    if inherited is None:
        with listen(host, port, "CONNECTIONS_PORT") as listener:
            yield listener
    else:
        with socket.socket(fileno=int(inherited)) as listener:
            listener.setblocking(False)
            yield listener


@contextmanager
def listen(host: str, port: int, setting: str) -> Iterator[socket.socket]:
    """Listen on a port that this setting names.

    Raises:
        SettingsError: the address cannot be had.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as problem:
        raise SettingsError(
            f"CONNECTIONS_HOST, {setting}: cannot listen on {host}:{port}: {_reason(problem)}"
        ) from None
    with listener:
        listener.setblocking(False)
        yield listener


def _reason(problem: Exception) -> str:
    # What the standard library adds in brackets is the address, which the line has named.
    return (getattr(problem, "strerror", None) or "there is no such port").partition(" (while ")[0]


def own_number() -> int:
    """Give the number of this process among those that `supervise` runs, 0 where it is alone."""
    return int(os.environ.get(NUMBER, "0"))


def tune_garbage_collection() -> None:
    """Tune Python's cyclic garbage collector: exempt what was made at the start, and collect less often.

    Hardly anything here is garbage in a cycle, and collecting took a twentieth of the time of a read.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a coroutine on uvloop with an event that SIGTERM and SIGINT set; a second signal ends at once.

    In a child of `supervise` its parent's death sets it, too: nobody else would end it.
    """

    async def with_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        asked_at: float | None = None

        def ask() -> None:
            nonlocal asked_at
            if asked_at is None:
                asked_at = loop.time()
                stop.set()
            elif loop.time() - asked_at >= _SAME_SIGNAL:
                os._exit(1)

        def let_go() -> None:
            loop.remove_reader(lifeline)
            if not stop.is_set():
                _log.error("supervisor died")
                stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ask)
        lifeline = int(os.environ.get(LIFELINE, _ALONE))
        if lifeline != _ALONE:
            loop.add_reader(lifeline, let_go)
        await main(stop)

    uvloop.run(with_signals())


def supervise(workers: int, listener: socket.socket, *, with_worker: bool) -> int:
    """Run `connections serve` several times on one socket; start again whatever dies; give the exit status.

    The children accept from the same queue, so none of what is waiting there is lost with one of them.
    """
    asked: list[int] = []
    children: dict[int, subprocess.Popen[bytes]] = {}
    start_at = dict.fromkeys(range(workers), 0.0)

    def stop(number: int, _frame: object) -> None:
        # A child may be on its way at this moment: the first signal is passed on where that cannot be.
        if asked:
            _pass_on(number, children.values())
        asked.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # Nothing is ever written: the other end is this process's alone, and closed however it ends.
    lifeline, _ = os.pipe()
    while not asked:
        for number in [number for number, at in start_at.items() if at <= time.monotonic()]:
            del start_at[number]
            # One of them does the worker's rounds.
            children[number] = _start(listener, lifeline, number, with_worker=with_worker and number == 0)
        for number, child in list(children.items()):
            if child.poll() is not None:
                _log.error("worker process died", status=child.returncode)
                del children[number]
                start_at[number] = time.monotonic() + _RESTART_PAUSE
        time.sleep(_LOOK_AGAIN)
    _pass_on(asked[0], children.values())
    # One that was just starting could not yet end in an orderly way, and had nothing to put in order.
    statuses = (child.wait() for child in children.values())
    return max((abs(status) for status in statuses if status != -asked[0]), default=0)


def _start(
    listener: socket.socket, lifeline: int, number: int, *, with_worker: bool
) -> subprocess.Popen[bytes]:
    # -P: a folder called `entrypoints` where we were started is not ourselves.
    return subprocess.Popen(  # noqa: S603 - ourselves again
        [sys.executable, "-P", "-m", "entrypoints", "serve", *(["--with-worker"] if with_worker else [])],
        pass_fds=[listener.fileno(), lifeline],
        env={
            **os.environ,
            INHERITED: str(listener.fileno()),
            LIFELINE: str(lifeline),
            NUMBER: str(number),
        },
    )


def _pass_on(number: int, children: Iterable[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.send_signal(number)
