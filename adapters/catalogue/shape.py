"""What is wrong with the shape of a provider's file, in the words of who writes TOML."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from adapters.catalogue.places import line_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jsonschema import Draft202012Validator, ValidationError

    from adapters.catalogue.places import Path

_KINDS = {
    "string": 'a text, in "quotes"',
    "boolean": "true or false",
    "array": "a list of tables, each under [[double brackets]]",
    "object": "a table",
}
"""JSON Schema's types, as who writes TOML knows them."""


@cache
def validator() -> Draft202012Validator:
    """Give the validator of the schema that ships with the built-in files."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - seldom needed: a tenth of a start

    text = files("adapters.catalogue.providers").joinpath("provider.schema.json").read_text("utf-8")
    extend: Any = validators.extend  # it has no types
    strict: type[Draft202012Validator] = extend(Draft202012Validator, {"pattern": _pattern})
    return strict(json.loads(text))


def _pattern(_: object, rule: str, instance: object, __: object) -> Iterator[ValidationError]:
    """Insist on the whole text: to Python, unlike JSON Schema, `$` also stands before a last line's end."""
    from jsonschema import ValidationError  # noqa: PLC0415 - as above

    if isinstance(instance, str) and not re.fullmatch(rule, instance):
        yield ValidationError(f"{instance!r} does not match {rule!r}")


def violations(raw: Mapping[str, Any], text: str) -> Iterable[tuple[Path, str]]:
    """Find what is wrong with the shape, from the top of the file down, and each thing once."""
    broken = sorted(validator().iter_errors(raw), key=lambda error: line_of(text, tuple(error.absolute_path)))
    return dict.fromkeys(violation for error in broken for violation in _told(error))


def _told(error: ValidationError) -> Iterator[tuple[Path, str]]:
    """Say in our words where a violation is, since the schema's place of it may be a table above."""
    path: Path = tuple(error.absolute_path)
    schema: Any = error.schema
    rule: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties" and rule is False:
        known = schema["properties"]
        for extra in (name for name in instance if name not in known):
            yield (*path, extra), f"is not known here; known are {', '.join(known)}"
    elif error.validator == "required":
        for missing in (name for name in rule if name not in instance):
            yield (*path, missing), "is required"
    elif error.validator == "anyOf":
        yield path, "needs a table [oauth] or [api_key]"
    elif error.validator == "not":
        yield path, f"may not be {instance!r}, which auth-url takes for itself"
    else:
        yield path, _what_would_be_right(error.validator, rule, schema, instance) or error.message


def _what_would_be_right(validator: object, rule: Any, schema: Any, instance: object) -> str | None:
    """Say what a value must be, before what it is: that one may be long."""
    match validator:
        case "pattern":
            right = schema["patternErrorMessage"]
        case "type":
            right = f"must be {_KINDS[rule]}"
        case "enum":
            right = f"must be {' or '.join(rule)}"
        case "maxLength":
            right = f"must have {rule} characters at most"
        case "minLength" | "minProperties":
            return "must not be empty"
        case _:
            return None
    return f"{right}, not {instance!r}"
