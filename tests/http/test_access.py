"""Who may call what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.http.fakes import ID, READ_KEY, WRITE_KEY
from tests.http.raw import exchange

if TYPE_CHECKING:
    from tests.http.conftest import Client

ONE = f"/api/v1/connections/{ID}"
READS = [
    ("GET", "/api/v1/connections"),
    ("GET", ONE),
    ("GET", f"{ONE}/events"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/providers"),
]
WRITES = [
    ("GET", "/api/v1/connections/stripe/auth-url"),
    ("POST", "/api/v1/connections"),
    ("PATCH", ONE),
    ("DELETE", ONE),
    *(
        ("POST", f"{ONE}/{act}")
        for act in ["refresh", "verify", "disconnect", "reauthorize", "connect-session"]
    ),
]
OPEN = [
    (f"/api/v1/connections/stripe/callback?connectionId={ID}", 200),
    ("/oauth/callback?state=cs_x", 200),
    ("/healthz", 200),
    ("/readyz", 200),
]


@pytest.mark.parametrize(("method", "path"), READS + WRITES)
async def test_no_key_opens_nothing(client: Client, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert (answer.status, await answer.json()) == (
        401,
        {
            "success": False,
            "error": {
                "code": "UNAUTHORIZED",
                "message": "Missing or invalid API key. Send a valid key in the x-api-key header.",
            },
        },
    )


@pytest.mark.parametrize(("method", "path"), READS)
async def test_a_reading_key_reads(client: Client, method: str, path: str) -> None:
    answer = await client.request(method, path, headers={"x-api-key": READ_KEY})
    assert answer.status == 200


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_reading_key_changes_nothing(client: Client, method: str, path: str) -> None:
    answer = await client.request(method, path, headers={"x-api-key": READ_KEY}, json={})
    assert (answer.status, await answer.json()) == (
        403,
        {
            "success": False,
            "error": {
                "code": "FORBIDDEN",
                "message": "This API key may only read. Use a key with the scope write.",
            },
        },
    )


@pytest.mark.parametrize(("path", "status"), OPEN)
async def test_callbacks_and_probes_need_no_key(client: Client, path: str, status: int) -> None:
    assert (await client.get(path)).status == status


@pytest.mark.parametrize(
    "lines",
    [
        b"x-api-key:\r\n",
        b"x-api-key: wrong\r\n",
        b"x-api-key: " + WRITE_KEY.encode() + b"\r\nx-api-key: " + WRITE_KEY.encode() + b"\r\n",
        b"x-api-key: \xc3\xa9\r\n",
        b"x-api-key: \xff\r\n",
        b"x-api-key: " + b"k" * 8000 + b"\r\n",
        b"Authorization: Bearer " + WRITE_KEY.encode() + b"\r\n",
    ],
)
async def test_a_key_that_is_none_is_refused(client: Client, lines: bytes) -> None:
    status, _, _ = await exchange(
        client, b"GET " + ONE.encode() + b" HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n"
    )
    assert status == 401


async def test_the_key_in_the_query_opens_nothing(client: Client) -> None:
    assert (await client.get(f"{ONE}?x-api-key={WRITE_KEY}")).status == 401
