"""What runs inside a serving or working process, from open pool to closed socket."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from attrs import define

from adapters.http.app import create_metrics_app
from adapters.http.server import Runner
from adapters.nango.client import open_client_session
from adapters.postgres.pool import open_pool
from application.ports import Scope
from domain.errors import DomainError, StoreRefused, StoreUnavailable
from entrypoints.container import Container, compose
from entrypoints.process import listen, own_number, tune_garbage_collection

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable

    from entrypoints.settings import Settings

SHUTDOWN_SECONDS = 20.0
"""Longer than the longest call, a relay: whoever is being served when SIGTERM comes gets an answer."""

_PAUSE = 1.0
"""Seconds between two rounds of the worker, if the first found nothing to do."""

_TELL_AGAIN = 60.0
"""Seconds after which a trouble that lasts is told once more."""

_HOUSEKEEPING = 600.0
"""Seconds between two sweeps of what the database need not keep any longer."""

_log = structlog.get_logger()


@asynccontextmanager
async def composed(settings: Settings) -> AsyncIterator[Container]:
    """Open what the service stands on, and put it together."""
    assert settings.database_url is not None  # noqa: S101 - the command line has required it
    pool = await open_pool(
        settings.database_url,
        max_size=settings.database_pool,
        through_pgbouncer=settings.database_pgbouncer,
    )
    try:
        async with open_client_session() as session:
            yield compose(settings, pool=pool, session=session)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await pool.close()
        pool.terminate()


async def serve(
    settings: Settings, listener: socket.socket, stop: asyncio.Event, *, with_worker: bool
) -> None:
    """Serve HTTP on a listening socket until `stop`, then answer what is under way and end."""
    async with (
        composed(settings) as container,
        _metrics_of_its_own(container, settings),
        asyncio.TaskGroup() as tasks,
    ):
        background = [tasks.create_task(_ensure_bootstrap_key(container, settings))]
        if with_worker:
            background.append(tasks.create_task(work(container)))
        runner = Runner(
            container.app(),
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=75,
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            tune_garbage_collection()
            _log.info("listening", url=settings.public_url)
            await stop.wait()
            _log.info("stopping")
            await runner.leave(listener, notice=settings.notice.total_seconds())
        finally:
            await runner.cleanup()
            for task in background:
                task.cancel()


async def work(container: Container) -> None:
    """Do the worker's rounds until cancelled; none waits for another, as a walk through Nango may be long."""
    store = container.store()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_repeat("due work", container.do_due_work(), pause=_PAUSE))
        tasks.create_task(_repeat("scheduled checks", container.schedule_checks(), pause=_PAUSE))
        tasks.create_task(_repeat("sweep", container.sweep_grants(), pause=_PAUSE))
        tasks.create_task(_repeat("housekeeping", store.forget_old, pause=_HOUSEKEEPING))


async def _repeat(name: str, do_round: Callable[[], Awaitable[int | None]], *, pause: float) -> None:
    """Do one kind of rounds, without a pause after one with work; an absent database or Nango only delays."""
    trouble = _Trouble(name)
    while True:
        wait = _PAUSE
        try:
            wait = 0 if await do_round() else pause
            trouble.is_over()
        except DomainError as problem:
            trouble.tell(problem)
        except Exception:  # noqa: BLE001 - a bug in one kind of work must not end all the others
            _log.exception("worker round failed", work=name)
        await asyncio.sleep(wait)


@define
class _Trouble:
    """What keeps one kind of rounds from being done: told when it begins or changes, then once a minute."""

    _work: str
    _told: tuple[str, str] | None = None
    _told_at: float = 0.0

    def tell(self, problem: DomainError) -> None:
        what = (problem.code, problem.why or str(problem))
        now = time.monotonic()
        if what == self._told and now < self._told_at + _TELL_AGAIN:
            return
        self._told, self._told_at = what, now
        tell = _log.error if isinstance(problem, StoreRefused) else _log.warning
        tell("worker round failed", work=self._work, code=what[0], problem=what[1])

    def is_over(self) -> None:
        if self._told is not None:
            self._told = None
            _log.info("worker round works again", work=self._work)


async def work_until(settings: Settings, stop: asyncio.Event) -> None:
    """Run a worker alone until `stop`; where its rounds die, that is raised at once, and ends the process."""
    async with (
        composed(settings) as container,
        _metrics_of_its_own(container, settings),
        asyncio.TaskGroup() as tasks,
    ):
        task = tasks.create_task(work(container))
        _log.info("working")
        await stop.wait()
        _log.info("stopping")
        task.cancel()


@asynccontextmanager
async def _metrics_of_its_own(container: Container, settings: Settings) -> AsyncIterator[None]:
    """Serve `/metrics` on a port of its own, where a setting names one: each process on another."""
    if settings.metrics_port is None:
        yield
        return
    with listen(settings.host, settings.metrics_port + own_number(), "CONNECTIONS_METRICS_PORT") as listener:
        runner = Runner(create_metrics_app(container.metrics().scrape), handle_signals=False)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield
        finally:
            await runner.cleanup()


async def _ensure_bootstrap_key(container: Container, settings: Settings) -> None:
    """Make the bootstrap key exist, as soon as the database answers."""
    if settings.bootstrap_api_key is None:
        return
    told = False
    while True:
        try:
            await container.create_api_key()(
                company_id="default", scope=Scope.WRITE, label="bootstrap", key=settings.bootstrap_api_key
            )
        except StoreUnavailable as problem:
            if not told:
                _log.warning("bootstrap key not made yet", code=problem.code, problem=problem.why)
            told = True
            await asyncio.sleep(_PAUSE)
        else:
            return
