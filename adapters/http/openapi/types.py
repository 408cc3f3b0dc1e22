"""JSON Schemas of the types on the wire, from msgspec, with what each field is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, UnsetType

from adapters.http import schemas
from adapters.http.openapi.meanings import MEANINGS
from domain.connection import ConnectionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from adapters.http.openapi.operation import Operation

    Schema = dict[str, Any]

_REF = "#/components/schemas/"
_STATUS: Schema = {
    "description": "Where a connection stands: see Statuses.",
    "type": "string",
    "enum": [status.value for status in ConnectionStatus],
}
"""In the reference's order, for callers: msgspec would sort them, and quote our own docstring."""
_ENVELOPES = ("Success_", "SuccessPage_")
_ANSWERS = [
    type_ for type_ in vars(schemas).values() if isinstance(type_, type) and issubclass(type_, Struct)
]


def schemas_of(operations: Iterable[Operation]) -> tuple[Mapping[Any, Schema], dict[str, Schema]]:
    """Give the schema of every type that operations name, and the components that schemas refer to.

    Envelopes and queries stand for themselves; everything else is a component.
    """
    types = list(
        dict.fromkeys([schemas.Refused, *(named for operation in operations for named in _named(operation))])
    )
    found, components = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    of = dict(zip(types, found, strict=True))
    if ConnectionStatus.__name__ in components:
        components[ConnectionStatus.__name__] = _STATUS
    for request, meanings in MEANINGS.items():
        # By its name: an operation may have put more on top of the type that it reads.
        if request.__name__ in components:
            _explain(components[request.__name__], meanings)
    for answer in _ANSWERS:
        if answer.__name__ in components:
            _always(components[answer.__name__], answer)
    queries = {operation.query for operation in operations}
    bodies = {operation.body for operation in operations}
    for named, schema in of.items():
        name = _name(schema)
        if named in queries or name.startswith(_ENVELOPES):
            of[named] = _plain(components[name])
    unused = {name for name in components if name.startswith(_ENVELOPES)}
    unused |= {_name(found[types.index(query)]) for query in queries - bodies}
    return of, {name: _plain(components[name]) for name in sorted(set(components) - unused)}


def _named(operation: Operation) -> Iterator[Any]:
    yield operation.query
    if operation.body is not None:
        yield operation.body
    for answer in operation.answers.values():
        yield from answer.types


def _name(schema: Schema) -> str:
    return str(schema.get("$ref", "")).removeprefix(_REF)


def _explain(schema: Schema, meanings: Mapping[str, str]) -> None:
    """Say what each field is for, before its rule."""
    for name, field in schema["properties"].items():
        rule = field.pop("description", "")
        field["description"] = " ".join([meanings[name], *([f"Must be {rule}."] if rule else [])])
        if field.get("default") in ({}, ""):
            del field["default"]


def _always(schema: Schema, answer: type[Struct]) -> None:
    """Say which fields an answer always has: all but those that may be left unset, whatever their default."""
    named = {field.encode_name: field for field in msgspec.structs.fields(answer)}
    schema["required"] = [
        name for name, field in named.items() if UnsetType not in getattr(field.type, "__args__", ())
    ]
    for told in schema["properties"].values():
        told.pop("default", None)


def _plain(schema: Schema) -> Schema:
    """A component's title is its name, once more."""
    return {key: value for key, value in schema.items() if key != "title"}
