"""How strictly Nango reads bodies and queries: unknown keys, wrong types and bad tags are refused.

Source: Nango 0.71.4, observed (recorded as connect-sessions, tags, import, patch, list).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from adapters.sandbox.errors import NangoError, invalid, issue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

TAG_KEY = re.compile(r"^[a-zA-Z][\w\-./]*$")
MAX_TAGS, MAX_TAG_KEY, MAX_TAG_VALUE = 10, 64, 255

WORDS = {"string": str, "object": dict, "array": list, "boolean": bool}


@frozen
class Field:
    """One key of a body: its JSON type (string, object, array or boolean) and whether it must be there.

    `longest` is in characters.
    """

    kind: str
    required: bool = False
    longest: int | None = None


def nango_type(value: Any) -> str:
    """Name a value's type as Nango's validation does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return next(word for word, kind in WORDS.items() if isinstance(value, kind))


def unrecognized(keys: Iterable[str]) -> list[dict[str, Any]]:
    """One issue that names every key Nango does not know, or none."""
    names = [f'"{key}"' for key in keys]
    if not names:
        return []
    return [issue("unrecognized_keys", f"Unrecognized key{'s' * (len(names) > 1)}: {', '.join(names)}")]


async def read_json(request: web.Request) -> dict[str, Any]:
    """Read a body that must be a JSON object.

    Raises:
        NangoError: 415 `invalid_content_type`, 400 `invalid_json` or 400 `invalid_body`.

    """
    if request.content_type != "application/json":
        raise NangoError(415, "invalid_content_type", "Content-Type header must be application/json")
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise NangoError(400, "invalid_json", str(error)) from error
    if not isinstance(body, dict):
        wrong = f"Invalid input: expected object, received {nango_type(body)}"
        raise invalid("invalid_body", issue("invalid_type", wrong))
    return body


def check_object(body: Mapping[str, Any], fields: Mapping[str, Field], *path: str) -> list[dict[str, Any]]:
    """Give an issue for each missing, mistyped, too long or unknown key of an object."""
    issues = []
    for name, expected in fields.items():
        if name not in body:
            if expected.required:
                wrong = f"Invalid input: expected {expected.kind}, received undefined"
                issues.append(issue("invalid_type", wrong, *path, name))
        elif not isinstance(body[name], WORDS[expected.kind]):
            wrong = f"Invalid input: expected {expected.kind}, received {nango_type(body[name])}"
            issues.append(issue("invalid_type", wrong, *path, name))
        elif expected.longest is not None and len(body[name]) > expected.longest:
            wrong = f"Too big: expected {expected.kind} to have <={expected.longest} characters"
            issues.append(issue("too_big", wrong, *path, name))
    return issues + unrecognized(key for key in body if key not in fields)


def check_tags(tags: Any) -> list[dict[str, Any]]:
    """Give an issue for each tag that Nango refuses."""
    if not isinstance(tags, dict):
        return []
    issues = []
    for key, value in tags.items():
        if not TAG_KEY.match(key) or len(key) > MAX_TAG_KEY:
            issues.append(issue("invalid_key", "Invalid key in record", "tags", key))
        elif not isinstance(value, str):
            wrong = f"Invalid input: expected string, received {nango_type(value)}"
            issues.append(issue("invalid_type", wrong, "tags", key))
        elif not value:
            wrong = "Too small: expected string to have >=1 characters"
            issues.append(issue("too_small", wrong, "tags", key))
        elif len(value) > MAX_TAG_VALUE:
            wrong = f"Tag values must be at most {MAX_TAG_VALUE} characters"
            issues.append(issue("too_big", wrong, "tags", key))
    if len(tags) > MAX_TAGS:
        issues.append(issue("custom", f"Tags cannot contain more than {MAX_TAGS} keys", "tags"))
    lowered: set[str] = set()
    for key in tags:
        if key.lower() in lowered:
            wrong = f'Duplicate tag key after case normalization: "{key.lower()}"'
            issues.append(issue("custom", wrong, "tags"))
        lowered.add(key.lower())
    return issues


def check_query(
    request: web.Request, required: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, str]:
    """Read a query that may hold these keys only.

    Raises:
        NangoError: 400 `invalid_query_params`.

    """
    known = [*required, *optional]
    issues = [
        issue("invalid_type", "Invalid input: expected string, received undefined", key)
        for key in required
        if key not in request.query
    ]
    issues += unrecognized(key for key in dict.fromkeys(request.query) if key not in known)
    if issues:
        raise invalid("invalid_query_params", *issues)
    return dict(request.query)
