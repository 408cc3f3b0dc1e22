"""The parts of a request, read strictly: query, body, path, headers."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from adapters.http.errors import BodyTooLarge
from adapters.http.fields import Request, fields_of, read_fields
from adapters.http.requests import Nothing
from adapters.http.strict_json import read_json
from domain.errors import ConnectionNotFound, InvalidInput
from domain.redirect import RedirectUrl

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = TypeVar("Value")

BODY_SECONDS = 10.0

CONNECTION_ID = re.compile(r"conn_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"[0-9]{1,3}")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
_MOST_PARAMETERS = 100


def path_id(request: web.Request) -> str:
    """Give the connection id of the path.

    Raises:
        ConnectionNotFound: malformed, which is as unknown as an unknown one.

    """
    return known_id(request.match_info["id"])


def known_id(text: str) -> str:
    """Give a connection id back where it is in its canonical form.

    Raises:
        ConnectionNotFound: it is not.

    """
    if CONNECTION_ID.fullmatch(text) is None:
        raise ConnectionNotFound
    return text


def raw_query(request: web.Request) -> str:
    """Give the query as it came, byte for byte: yarl would normalise it.

    Raises:
        InvalidInput: it has bytes beyond ASCII, which no client may send unencoded (RFC 3986 §2).

    """
    query = request.raw_path.partition("?")[2].partition("#")[0]
    if not query.isascii():
        raise InvalidInput(("query", "must be percent-encoded ASCII"))
    return query


def pairs(query: str, *, lenient: bool = False) -> list[tuple[str, str]]:
    """Decode a query, in order, repetitions kept; `lenient` replaces what is not UTF-8.

    Raises:
        InvalidInput: not UTF-8, NUL, or too many parameters.

    """
    errors = "replace" if lenient else "strict"
    try:
        found = parse_qsl(query, keep_blank_values=True, errors=errors, max_num_fields=_MOST_PARAMETERS)
    except UnicodeDecodeError:
        raise InvalidInput(("query", "must be UTF-8, percent-encoded")) from None
    except ValueError:
        raise InvalidInput(("query", f"must have at most {_MOST_PARAMETERS} parameters")) from None
    if any("\x00" in name or "\x00" in value for name, value in found):
        raise InvalidInput(("query", "must not contain NUL"))
    return found


def read_query(type: type[Request], request: web.Request) -> Request:
    """Read the query of a request that knows all its parameters.

    Raises:
        InvalidInput: names each parameter that is unknown, repeated or ill-formed.

    """
    query = raw_query(request)
    if not query:
        return type()
    values, problems = _distinct(type, pairs(query))
    return read_fields(type, values, problems)


def read_open_query(
    type: type[Request], request: web.Request, *, lenient: bool = False
) -> tuple[Request, Mapping[str, str]]:
    """Read a query that may hold other parameters: give the known ones and the others.

    Raises:
        InvalidInput: names each parameter that is repeated, and each known one that is ill-formed; with
            `lenient`, others may be repeated.

    """
    known = fields_of(type)
    found = pairs(raw_query(request), lenient=lenient)
    if lenient:
        found = [(name, value) for name, value in found if name in known]
    values, problems = _distinct(type, found)
    ours = {name: value for name, value in values.items() if name in known}
    others = {name: value for name, value in values.items() if name not in known}
    return read_fields(type, ours, problems), others


def _distinct(
    type: type[Struct], found: list[tuple[str, str]]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    known = fields_of(type)
    values: dict[str, Any] = {}
    repeated: dict[str, str] = {}
    for name, value in found:
        if name in values:
            repeated[name] = "must be given once"
        is_number = name in known and known[name].is_number and _NUMBER.fullmatch(value)
        values[name] = int(value) if is_number else value
    return values, list(repeated.items())


async def read_body(type: type[Request], request: web.Request, *, optional: bool = False) -> Request:
    """Read a JSON body; `optional`: nothing at all is as good as an empty object.

    Raises:
        HTTPUnsupportedMediaType: not JSON in UTF-8.
        BodyTooLarge: larger than the application's limit.
        InvalidInput: names each field that is unknown, missing or ill-formed.

    """
    length = request.content_length or 0
    if length > request.client_max_size:
        raise BodyTooLarge(request.client_max_size)
    if optional and not request.body_exists:
        return type()
    _check_media_type(request)
    data = await read_bytes(request)
    if optional and not data:
        return type()
    value = read_json(data)
    if not isinstance(value, dict):
        raise InvalidInput(("body", "must be a JSON object"))
    return read_fields(type, value)


async def read_bytes(request: web.Request) -> bytes:
    """Read a body as it came.

    Raises:
        BodyTooLarge: larger than the application's limit.
        InvalidInput: it drips in too slowly.

    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLarge(request.client_max_size) from None
    except TimeoutError:
        raise InvalidInput(("body", f"must arrive within {BODY_SECONDS:g} seconds")) from None


async def read_nothing(request: web.Request) -> None:
    """Read the query and body of a request that takes neither.

    Raises:
        InvalidInput: names what is there.

    """
    read_query(Nothing, request)
    await read_body(Nothing, request, optional=True)


def _check_media_type(request: web.Request) -> None:
    media_type, *parameters = request.headers.get("Content-Type", "").lower().split(";")
    named = (parameter.partition("=") for parameter in parameters)
    charsets = {value.strip().strip('"') for name, _, value in named if name.strip() == "charset"}
    json = media_type.strip() == "application/json" and charsets <= {"utf-8", "utf8"}
    if not json or request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType


def idempotency_key(request: web.Request) -> str | None:
    """Give the Idempotency-Key header.

    Raises:
        InvalidInput: repeated, empty, longer than 255 characters, or not visible ASCII.

    """
    keys = request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    if len(keys) > 1 or _IDEMPOTENCY_KEY.fullmatch(keys[0]) is None:
        raise InvalidInput(("Idempotency-Key", "must be given once, as 1 to 255 visible ASCII characters"))
    return keys[0]


def redirect_url(text: str | UnsetType) -> RedirectUrl | None:
    """Give the redirect URL that a request named, if any."""
    return None if text is UNSET else RedirectUrl.parse(text)


def given(value: Value | UnsetType) -> Value | None:
    """Give what a request named, None where it did not."""
    return None if value is UNSET else value
