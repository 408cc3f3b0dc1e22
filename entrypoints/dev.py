"""`connections dev`: the whole thing on one machine, with stand-ins only where no setting names the real."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import click
from aiohttp import web

from adapters.catalogue.loader import load_catalogue
from adapters.postgres.migrate import migrate
from adapters.sandbox.server import create_sandbox
from application.ports import Scope
from domain.api_key import make_key
from entrypoints import process
from entrypoints.embedded_postgres import embedded_postgres
from entrypoints.service import composed, serve
from entrypoints.settings import Settings, SettingsError

if TYPE_CHECKING:
    import asyncio
    import socket
    from pathlib import Path

COMPANY = "development"
SANDBOX_KEY = "5a4db0c5-0000-4000-8000-000000000000"
"""Nango keys are UUIDs; this one opens only the sandbox, which listens on this machine."""


def run_dev(settings: Settings) -> None:
    """Run until a signal comes; the state stays in the data directory."""
    settings = attrs.evolve(settings, notice=timedelta(0))  # no balancer stands before a developer
    if settings.nango_secret_key is None and settings.nango_url != Settings().nango_url:
        raise SettingsError(
            "CONNECTIONS_NANGO_URL needs CONNECTIONS_NANGO_SECRET_KEY; the sandbox runs without both"
        )
    load_catalogue(settings.providers_dir)  # a bad file stops the start
    _make_writable(settings.data_dir)
    with ExitStack() as stack:
        listener = stack.enter_context(process.listening(settings.host, settings.port))
        using = []
        if settings.database_url is None:
            try:
                url = stack.enter_context(embedded_postgres(settings.data_dir))
            except (TimeoutError, ValueError) as problem:
                raise SettingsError(f"CONNECTIONS_DATA_DIR: {problem}") from None
            settings = attrs.evolve(settings, database_url=url)
            using.append(f"PostgreSQL   embedded, in {settings.data_dir / 'postgres'}; for other commands:")
            using.append(f"             CONNECTIONS_DATABASE_URL='{url}'")
        else:
            using.append("PostgreSQL   CONNECTIONS_DATABASE_URL")
        sandbox: socket.socket | None = None
        if settings.nango_secret_key is None:
            named = "CONNECTIONS_PORT (the sandbox takes the one after it)"
            sandbox = stack.enter_context(process.listen(settings.host, settings.port + 1, named))
            using.append(f"Nango        SANDBOX at http://localhost:{settings.port + 1}: no real accounts")
            settings = attrs.evolve(
                settings,
                nango_url=f"http://127.0.0.1:{settings.port + 1}",
                nango_public_url=f"http://localhost:{settings.port + 1}",
                nango_secret_key=SANDBOX_KEY,
            )
        else:
            using.append(f"Nango        {settings.nango_url}")
        process.run(lambda stop: _run(settings, listener, sandbox, stop, using))


def _make_writable(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=data_dir).close()
    except OSError as problem:
        raise SettingsError(
            f"CONNECTIONS_DATA_DIR: nothing can be written in {data_dir}: {problem.strerror}"
        ) from None


async def _run(
    settings: Settings,
    listener: socket.socket,
    sandbox: socket.socket | None,
    stop: asyncio.Event,
    using: list[str],
) -> None:
    assert settings.database_url is not None  # noqa: S101 - set by run_dev
    await migrate(settings.database_url)
    key = _development_key(settings.data_dir)
    async with composed(settings) as container:
        await container.create_api_key()(
            company_id=COMPANY, scope=Scope.WRITE, label="connections dev", key=key
        )
    async with AsyncExitStack() as stack:
        if sandbox is not None:
            await _serve_sandbox(stack, settings, sandbox)
        click.echo(_welcome(settings, key, using))
        await serve(settings, listener, stop, with_worker=True)


async def _serve_sandbox(stack: AsyncExitStack, settings: Settings, listener: socket.socket) -> None:
    app = create_sandbox(
        secret_key=SANDBOX_KEY,
        public_url=settings.nango_public_url,
        callback_url=settings.callback_url,
        data_dir=settings.data_dir / "sandbox",
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener).start()


def _development_key(data_dir: Path) -> str:
    """Give the same key at every start: it is the one secret that is kept readable, on this machine only."""
    path = data_dir / "api-key"
    if not path.exists() or not path.read_text():
        path.touch(mode=0o600)
        path.write_text(make_key(secrets.token_bytes(32)))
    return path.read_text().strip()


def _welcome(settings: Settings, key: str, using: list[str]) -> str:
    base = settings.public_url
    lines = [
        "",
        f"Connections  {base}   (data in {settings.data_dir})",
        *using,
        f"API key      {key}   (company {COMPANY})",
        "",
        "Connect Stripe: open the authUrl that this prints in a browser, then list your connections.",
        f"  curl -s -H 'x-api-key: {key}' {base}/api/v1/connections/stripe/auth-url",
        f"  curl -s -H 'x-api-key: {key}' {base}/api/v1/connections",
        "",
    ]
    return "\n".join(lines)
