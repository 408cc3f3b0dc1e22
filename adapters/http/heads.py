"""What the head of a request must be, where aiohttp's parser lets pass what RFC 9112 does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.hdrs import HOST, TRANSFER_ENCODING

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage

_HOST = re.compile(r"(?:\[[A-Za-z0-9:.%_~-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")


def is_http(head: RawRequestMessage) -> bool:
    """Whether a head is one of HTTP/1.0 or 1.1, its body as it is or in chunks, its host a host.

    Another version has other rules (RFC 9110 §2.5). A coding that is not undone here, or chunks in a version
    that has none, make two readers see two bodies (RFC 9112 §6.1). A bad Host must be refused (§3.2).
    """
    if head.version not in (HttpVersion11, HttpVersion10):
        return False
    coding = head.headers.get(TRANSFER_ENCODING)
    if coding is not None and (coding.lower() != "chunked" or head.version == HttpVersion10):
        return False
    host = head.headers.get(HOST)
    return host is None or _HOST.fullmatch(host) is not None
