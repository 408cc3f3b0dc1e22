"""The answers of a route: those that its operation names, and every refusal, as it would be told."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from adapters.http.answers import envelope as in_envelope
from adapters.http.errors import UNEXPECTED, UNREADABLE, BodyTooLarge, refusal
from adapters.http.protocol import TOO_LONG
from adapters.http.schemas import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.http.errors import Refusal
    from adapters.http.openapi.operation import Answer
    from adapters.http.routes import Route

    Schema = dict[str, Any]

COMPONENT_HEADERS: Schema = {
    "X-Request-Id": {
        "description": "Names this request in our log. Your own, where you sent one: `[A-Za-z0-9._-]{1,64}`.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "What was missing or wrong, and the header that it belongs in.",
        "required": True,
        "schema": {"type": "string"},
    },
}
_TEXT: Schema = {"schema": {"type": "string"}}


def answers_of(route: Route, schemas: Mapping[Any, Schema], max_body: int) -> Schema:
    """Describe every answer that a route can give, by status."""
    described = {str(status): _answer(answer, schemas) for status, answer in route.operation.answers.items()}
    refusals: dict[int, list[Refusal]] = {}
    for told in _refusals(route, max_body):
        refusals.setdefault(told.status, []).append(told)
    for status in sorted(refusals):
        described[str(status)] = _refused(refusals[status], html=route.operation.html)
    return described


def _answer(answer: Answer, schemas: Mapping[Any, Schema]) -> Schema:
    headers = _headers()
    for name, meaning in answer.headers.items():
        headers[name] = {"description": meaning, "required": True, "schema": {"type": "string"}}
    content: Schema = {}
    if answer.types:
        found = [schemas[envelope] for envelope in answer.types]
        schema = found[0] if len(found) == 1 else {"anyOf": found}
        content["application/json"] = {"schema": schema}
        if answer.examples:
            content["application/json"]["examples"] = {
                title: {"value": msgspec.to_builtins(value)} for title, value in answer.examples.items()
            }
    if answer.html:
        content["text/html"] = _TEXT
    if answer.text:
        content["text/plain"] = _TEXT
    described: Schema = {"description": answer.description, "headers": headers}
    return {**described, "content": content} if content else described


def _refusals(route: Route, max_body: int) -> list[Refusal]:
    found = [refusal(error) for error in route.refusals]
    if route.operation.body is not None:
        found.append(refusal(BodyTooLarge(max_body)))
        if route.operation.body is not dict:
            found.append(refusal(web.HTTPUnsupportedMediaType()))
    return [*found, UNREADABLE, TOO_LONG, UNEXPECTED]


def _refused(told: list[Refusal], *, html: bool) -> Schema:
    status = HTTPStatus(told[0].status)
    headers = [name for name in COMPONENT_HEADERS if any(name in each.headers for each in told)]
    content: Schema = {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{Refused.__name__}"},
            "examples": {each.message: {"value": msgspec.to_builtins(in_envelope(each))} for each in told},
        }
    }
    if html:
        content["text/html"] = _TEXT
    return {
        "description": f"{status.phrase}.",
        "headers": _headers(*headers),
        "content": content,
    }


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}
