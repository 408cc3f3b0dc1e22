"""How long we take beside Nango: what a request took, less what the gateway measured of Nango in it."""

from __future__ import annotations

import html
import json
import re
import time
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import aiohttp
import asyncpg

from benchmarks.world import add_key, free_port, running, service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.world import Table

ROUTES = {
    "GET /api/v1/connections/{provider}/auth-url": "auth-url",
    "POST /api/v1/connections": "create",
    "POST /api/v1/connections/{id}/verify": "verify",
    "POST /api/v1/connections/{id}/refresh": "refresh",
}


async def beside_nango(folder: Path, table: Table, calls: int) -> Mapping[str, float]:
    """Give our milliseconds at p50, by call, over a Nango sandbox."""
    nango_port, port = free_port(), free_port()
    callback = f"http://127.0.0.1:{port}/oauth/callback"
    nango_url = f"http://127.0.0.1:{nango_port}"
    with (
        running(
            folder,
            "benchmarks.sandbox",
            nango_port,
            callback,
            port=nango_port,
            ready="/sandbox/control/calls",
        ),
        service(
            folder,
            table.url,
            port=port,
            public_url=f"http://127.0.0.1:{port}",
            nango_url=nango_url,
            log_level="debug",
        ) as ours,
    ):
        await _call(f"{ours.url}/api/v1/connections", table, calls)
    return _read(ours.log.read_text())


async def commit(url: str, times: int) -> float:
    """Give the milliseconds at p50 of a commit that waits for the disk: each of our calls has one or two."""
    connection = await asyncpg.connect(url)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await connection.execute("SELECT pg_logical_emit_message(true, 'bench', '')")
        took.append((time.perf_counter() - began) * 1000)
    await connection.close()
    return median(took)


async def _call(base: str, table: Table, calls: int) -> None:
    connection = await asyncpg.connect(table.url)
    # One company each: how many open authorizations a company may have is limited.
    keys = [await add_key(connection, f"caller-{number}") for number in range(calls)]
    await connection.close()
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, url: str, key: str, **how: Any) -> Any:
            async with session.request(method, url, headers={"x-api-key": key}, **how) as answer:
                body = await answer.json()
                assert answer.status < 300, body  # noqa: PLR2004 - HTTP
                return body["data"]

        for key in keys:
            await ask("GET", f"{base}/slack/auth-url", key)
            await ask("POST", base, key, json={"name": "Bench", "provider": "hubspot"})
        started = await ask("GET", f"{base}/stripe/auth-url", keys[0])
        await _authorize(session, started["authUrl"])
        for _ in keys:
            await ask("POST", f"{base}/{started['connectionId']}/verify", keys[0])
            await ask("POST", f"{base}/{started['connectionId']}/refresh", keys[0])


async def _authorize(session: aiohttp.ClientSession, url: str) -> None:
    """Press Authorize on the consent page, and come back to us."""
    async with session.get(url) as answer:
        page = await answer.text()
    action = re.search(r'<form[^>]*action="([^"]*)"', page)
    assert action, page
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    form = {name: html.unescape(value) for name, value in fields.items()}
    form |= {"decision": "authorize", "account": "first"}
    async with session.post(urljoin(url, html.unescape(action[1])), data=form) as answer:
        await answer.read()


def _read(log: str) -> Mapping[str, float]:
    nango: defaultdict[str, float] = defaultdict(float)
    ours: defaultdict[str, list[float]] = defaultdict(list)
    for line in log.splitlines():
        event = json.loads(line)
        if event["event"] == "nango":
            nango[event["request_id"]] += event["seconds"] * 1000
        elif event["event"] == "request" and event["status"] < 300:  # noqa: PLR2004 - HTTP
            name = ROUTES.get(f"{event['method']} {event['route']}")
            if name:
                ours[name].append(event["duration_ms"] - nango[event["request_id"]])
    return {name: median(ours[name]) for name in ROUTES.values()}
