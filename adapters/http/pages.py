"""The few pages a person sees on the way back from a provider: no scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape

_STYLE = (
    ":root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}"
    "body{display:grid;place-items:center;min-height:100vh;margin:0}"
    "main{max-width:26rem;padding:2rem;text-align:center}"
    "h1{font-size:1.4rem;margin:0 0 .5rem}p{margin:.5rem 0;opacity:.8}"
)


def headers(style: str) -> dict[str, str]:
    """Give the headers of a page that has this style, no scripts and nothing from elsewhere."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


HEADERS = headers(_STYLE)

_AGAIN_AFTER = 2
"""Seconds between two looks of a page that waits."""


def page(title: str, text: str, *, waits: bool = False) -> bytes:
    """Write a page; one that `waits` loads its own address again, which names nothing of the query."""
    refresh = f'<meta http-equiv="refresh" content="{_AGAIN_AFTER}">' if waits else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{refresh}<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p></main></body></html>"
    ).encode()


def connected() -> bytes:
    """Say that it worked."""
    return page("Connected", "Your account is connected. You can close this window.")


def waiting() -> bytes:
    """Say that it is not known yet."""
    return page(
        "One moment", "We are waiting for the provider to confirm. This page looks again.", waits=True
    )


def refused(message: str, request_id: str) -> bytes:
    """Say that it did not work."""
    return page("Not connected", f"{message} (Request id: {request_id})")
