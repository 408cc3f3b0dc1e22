"""A server that kills itself at a named point: `python -m tests.chaos.crashing_service`.

Each line on standard input is a JSON object: {"port", "at"} starts a server there, in a process of its own,
forked from this one, which has imported everything already. With "at" it dies by SIGKILL as soon as it has
done so many steps; without, it goes on. A step is a call of the gateway, a commit, or a flight boarded
or landed; each server writes those it has done to the file "steps".

The service itself knows nothing of this: its gateway is wrapped, and COMMIT is noticed on the wire's side of
the store (`adapters.postgres.store._commit`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define
from dependency_injector import providers

from adapters.catalogue.loader import load_catalogue
from adapters.nango.gateway import NangoGateway
from adapters.postgres import store
from entrypoints import process
from entrypoints.container import Container
from entrypoints.logs import configure_logs
from entrypoints.service import serve
from entrypoints.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TextIO

    from adapters.postgres.pool import Session
    from application.ports import ProviderCatalogue

REMOTE = (
    "open_session",
    "start_flow",
    "relay_callback",
    "find_grants",
    "any_grant",
    "has_grant",
    "fetch",
    "call_provider",
    "import_credentials",
    "delete",
)
SHARED = ("board", "land")
"""What the store does at once, without a transaction."""


@define
class Steps:
    """Counts what leaves traces outside the process, and dies at the right moment."""

    told: TextIO
    at: int | None
    done: int = 0

    def before(self) -> None:
        """Die here, if so many steps are done."""
        if self.done == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(self, name: str) -> None:
        """Note a step, and die after it if it was the last one to be done."""
        self.done += 1
        self.told.write(f"{name}\n")
        self.told.flush()
        if self.done == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def _wrapped(steps: Steps, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def step(*args: Any, **how: Any) -> Any:
        steps.before()
        try:
            return await call(*args, **how)
        finally:
            steps.after(name)

    return step


def _serve(port: int, at: int | None, told: str, catalogue: ProviderCatalogue) -> None:
    with open(told, "a") as file:  # noqa: PTH123 - one line a step
        steps = Steps(file, at)
        crashing = type(
            "CrashingGateway",
            (NangoGateway,),
            {name: _wrapped(steps, name, getattr(NangoGateway, name)) for name in REMOTE},
        )
        settings = attrs.evolve(read_settings(os.environ), port=port)
        configure_logs(settings.log_level, settings.log_format)
        Container.gateway.override(
            providers.Singleton(
                crashing,
                Container.session,
                base_url=settings.nango_url,
                secret_key=settings.nango_secret_key,
            )
        )
        Container.catalogue.override(providers.Object(catalogue))
        for name in SHARED:
            setattr(store.PostgresStore, name, _wrapped(steps, name, getattr(store.PostgresStore, name)))
        commit = store._commit

        async def counted(work: Session) -> None:
            steps.before()
            await commit(work)
            steps.after("commit")

        store._commit = counted
        with process.listening("127.0.0.1", port) as listener:
            process.run(lambda stop: serve(settings, listener, stop, with_worker=False))


def main() -> None:
    """Fork a server for each line, until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    catalogue = load_catalogue(None)
    for line in sys.stdin:
        wanted = json.loads(line)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            _serve(wanted["port"], wanted.get("at"), wanted["steps"], catalogue)
            os._exit(0)


if __name__ == "__main__":
    main()
