"""From the text of a provider's TOML file to a provider, or to a sentence that says what is wrong where."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from attrs import frozen

from adapters.catalogue.errors import CatalogueError
from adapters.catalogue.expressions import Expression
from adapters.catalogue.places import dotted, line_of
from adapters.catalogue.templates import check_nango_path, placeholders
from adapters.catalogue.toml_provider import EXPRESSIONS, TomlProvider
from domain.provider import ApiKey, Identity, OAuth, Parameter, ParameterTarget, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jsonschema import Draft202012Validator, ValidationError

    from adapters.catalogue.places import Path

MAX_REASON = 300

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
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - seldom needed: a tenth of a start

    text = files("adapters.catalogue.providers").joinpath("provider.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))


@frozen
class ProviderFile:
    """The text of one file. `source` names it for people; `key` is its name without `.toml`.

    `shipped`: it is one of ours, which a test holds to the schema, so that not every start need do it.
    """

    source: str
    key: str
    text: str
    shipped: bool = False

    def parse(self) -> TomlProvider:
        """Read the provider.

        Raises:
            CatalogueError: the text is not TOML, breaks the schema, or means nothing.

        """
        try:
            raw = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"at line (\d+)", str(error))
            raise CatalogueError(self.source, str(error), line=int(line[1]) if line else None) from error
        for path, reason in () if self.shipped else _problems(raw, self.key):
            raise CatalogueError(
                self.source, reason[:MAX_REASON], line=line_of(self.text, path), key=dotted(path)
            )
        return TomlProvider(_provider(raw))


def _problems(raw: Mapping[str, Any], key: str) -> Iterator[tuple[Path, str]]:
    """Find what is wrong: first the shape, and only where that is right, the meaning."""
    broken = sorted(validator().iter_errors(raw), key=lambda error: [str(part) for part in error.path])
    yield from (_violation(error) for error in broken)
    if broken:
        return
    if raw["key"] != key:
        yield ("key",), f"is {raw['key']!r}, but the file is named {key!r}"
    for section in ("oauth", "api_key"):
        names: set[str] = set()
        for index, parameter in enumerate(raw.get(section, {}).get("parameters", ())):
            if parameter["name"] in names:
                yield (section, "parameters", index, "name"), f"is {parameter['name']!r} for the second time"
            names.add(parameter["name"])
            yield from _attempt(_regex, (section, "parameters", index, "pattern"), parameter["pattern"])
    for name, template in raw.get("api_key", {}).get("credentials", {}).items():
        yield from _attempt(placeholders, ("api_key", "credentials", name), template)
    identity = raw.get("identity", {})
    for name in EXPRESSIONS:
        if name in identity:
            yield from _attempt(Expression.compile, ("identity", name), identity[name])
    yield from _attempt(check_nango_path, ("identity", "path"), identity.get("path", "/"))
    yield from _attempt(lambda url: _known(url, raw), ("identity", "base_url"), identity.get("base_url", ""))


def _violation(error: ValidationError) -> tuple[Path, str]:
    """Say in our words where a violation is, since the schema's place of it may be a table above."""
    path: Path = tuple(error.absolute_path)
    schema: Any = error.schema
    rule: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties" and rule is False:
        known = schema["properties"]
        extra = next(name for name in instance if name not in known)
        return (*path, extra), f"is not known here; known are {', '.join(known)}"
    if error.validator == "required":
        missing = next(name for name in rule if name not in instance)
        return (*path, missing), "is required"
    if error.validator == "anyOf":
        return path, "needs a table [oauth] or [api_key]"
    if error.validator == "not":
        return path, f"may not be {instance!r}, which auth-url takes for itself"
    return path, _what_would_be_right(error.validator, rule, schema, instance) or error.message


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


def _attempt(check: Callable[[str], object], path: Path, text: str) -> Iterator[tuple[Path, str]]:
    try:
        check(text)
    except ValueError as error:
        yield path, str(error)


def _regex(pattern: str) -> None:
    try:
        re.compile(pattern, re.ASCII)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error


def _known(template: str, raw: Mapping[str, Any]) -> None:
    """Refuse an address that wants what a connection might not have, whichever way it was authorized."""
    wanted = placeholders(template)
    for section in ("oauth", "api_key"):
        if section in raw:
            given = {p["name"] for p in raw[section].get("parameters", ()) if p.get("required", True)}
            if unknown := sorted(wanted - given):
                raise ValueError(f"wants {{{unknown[0]}}}, which is no required parameter in [{section}]")


def _provider(raw: Mapping[str, Any]) -> Provider:
    oauth, api_key, identity = raw.get("oauth"), raw.get("api_key"), raw.get("identity")
    return Provider(
        key=raw["key"],
        name=raw["name"],
        description=raw["description"],
        category=raw["category"],
        docs_url=raw.get("docs_url"),
        oauth=oauth
        and OAuth(
            integration=oauth["integration"],
            refresh_token_lifetime=_duration(oauth.get("refresh_token_lifetime")),
            parameters=_parameters(oauth),
        ),
        api_key=api_key and ApiKey(**{**api_key, "parameters": _parameters(api_key)}),
        identity=identity and Identity(**{**identity, "base_url": identity.get("base_url") or None}),
    )


def _parameters(section: Mapping[str, Any]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(**{**raw, "target": ParameterTarget(raw.get("target", "connection_config"))})
        for raw in section.get("parameters", ())
    )


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    count = int(text[:-1])
    return timedelta(days=count) if text.endswith("d") else timedelta(hours=count)
