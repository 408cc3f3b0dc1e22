"""The documentation of what is served, made when it is first asked for."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import define, frozen

from adapters.http import pages
from adapters.http.answers import Answer
from adapters.http.openapi.page import STYLE, render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

_NOT_MODIFIED = 304


@frozen
class _Version:
    body: bytes
    headers: Mapping[str, str]


@define(slots=False)
class DocumentationHandlers:
    """The document and the page, each with its ETag (RFC 9110 §8.8.3)."""

    _describe: Callable[[], dict[str, Any]]

    async def document(self, request: web.Request) -> web.StreamResponse:
        """Answer with the OpenAPI document."""
        return _give(request, self._document)

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Answer with the page that a person reads."""
        return _give(request, self._page)

    @cached_property
    def _description(self) -> dict[str, Any]:
        return self._describe()

    @cached_property
    def _document(self) -> _Version:
        body = msgspec.json.encode(self._description)
        return _version(
            body,
            {"Content-Type": "application/json; charset=utf-8", "X-Content-Type-Options": "nosniff"},
        )

    @cached_property
    def _page(self) -> _Version:
        return _version(render(self._description), pages.headers(STYLE))


def _version(body: bytes, headers: Mapping[str, str]) -> _Version:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return _Version(body, {**headers, "Cache-Control": "no-cache", "ETag": etag})


def _give(request: web.Request, version: _Version) -> web.Response:
    known = {etag.strip().removeprefix("W/") for etag in request.headers.get("If-None-Match", "").split(",")}
    if version.headers["ETag"] in known or "*" in known:
        kept = {name: version.headers[name] for name in ("ETag", "Cache-Control", "X-Content-Type-Options")}
        return Answer(status=_NOT_MODIFIED, headers=kept)
    return Answer(body=version.body, headers=version.headers)
