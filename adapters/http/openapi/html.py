"""HTML made of calls: what is text is escaped, what is markup stays."""

from __future__ import annotations

import re
from html import escape

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str) -> Html:
    """Give an element; `class_` is the attribute class."""
    told = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    inner = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    return Html(f"<{name}{told}>{inner}</{name}>")


def join(*parts: str) -> Html:
    """Put parts one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def words(text: str) -> Html:
    """Give a line of text with its `code` and **weight**."""
    coded = _CODE.sub(r"<code>\1</code>", escape(text, quote=False))
    return Html(_STRONG.sub(r"<strong>\1</strong>", coded))


def prose(text: str) -> Html:
    """Give paragraphs and lists, as CommonMark has them."""
    blocks = []
    for block in text.split("\n\n"):
        lines = block.split("\n")
        if all(line.startswith("- ") for line in lines):
            blocks.append(tag("ul", *(tag("li", words(line[2:])) for line in lines)))
        else:
            blocks.append(tag("p", words(" ".join(lines))))
    return join(*blocks)
