"""One deployment for all journeys that do not disturb each other."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import asyncpg
from attrs import frozen

from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.pool import open_pool
from application.create_api_key import CreateApiKey
from application.ports import Scope
from domain.api_key import make_key
from domain.errors import StoreUnavailable
from tests.e2e.harness import Process, free_port, spawn
from tests.e2e.sandbox_process import SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 30.0


@frozen(kw_only=True)
class World:
    """Where everything is. `public_url` is the first server's; both are told it."""

    database_url: str
    nango_url: str
    public_url: str
    logs: Path

    def settings(self, **other: object) -> dict[str, object]:
        """Give the settings of a process of this deployment; all journeys come from one address."""
        return {
            "database_url": self.database_url,
            "nango_url": self.nango_url,
            "nango_secret_key": SECRET_KEY,
            "public_url": self.public_url,
            "callbacks_per_minute": 0,
            **other,
        }

    def serve(self, *arguments: object, port: int | None = None, **other: object) -> Process:
        """Start one more server; it is not ready yet."""
        port = port or free_port()
        return spawn(
            "entrypoints",
            "serve",
            *arguments,
            log=self.logs / f"serve-{port}.log",
            url=f"http://127.0.0.1:{port}",
            settings=self.settings(port=port, **other),
        )

    def worker(self, **other: object) -> Process:
        """Start one more worker."""
        log = self.logs / f"worker-{free_port()}.log"
        return spawn("entrypoints", "worker", log=log, settings=self.settings(**other))

    async def create_key(self, company_id: str, scope: Scope = Scope.WRITE) -> str:
        """Make a key as `connections keys create` does, without its start."""
        key = make_key(secrets.token_bytes(32))
        pool = await open_pool(self.database_url, max_size=1)
        create = CreateApiKey(PostgresApiKeys(pool))
        deadline = time.monotonic() + PATIENCE
        try:
            while True:
                try:
                    await create(company_id=company_id, scope=scope, label=None, key=key)
                except StoreUnavailable:
                    # A second is little where everything runs beside everything.
                    if time.monotonic() > deadline:
                        raise
                else:
                    return key
        finally:
            pool.terminate()

    async def sql(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Look at the database, or turn its clock."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    async def let_time_pass(self, connection_id: str) -> None:
        """Make due now what the worker has to do for a connection later."""
        await self.sql(
            "UPDATE attempts SET check_at = clock() WHERE connection_id = $1 AND check_at IS NOT NULL",
            connection_id,
        )
        await self.sql("UPDATE jobs SET due_at = clock() WHERE connection_id = $1", connection_id)


def start_nango(logs: Path, callback_url: str) -> Process:
    """Start a sandbox that sends browsers back to us."""
    port = free_port()
    return spawn(
        "tests.e2e.sandbox_process",
        port,
        callback_url,
        log=logs / f"nango-{port}.log",
        url=f"http://127.0.0.1:{port}",
    )
