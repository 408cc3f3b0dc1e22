"""From the text of a provider's TOML file to a provider, or to a sentence that says what is wrong where."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import frozen

from adapters.catalogue.errors import CatalogueError
from adapters.catalogue.expressions import Expression
from adapters.catalogue.places import dotted, line_of
from adapters.catalogue.shape import violations
from adapters.catalogue.templates import check_nango_path, placeholders
from adapters.catalogue.toml_provider import EXPRESSIONS, TomlProvider
from domain.provider import ApiKey, Identity, OAuth, Parameter, ParameterTarget, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from adapters.catalogue.places import Path

MAX_REASON = 300


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
            CatalogueError: the text is not TOML, breaks the schema, or means nothing; says all that is wrong.

        """
        try:
            raw = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"at line (\d+)", str(error))
            raise CatalogueError(self.source, str(error), line=int(line[1]) if line else None) from error
        except ValueError as error:
            raise CatalogueError(self.source, f"has an integer that nobody can use: {error}") from error
        except RecursionError:
            raise CatalogueError(self.source, "is nested too deeply") from None
        problems = [] if self.shipped else list(violations(raw, self.text)) or list(_problems(raw, self.key))
        if problems:
            path, reason = problems[0]
            raise self._error(path, reason, [self._error(*other) for other in problems[1:]])
        return TomlProvider(_provider(raw))

    def _error(self, path: Path, reason: str, others: Sequence[CatalogueError] = ()) -> CatalogueError:
        line = line_of(self.text, path)
        return CatalogueError(self.source, reason[:MAX_REASON], line=line, key=dotted(path), others=others)


def _problems(raw: Mapping[str, Any], key: str) -> Iterator[tuple[Path, str]]:
    """Find what is wrong with the meaning of a file whose shape is right."""
    if raw["key"] != key:
        yield ("key",), f"is {raw['key']!r}, but the file is named {key!r}"
    for section in ("oauth", "api_key"):
        names: set[str] = set()
        for index, parameter in enumerate(raw.get(section, {}).get("parameters", ())):
            if parameter["name"] in names:
                yield (section, "parameters", index, "name"), f"is {parameter['name']!r} for the second time"
            names.add(parameter["name"])
            yield from _attempt(_regex, (section, "parameters", index, "pattern"), parameter["pattern"])
    templates = raw.get("api_key", {}).get("credentials", {})
    for name, template in templates.items():
        yield from _attempt(placeholders, ("api_key", "credentials", name), template)
    if "type" in templates:
        yield ("api_key", "credentials", "type"), "is what api_key.type says"
    if templates and not any("{" in template for template in templates.values()):
        yield (
            ("api_key", "credentials"),
            "has no {name}: nobody would be asked for a key, and all share this one",
        )
    yield from _identity_problems(raw.get("identity", {}), raw)


def _identity_problems(identity: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for name in identity.get("headers", {}):
        if name.lower() == "authorization":
            yield ("identity", "headers", name), "would stand in the place of the credentials that are tried"
    for name in EXPRESSIONS:
        if name in identity:
            yield from _attempt(Expression.compile, ("identity", name), identity[name])
    yield from _attempt(check_nango_path, ("identity", "path"), identity.get("path", "/"))
    yield from _attempt(lambda url: _known(url, raw), ("identity", "base_url"), identity.get("base_url", ""))


def _attempt(check: Callable[[str], object], path: Path, text: str) -> Iterator[tuple[Path, str]]:
    try:
        check(text)
    except ValueError as error:
        yield path, str(error)


def _regex(pattern: str) -> None:
    try:
        re.compile(pattern, re.ASCII)
    except (re.error, OverflowError) as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    except RecursionError:
        raise ValueError("is nested too deeply") from None


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
