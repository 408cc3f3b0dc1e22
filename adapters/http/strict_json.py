"""JSON as RFC 8259 means it, and no more: what msgspec would let through is refused here first.

msgspec accepts duplicate keys and NUL, and raises RecursionError on depth; the standard library accepts
NaN. Both take numbers of any size, which cost hundreds of megabytes once stored as jsonb.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from domain.errors import InvalidInput

MAX_DEPTH = 32
MAX_NUMBER = 2**53
"""Beyond this a JavaScript client reads another number than was written (RFC 8259 §6)."""

_LONGEST_INTEGER = len(str(-MAX_NUMBER))
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def read_json(data: bytes) -> Any:
    """Read one JSON document.

    Raises:
        InvalidInput: not UTF-8, not JSON, or one of what is refused: a byte order mark, trailing text,
            duplicate keys, more than `MAX_DEPTH` levels, NUL, lone surrogates, NaN, infinities, numbers
            beyond ±`MAX_NUMBER`.

    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        _refuse("must be UTF-8")
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        _refuse(f"must be valid JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    if "\\u" in text or "\x00" in text:
        _check_texts(value)
    return value


def _refuse(message: str) -> NoReturn:
    raise InvalidInput(("body", message)) from None


def _check_depth(text: str) -> None:
    depth = 0
    for token in _STRUCTURE.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(f"must not be nested deeper than {MAX_DEPTH} levels")
        elif first != '"':
            depth -= 1


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            _refuse("must not contain NUL or lone surrogates")
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        _refuse("must not contain the same key twice in one object")
    return members


def _constant(_: str) -> NoReturn:
    _refuse("must not contain NaN or Infinity")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER or abs(number := int(digits)) > MAX_NUMBER:
        _refuse("must not contain numbers beyond ±2^53")
    return number


def _real(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number) or abs(number) > MAX_NUMBER:
        _refuse("must not contain numbers beyond ±2^53")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_real
)
