"""JSON Schemas of the types on the wire, from msgspec, with what each field is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from adapters.http.openapi.meanings import MEANINGS
from adapters.http.schemas import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from adapters.http.openapi.operation import Operation

    Schema = dict[str, Any]

_REF = "#/components/schemas/"
_ENVELOPES = ("Success_", "SuccessPage_")


def schemas_of(operations: Iterable[Operation]) -> tuple[Mapping[Any, Schema], dict[str, Schema]]:
    """Give the schema of every type that operations name, and the components that schemas refer to.

    Envelopes and queries stand for themselves; everything else is a component.
    """
    types = list(
        dict.fromkeys([Refused, *(named for operation in operations for named in _named(operation))])
    )
    found, components = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    schemas = dict(zip(types, found, strict=True))
    for request, meanings in MEANINGS.items():
        if request in schemas:
            _explain(components[_name(schemas[request])], meanings)
    queries = {operation.query for operation in operations}
    bodies = {operation.body for operation in operations}
    for named, schema in schemas.items():
        name = _name(schema)
        if named in queries or name.startswith(_ENVELOPES):
            schemas[named] = _plain(components[name])
    unused = {name for name in components if name.startswith(_ENVELOPES)}
    unused |= {_name(found[types.index(query)]) for query in queries - bodies}
    return schemas, {name: _plain(components[name]) for name in sorted(set(components) - unused)}


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


def _plain(schema: Schema) -> Schema:
    """A component's title is its name, once more."""
    return {key: value for key, value in schema.items() if key != "title"}
