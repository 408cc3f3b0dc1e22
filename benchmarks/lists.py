"""The way to a page far down a list."""

from __future__ import annotations

import json
import urllib.request


def page_100(base: str, key: str) -> str:
    """Give the path of a list's hundredth page of ten."""
    path = "/api/v1/connections?limit=10"
    cursor = ""
    for _ in range(99):
        request = urllib.request.Request(f"{base}{path}{cursor}", headers={"x-api-key": key})
        with urllib.request.urlopen(request) as answer:
            cursor = f"&cursor={json.load(answer)['meta']['nextCursor']}"
    return f"{path}{cursor}"
