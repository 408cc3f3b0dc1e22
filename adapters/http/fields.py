"""From loose values to a request's type, with everything that is wrong told at once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from attrs import frozen
from msgspec import Meta, Struct

from domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from msgspec.structs import FieldInfo

Request = TypeVar("Request", bound=Struct)

_MOST_PROBLEMS = 20
_LONGEST_NAME = 64


@frozen
class Field:
    """A field of a request: msgspec's description of it, with the rule as a sentence."""

    name: str
    wire_name: str
    type: Any
    required: bool
    rule: str
    check: Callable[[Any], str | None] | None
    is_number: bool


@cache
def fields_of(type: type[Struct]) -> Mapping[str, Field]:
    """Give a request's fields by their names on the wire."""
    return {info.encode_name: _field(info) for info in msgspec.structs.fields(type)}


def read_fields(
    type: type[Request], given: Mapping[str, Any], problems: Sequence[tuple[str, str]] = ()
) -> Request:
    """Convert every field, strictly.

    Raises:
        InvalidInput: names each unknown, missing and ill-formed field, after `problems` found before.

    """
    known = fields_of(type)
    found = [*problems, *((name[:_LONGEST_NAME], "is not known here") for name in given if name not in known)]
    values: dict[str, Any] = {}
    for field in known.values():
        if field.wire_name in given:
            value, problem = _read(field, given[field.wire_name])
            values[field.name] = value
        else:
            problem = "is required" if field.required else None
        if problem:
            found.append((field.wire_name, problem))
    if found:
        raise InvalidInput(*found[:_MOST_PROBLEMS])
    return type(**values)


def _read(field: Field, given: Any) -> tuple[Any, str | None]:
    try:
        value = msgspec.convert(given, field.type, strict=True)
    except msgspec.ValidationError as error:
        return None, field.rule or f"is not valid: {error}"
    return value, field.check(value) if field.check else None


def _field(info: FieldInfo) -> Field:
    # `Name | UnsetType` keeps the annotation on its first member.
    annotated = (
        info.type if hasattr(info.type, "__metadata__") else getattr(info.type, "__args__", (None,))[0]
    )
    metas = [meta for meta in getattr(annotated, "__metadata__", ()) if isinstance(meta, Meta)]
    description = next((meta.description for meta in metas if meta.description), None)
    return Field(
        name=info.name,
        wire_name=info.encode_name,
        type=info.type,
        required=info.required,
        rule=f"must be {description}" if description else "",
        check=next((meta.extra["check"] for meta in metas if meta.extra), None),
        is_number=getattr(annotated, "__origin__", None) is int,
    )
