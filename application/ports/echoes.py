"""Credentials that come back: some providers say "Invalid API key: " and then the whole key.

Nobody may read one here, so they are struck out of what was said, before anybody is told.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from functools import reduce
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

STRUCK = "***"

_TELLING = 8
"""Characters from which on a secret is one; what is shorter may be a part of any word."""

_RUN = re.compile(r"[A-Za-z0-9_+=~-]{16,}")
"""What a credential looks like to somebody who does not know it; few words are as long and have digits."""


def without(value: Any, secrets: Collection[str]) -> Any:
    """Give JSON without these secrets, also where a text has them percent-encoded, in base64, or quoted.

    What is nested beyond reason is given as None.
    """
    found = {form for secret in secrets if secret for form in forms(secret)}
    if not found:
        return value
    try:
        # The longest first: one secret may begin another.
        return _walk(value, sorted(found, key=len, reverse=True))
    except RecursionError:
        return None


def without_likely(text: str) -> str:
    """Give a text without what looks like a credential: long runs of letters and digits, mixed."""
    return _RUN.sub(lambda run: STRUCK if _is_mixed(run[0]) else run[0], text)


def _walk(value: Any, wanted: Sequence[str]) -> Any:
    if isinstance(value, str):
        return reduce(_struck, wanted, value)
    if isinstance(value, list):
        return [_walk(each, wanted) for each in value]
    if isinstance(value, dict):
        return {_walk(name, wanted): _walk(each, wanted) for name, each in value.items()}
    return value


def _struck(text: str, form: str) -> str:
    # No regular expression: those are kept by their text.
    if _tells(form):
        return text.replace(form, STRUCK)
    struck, *pieces = text.split(form)
    for piece in pieces:
        in_a_word = struck[-1:].isalnum() or piece[:1].isalnum()
        struck += (form if in_a_word else STRUCK) + piece
    return struck


def forms(secret: str) -> Iterator[str]:
    """Give the ways in which a text may hold a secret, the plainest first."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield html.escape(secret)
    for safe in ("", "/"):
        encoded = quote(secret, safe=safe)
        yield encoded
        yield re.sub(r"%..", lambda octet: octet[0].lower(), encoded)
    yield from filter(_tells, _in_base64(secret.encode()))


def _in_base64(secret: bytes) -> Iterator[str]:
    """Give what does not depend on the bytes before and after it, such as the user's name and a colon."""
    for before in range(3):
        whole = b64encode(bytes(before) + secret).decode()
        stem = whole[(before * 8 + 5) // 6 : (before + len(secret)) * 8 // 6]
        yield stem
        yield stem.translate(str.maketrans("+/", "-_"))


def _tells(form: str) -> bool:
    return len(form) >= _TELLING


def _is_mixed(run: str) -> bool:
    return any(map(str.isdigit, run)) and any(map(str.isalpha, run))
