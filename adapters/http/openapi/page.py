"""The documentation as a page: the document in HTML, with nothing from elsewhere and no scripts."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from adapters.http.openapi.html import Html, join, prose, tag
from adapters.http.openapi.sections import section

if TYPE_CHECKING:
    from collections.abc import Mapping

STYLE = files(__package__).joinpath("page.css").read_text("utf-8")


def render(document: Mapping[str, Any]) -> bytes:
    """Write the page of a document."""
    info = document["info"]
    chapters = [_chapter(document, chapter) for chapter in document["tags"]]
    contents = _contents(document)
    server = document["servers"][0]["url"]
    body = join(
        # A narrow screen has the contents folded, a wide one beside the text.
        tag("nav", tag("details", tag("summary", "Contents"), contents), tag("div", contents)),
        tag(
            "main",
            tag("h1", info["title"], " ", tag("small", info["version"])),
            tag(
                "p",
                tag("code", server),
                " · ",
                tag("a", "openapi.json", href="openapi.json"),
                class_="server",
            ),
            prose(info["description"]),
            *chapters,
        ),
    )
    head = join(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", f"{info['title']} API"),
        Html(f"<style>{STYLE}</style>"),
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'.encode()


def _calls(document: Mapping[str, Any], chapter: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if chapter in operation["tags"] and method != "head"  # told in the introduction
    ]


def _contents(document: Mapping[str, Any]) -> Html:
    listed = []
    for chapter in document["tags"]:
        calls = [
            tag("li", tag("a", operation["summary"], href=f"#{operation['operationId']}"))
            for _, _, operation in _calls(document, chapter["name"])
        ]
        listed += [tag("p", chapter["name"]), tag("ul", *calls)]
    return tag("div", *listed)


def _chapter(document: Mapping[str, Any], chapter: Mapping[str, Any]) -> Html:
    sections = [section(document, path, method) for path, method, _ in _calls(document, chapter["name"])]
    return join(tag("h2", chapter["name"]), tag("p", chapter["description"]), *sections)
