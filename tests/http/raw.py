"""HTTP by hand, for what no client library would send."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.http.conftest import Client


async def exchange(client: Client, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send these bytes, and give status, headers and body of the first answer."""
    return await exchange_at(client.port or 0, request)


async def exchange_at(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Do so at a port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(30):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head[0].split()[1]), headers, body
