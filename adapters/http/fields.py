"""From loose values to a request's type, with everything that is wrong told at once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from attrs import frozen
from msgspec import Meta, Struct

from domain.errors import InvalidInput, not_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from msgspec.structs import FieldInfo

Request = TypeVar("Request", bound=Struct)

_MOST_PROBLEMS = 20
_LONGEST_NAME = 64


@frozen
class Field:
    """A field of a request: msgspec's description of it, with the rule as a sentence.

    `items` and `items_rule` are for an object whose members have a rule of their own; else no rule.
    """

    name: str
    wire_name: str
    type: Any
    required: bool
    rule: str
    check: Callable[[Any], str | None] | None
    is_number: bool
    items: Any
    items_rule: str


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
    unknown = [name[:_LONGEST_NAME] for name in given if name not in known]
    found = [*problems, *((name, not_known(known)) for name in unknown)]
    values: dict[str, Any] = {}
    for field in known.values():
        if field.wire_name in given:
            values[field.name], wrong = _read(field, given[field.wire_name])
            found.extend(wrong)
        elif field.required:
            found.append((field.wire_name, "is required"))
    if found:
        raise InvalidInput(*found[:_MOST_PROBLEMS])
    return type(**values)


def _read(field: Field, given: Any) -> tuple[Any, Sequence[tuple[str, str]]]:
    try:
        value = msgspec.convert(given, field.type, strict=True)
    except msgspec.ValidationError as error:
        rule = field.rule or f"is not valid: {error}"
        return None, _wrong_items(field, given) or [(field.wire_name, rule)]
    problem = field.check(value) if field.check else None
    return value, [(field.wire_name, problem)] if problem else []


def _wrong_items(field: Field, given: Any) -> Sequence[tuple[str, str]]:
    if not field.items_rule or not isinstance(given, dict):
        return []
    return [
        (f"{field.wire_name}.{name[:_LONGEST_NAME]}", field.items_rule)
        for name, item in given.items()
        if not _is(field.items, item)
    ]


def _is(type: Any, given: Any) -> bool:
    try:
        msgspec.convert(given, type, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _field(info: FieldInfo) -> Field:
    # `Name | UnsetType` keeps the annotation on its first member.
    annotated = (
        info.type if hasattr(info.type, "__metadata__") else getattr(info.type, "__args__", (None,))[0]
    )
    plain = getattr(annotated, "__origin__", None)
    items = plain.__args__[1] if plain and getattr(plain, "__origin__", None) is dict else None
    return Field(
        name=info.name,
        wire_name=info.encode_name,
        type=info.type,
        required=info.required,
        rule=_rule(annotated),
        check=next((meta.extra["check"] for meta in _metas(annotated) if meta.extra), None),
        is_number=plain is int,
        items=items,
        items_rule=_rule(items),
    )


def _metas(annotated: Any) -> Sequence[Meta]:
    return [meta for meta in getattr(annotated, "__metadata__", ()) if isinstance(meta, Meta)]


def _rule(annotated: Any) -> str:
    description = next((meta.description for meta in _metas(annotated) if meta.description), None)
    return f"must be {description}" if description else ""
