"""Addresses and credentials with `{name}` in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{([A-Za-z][A-Za-z0-9_]*)\}")
_NANGO_PLACEHOLDER = re.compile(r"\$\{connectionConfig\.[A-Za-z0-9_]+\}")


def placeholders(template: str) -> frozenset[str]:
    """Name what a template wants.

    Raises:
        ValueError: a brace that belongs to no placeholder.

    """
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        raise ValueError(f"has a brace that belongs to no {{name}}: {template}")
    return frozenset(_PLACEHOLDER.findall(template))


def fill_url(template: str, values: Mapping[str, str]) -> str:
    """Fill an address; values are percent-encoded, so that none can name another host or path.

    Raises:
        KeyError: a value is missing.

    """
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe=""), template)


def check_nango_path(path: str) -> None:
    """Refuse a path with any other placeholder than those that Nango's proxy fills in.

    Raises:
        ValueError: names the path.

    """
    if re.search(r"[{}]", _NANGO_PLACEHOLDER.sub("", path)):
        raise ValueError(f"may only have placeholders such as ${{connectionConfig.name}}: {path}")
