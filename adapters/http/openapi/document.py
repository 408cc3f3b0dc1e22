"""The OpenAPI 3.1 document, from the table of routes and the types that validate."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from adapters.http.openapi.answers import COMPONENT_HEADERS, answers_of
from adapters.http.openapi.providers import new_connection, oauth_keys, query_parameters
from adapters.http.openapi.types import schemas_of
from adapters.http.openapi.words import CHAPTERS, INTRODUCTION
from adapters.http.requests import NO_NUL, Nothing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adapters.http.openapi.operation import Operation
    from adapters.http.routes import Route
    from domain.provider import Provider

    Schema = dict[str, Any]

_BODY_LIMIT = "At most {} bytes of JSON in UTF-8; no key twice, no NUL, no number beyond ±2^53."


def describe(
    routes: Sequence[Route], providers: Sequence[Provider], public_url: str, max_body: int
) -> dict[str, Any]:
    """Make the document; `max_body` in bytes."""
    schemas, components = schemas_of([route.operation for route in routes])
    created = new_connection(components["NewConnection"], providers)
    components = {**_ANY_JSON, **components, **created}
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda route: list(CHAPTERS).index(route.operation.tag)):
        methods = paths.setdefault(route.path, {})
        methods[route.method.lower()] = operation = _operation(route, schemas, providers, max_body)
        if route.head:
            methods["head"] = _without_content(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Connections", "version": version("connections"), "description": INTRODUCTION},
        "servers": [{"url": public_url}],
        "tags": [{"name": name, "description": text} for name, text in CHAPTERS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": COMPONENT_HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


_SECURITY: Schema = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "Belongs to one company, and may read, or read and write.",
    },
    "nangoSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Nango-Hmac-Sha256",
        "description": "The HMAC-SHA256 of the body under the webhook signing key of Nango's environment.",
    },
}
_SCALARS: list[Schema] = [
    {"type": ["null", "boolean"]},
    {"type": "string", "pattern": NO_NUL},
    {"type": "number", "minimum": -(2**53), "maximum": 2**53},
]
_OBJECT: Schema = {"$ref": "#/components/schemas/JsonObject"}
_ANY_JSON: Mapping[str, Schema] = {
    "JsonObject": {
        "description": "Any JSON object, within the limits of `metadata`.",
        "type": "object",
        "propertyNames": {"pattern": NO_NUL},
        "additionalProperties": {"$ref": "#/components/schemas/Json"},
    },
    "Json": {
        "description": "Any JSON, within the limits of `metadata`.",
        "anyOf": [
            *_SCALARS,
            _OBJECT,
            {"type": "array", "items": {"anyOf": [*_SCALARS, _OBJECT, {"type": "array", "items": {}}]}},
        ],
    },
}
"""Only an object contains itself: generators of clients drop every call whose body has an array that does."""


def _operation(
    route: Route, schemas: Mapping[Any, Schema], providers: Sequence[Provider], max_body: int
) -> dict[str, Any]:
    operation = route.operation
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description or f"{operation.summary}.",
        "security": _security(route),
        "parameters": [
            *_path(operation, providers),
            *_query(operation, schemas),
            *(query_parameters(providers) if operation.open_query == "provider" else ()),
            *(_parameter(name, "header", schema) for name, schema in operation.headers.items()),
        ],
        "responses": answers_of(route, schemas, max_body),
    }
    if operation.body is not None:
        described["requestBody"] = _body(operation, schemas, max_body)
    return described


def _without_content(operation: Schema) -> Schema:
    answers = {
        status: {key: value for key, value in answer.items() if key != "content"}
        for status, answer in operation["responses"].items()
    }
    told = f"{operation['summary']}, without the body"
    name = f"{operation['operationId']}Head"
    return {
        **operation,
        "operationId": name,
        "summary": told,
        "description": f"{told}.",
        "responses": answers,
    }


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.operation.security is not None:
        return [{route.operation.security: []}]
    return [{"apiKey": [route.scope.value]}] if route.scope is not None else []


def _path(operation: Operation, providers: Sequence[Provider]) -> list[Schema]:
    described = []
    for name, schema in operation.path.items():
        known = {"enum": oauth_keys(providers)} if operation.open_query == "provider" else {}
        described.append(_parameter(name, "path", {**schema, **known}, required=True))
    return described


def _query(operation: Operation, schemas: Mapping[Any, Schema]) -> list[Schema]:
    schema = schemas[operation.query]
    required = schema.get("required", ())
    return [
        _parameter(name, "query", field, required=name in required)
        for name, field in schema.get("properties", {}).items()
    ]


def _parameter(name: str, place: str, schema: Mapping[str, Any], *, required: bool = False) -> Schema:
    schema = dict(schema)
    parameter: Schema = {"name": name, "in": place, "required": required}
    for key in ("description", "example"):
        if key in schema:
            parameter[key] = schema.pop(key)
    return {**parameter, "schema": schema}


def _body(operation: Operation, schemas: Mapping[Any, Schema], max_body: int) -> Schema:
    content: Schema = {"schema": schemas[operation.body]}
    examples = operation.body_examples or ({"Nothing": {}} if operation.body is Nothing else {})
    if examples:
        content["examples"] = {title: {"value": value} for title, value in examples.items()}
    return {
        "required": not operation.body_optional and operation.body not in (Nothing, dict),
        "description": _BODY_LIMIT.format(max_body),
        "content": {"application/json": content},
    }
