"""Answers as bytes: the envelope, redirects, pages. Headers that never change are made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from msgspec import UNSET
from multidict import CIMultiDict

from adapters.http import pages
from adapters.http.schemas import Failure, PageMeta, Problem, Refused, Success, SuccessPage
from domain.errors import AuthorizationFailed, AuthorizationSuperseded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from adapters.http.errors import Refusal

_encode = msgspec.json.Encoder().encode

_JSON = CIMultiDict(
    {
        "Content-Type": "application/json; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
)
_REDIRECT = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Answer(web.Response):
    """An answer that does not say what we are made of: aiohttp would add its name and version."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


def ok(data: Struct, *, status: int = 200) -> web.Response:
    """Answer with something in the envelope."""
    return Answer(body=_encode(Success(True, data)), status=status, headers=_JSON)


def ok_list(items: list[Any]) -> web.Response:
    """Answer with a list that has no further pages."""
    return Answer(body=_encode(Success(True, items)), headers=_JSON)


def ok_page(items: list[Any], *, has_more: bool, next_cursor: str | None) -> web.Response:
    """Answer with a stretch of a list."""
    meta = PageMeta(has_more, UNSET if next_cursor is None else next_cursor)
    return Answer(body=_encode(SuccessPage(True, items, meta)), headers=_JSON)


def refused(refusal: Refusal) -> web.Response:
    """Answer that it was not done, and why."""
    headers = {**_JSON, **refusal.headers}
    return Answer(body=_encode(envelope(refusal)), status=refusal.status, headers=headers)


def envelope(refusal: Refusal) -> Refused:
    """Put a refusal into the envelope."""
    problems = [Problem(name, message) for name, message in refusal.details]
    return Refused(False, Failure(refusal.code, refusal.message, problems or UNSET))


def refused_page(refusal: Refusal, request_id: str) -> web.Response:
    """Tell a person that it was not done, and why."""
    headers = {**pages.HEADERS, **refusal.headers}
    if refusal.reason == AuthorizationSuperseded.code:
        body = pages.overtaken(AuthorizationSuperseded.meaning, request_id)
    elif refusal.reason == AuthorizationFailed.code:
        body = pages.failed(refusal.message, request_id)
    else:
        body = pages.refused(refusal.message, request_id)
    return Answer(body=body, status=refusal.status, headers=headers)


def page(body: bytes, *, status: int = 200, headers: Mapping[str, str] = pages.HEADERS) -> web.Response:
    """Answer a person's browser."""
    return Answer(body=body, status=status, headers=headers)


def redirect(status: int, location: str) -> web.Response:
    """Send the browser on. The address is used as it is: aiohttp's own redirects would encode it anew."""
    return Answer(status=status, headers={**_REDIRECT, "Location": location})


def wants_page(request: web.Request) -> bool:
    """Whether a person is there: browsers name text/html in Accept (RFC 9110 §12.5.1), clients do not."""
    quality = {"text/html": 0.0, "application/json": 0.0}
    for item in ",".join(request.headers.getall("Accept", [])).lower().split(","):
        media_type, *parameters = (part.strip() for part in item.split(";"))
        if media_type in quality:
            quality[media_type] = _quality(parameters)
    return quality["text/html"] > 0 and quality["text/html"] >= quality["application/json"]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
