"""A process and its children: the listening socket, signals, and several workers on one socket."""

from __future__ import annotations

import asyncio
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
    from collections.abc import Awaitable, Callable, Iterator

BACKLOG = 2048
INHERITED = "LISTENER_FD"
"""Names, for a child of `supervise`, the descriptor of the socket that its parent listens on."""

_RESTART_PAUSE = 1.0

_log = structlog.get_logger()


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a listening socket: our own, or the one a parent has handed down.

    Raises:
        SettingsError: the address cannot be had.

    """
    inherited = os.environ.get(INHERITED)
    if inherited is not None:
        listener = socket.socket(fileno=int(inherited))
    else:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as problem:
            raise SettingsError(
                f"CONNECTIONS_HOST, CONNECTIONS_PORT: cannot listen on {host}:{port}: {problem.strerror}"
            ) from None
    with listener:
        listener.setblocking(False)
        yield listener


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a coroutine on uvloop with an event that SIGTERM and SIGINT set; a second signal ends at once."""

    async def with_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _ask, stop)
        await main(stop)

    uvloop.run(with_signals())


def _ask(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(1)
    stop.set()


def supervise(workers: int, listener: socket.socket, *, with_worker: bool) -> int:
    """Run `connections serve` several times on one socket; start again whatever dies; give the exit status.

    The children accept from the same queue, so none of what is waiting there is lost with one of them.
    """
    stopping = False
    children: dict[int, subprocess.Popen[bytes]] = {}

    def start(number: int) -> None:
        # One of them does the worker's rounds.
        extra = ["--with-worker"] if with_worker and number == 0 else []
        children[number] = subprocess.Popen(  # noqa: S603 - ourselves again
            [sys.executable, "-m", "entrypoints", "serve", *extra],
            pass_fds=[listener.fileno()],
            env={**os.environ, INHERITED: str(listener.fileno())},
        )

    def stop(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        for child in children.values():
            child.send_signal(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for number in range(workers):
        start(number)
    while not stopping:
        for number, child in list(children.items()):
            if child.poll() is not None and not stopping:
                _log.error("worker process died", status=child.returncode)
                time.sleep(_RESTART_PAUSE)
                start(number)
        time.sleep(0.2)
    return max(abs(child.wait()) for child in children.values())
