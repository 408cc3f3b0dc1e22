"""Where in a TOML text a key stands: `tomllib` keeps no places, and a person needs one."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
"""The way to a key through tables and arrays, e.g. `("oauth", "parameters", 0, "pattern")`."""

_HEADER = re.compile(r"\s*(?P<opening>\[\[?)\s*(?P<name>[^\[\]]+?)\s*\]")
_ASSIGNMENT = re.compile(r"\s*(?P<name>[\w\-.\"' ]+?)\s*=")


def line_of(text: str, path: Path) -> int:
    """Give the line of the key, else of the closest table around it that the text names, else the first."""
    table: Path = ()
    counts: dict[Path, int] = {}
    best = (0, 1)
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            here = table = _parts(header["name"])
            if header["opening"] == "[[":
                counts[table] = counts.get(table, -1) + 1
                here = table = (*table, counts[table])
        elif assignment := _ASSIGNMENT.match(line):
            here = (*table, *_parts(assignment["name"]))
        else:
            continue
        if here == path[: len(here)] and len(here) > best[0]:
            best = (len(here), number)
    return best[1]


def dotted(path: Path) -> str:
    """Write a path as `oauth.parameters[0].pattern`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _parts(name: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
