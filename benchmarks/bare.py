"""What the service is measured against: `python -m benchmarks.bare PORT DATABASE_URL`.

`/constant` is the ceiling: what aiohttp does at best. The others are the shortest honest way from a row to
JSON, over asyncpg's default pool, without keys, validation, envelope or log.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import asyncpg
import uvloop
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POOL: web.AppKey[Any] = web.AppKey("pool")
SHOWN = "id, name, provider, status, external_account_id, last_synced_at, created_at, updated_at"
CONSTANT = json.dumps({"success": True, "data": {"id": "conn_550e8400-e29b-41d4-a716-446655440000"}}).encode()


async def constant(_: web.Request) -> web.Response:
    return web.Response(body=CONSTANT, content_type="application/json")


async def get(request: web.Request) -> web.Response:
    row = await request.app[POOL].fetchrow(
        f"SELECT {SHOWN}, metadata FROM connections WHERE company_id = $1 AND id = $2 AND deleted_at IS NULL",
        request.match_info["company"],
        request.match_info["id"],
    )
    return web.json_response({**shown(row), "metadata": json.loads(row["metadata"])})


async def list_50(request: web.Request) -> web.Response:
    rows = await request.app[POOL].fetch(
        f"SELECT {SHOWN} FROM connections WHERE company_id = $1 AND deleted_at IS NULL "
        "ORDER BY created_at DESC, id DESC LIMIT 50",
        request.match_info["company"],
    )
    return web.json_response([shown(row) for row in rows])


def shown(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "provider": row["provider"],
        "status": row["status"],
        "externalAccountId": row["external_account_id"],
        "lastSyncedAt": row["last_synced_at"].isoformat(),
        "createdAt": row["created_at"].isoformat(),
        "updatedAt": row["updated_at"].isoformat(),
    }


async def pool(app: web.Application) -> AsyncIterator[None]:
    async with asyncpg.create_pool(sys.argv[2]) as app[POOL]:
        yield


def create() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(pool)
    app.router.add_get("/constant", constant)
    app.router.add_get("/{company}/connections", list_50)
    app.router.add_get("/{company}/connections/{id}", get)
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(create(), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
