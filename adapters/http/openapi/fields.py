"""Schemas as lists of fields that a person reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.http.openapi.html import Html, join, tag, words
from adapters.http.requests import END

if TYPE_CHECKING:
    from collections.abc import Mapping

    Schema = Mapping[str, Any]

_REF = "#/components/schemas/"
_DEEPEST = 4


def fields(schema: Schema, components: Mapping[str, Schema], depth: int = 0) -> Html:
    """Describe every field of an object, and of the objects in it."""
    schema = resolved(schema, components)
    ways = schema.get("anyOf", [schema])
    described = []
    for way in ways:
        shape = resolved(way, components)
        required = shape.get("required", ())
        rows = [
            _field(name, field, components, depth, required=name in required)
            for name, field in shape.get("properties", {}).items()
        ]
        if rows and len(ways) > 1:
            # Of an envelope only what is in it is worth telling.
            inside = resolved(shape["properties"].get("data", shape), components)
            described.append(tag("details", tag("summary", inside["description"]), tag("dl", *rows)))
        elif rows:
            described.append(tag("dl", *rows))
    return join(*described)


def _field(
    name: str, schema: Schema, components: Mapping[str, Schema], depth: int, *, required: bool
) -> Html:
    inner = resolved(schema, components)
    inner = resolved(inner["items"], components) if inner.get("type") == "array" else inner
    nested = fields(inner, components, depth + 1) if "properties" in inner and depth < _DEEPEST else ""
    return row(name, schema, components, required=required, nested=nested)


def row(
    name: str,
    schema: Schema,
    components: Mapping[str, Schema],
    *,
    required: bool,
    description: str = "",
    nested: str = "",
) -> Html:
    """Describe one field or parameter."""
    plain = resolved(schema, components)
    told = description or schema.get("description") or plain.get("description", "")
    marks = [tag("span", kind(schema, components), class_="type")]
    if required:
        marks.append(tag("span", "required", class_="required"))
    # A rule in words says more to a person than its pattern.
    limits = [words(limit) for limit in _limits(plain, worded="Must be" in told)]
    return join(
        tag("dt", tag("code", name), *(join(" ", mark) for mark in marks)),
        tag(
            "dd",
            *([tag("p", words(told))] if told else []),
            *(tag("p", limit, class_="limit") for limit in limits),
            nested,
        ),
    )


def kind(schema: Schema, components: Mapping[str, Schema]) -> str:
    """Name a schema's type."""
    schema = resolved(schema, components)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(way, components) for way in schema["anyOf"]))
    if "const" in schema:
        return str(schema["const"]).lower()
    name = schema.get("type", "enum" if "enum" in schema else "any")
    if name == "array":
        return f"list of {kind(schema.get('items', {}), components)}s"
    return " or ".join(name) if isinstance(name, list) else str(name)


def resolved(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    """Follow a reference."""
    reference = schema.get("$ref")
    return components[reference.removeprefix(_REF)] if reference else schema


def _limits(schema: Schema, *, worded: bool) -> list[str]:
    found = []
    if "enum" in schema:
        found.append("One of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    if "default" in schema:
        found.append(f"Default `{schema['default']}`")
    if "pattern" in schema and not worded:
        found.append(f"Pattern `{schema['pattern'].replace(END, '$')}`")
    return found
