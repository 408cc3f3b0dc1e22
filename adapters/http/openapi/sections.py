"""One call of the document, as a section of the page."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from adapters.http.openapi.fields import fields, row
from adapters.http.openapi.html import Html, join, prose, tag, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    Described = Mapping[str, Any]

_FIRST_REFUSAL = "400"


def section(document: Described, path: str, method: str) -> Html:
    """Describe one call: parameters, body, answers, errors, and a line to paste."""
    operation = document["paths"][path][method]
    components = document["components"]["schemas"]
    answers = {code: answer for code, answer in operation["responses"].items() if code < _FIRST_REFUSAL}
    refusals = {code: answer for code, answer in operation["responses"].items() if code >= _FIRST_REFUSAL}
    return tag(
        "section",
        tag("h3", tag("a", operation["summary"], href=f"#{operation['operationId']}")),
        tag(
            "p",
            tag("span", method.upper(), class_=f"method {method}"),
            " ",
            tag("code", path, class_="path"),
            class_="address",
        ),
        prose(operation["description"]),
        tag("p", words(_access(operation)), class_="access"),
        _parameters(operation, components),
        _body(operation, components),
        tag("h4", "Example"),
        tag("pre", tag("code", curl(document["servers"][0]["url"], path, method, operation))),
        tag("h4", "Answers"),
        *(_answer(code, answer, components) for code, answer in answers.items()),
        _refusals(refusals),
        id=operation["operationId"],
    )


def curl(server: str, path: str, method: str, operation: Described) -> str:
    """Write the call as a line for a shell, with the examples of its parameters and the first of its body."""
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example", "")))
    query = urlencode(
        {
            parameter["name"]: parameter["example"]
            for parameter in operation["parameters"]
            if parameter["in"] == "query" and "example" in parameter
        }
    )
    parts = ["curl", shlex.quote(f"{server}{path}?{query}" if query else f"{server}{path}")]
    if method != "get":
        parts.insert(1, f"-X {method.upper()}")
    if any("apiKey" in scheme for scheme in operation["security"]):
        parts.append("-H 'x-api-key: YOUR_API_KEY'")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = next((example["value"] for example in content.get("examples", {}).values()), None)
    if example:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {shlex.quote(json.dumps(example))}")
    return " \\\n  ".join(
        [" ".join(parts[: 3 if method != "get" else 2]), *parts[3 if method != "get" else 2 :]]
    )


def _access(operation: Described) -> str:
    schemes = [(name, roles) for scheme in operation["security"] for name, roles in scheme.items()]
    for name, roles in schemes:
        if name == "apiKey":
            return f"Needs an API key with the scope `{roles[0]}`."
        return "Needs Nango's signature in `X-Nango-Hmac-Sha256`."
    return "Needs no key."


def _parameters(operation: Described, components: Described) -> Html:
    described = []
    for place, title in (("path", "Path"), ("query", "Query"), ("header", "Headers")):
        rows = [
            row(
                parameter["name"],
                parameter["schema"],
                components,
                required=parameter["required"],
                description=parameter.get("description", ""),
            )
            for parameter in operation["parameters"]
            if parameter["in"] == place
        ]
        if rows:
            described += [tag("h4", title), tag("dl", *rows)]
    return join(*described)


def _body(operation: Described, components: Described) -> Html:
    body = operation.get("requestBody")
    if body is None:
        return Html()
    content = body["content"]["application/json"]
    described = fields(content["schema"], components)
    if not described:
        return Html()
    return join(
        tag("h4", "Body" if body["required"] else "Body, may be left out"),
        tag("p", words(body["description"])),
        described,
        *_examples(content),
    )


def _answer(code: str, answer: Described, components: Described) -> Html:
    headers = [
        row(name, header["schema"], components, required=True, description=header["description"])
        for name, header in answer["headers"].items()
        if "schema" in header
    ]
    content = answer.get("content", {}).get("application/json", {})
    described = fields(content["schema"], components) if content else Html()
    inside = [tag("dl", *headers)] if headers else []
    inside += _examples(content)
    if described:
        inside.append(tag("details", tag("summary", "Fields"), described))
    return tag(
        "div",
        tag("p", tag("strong", code, class_="good"), " ", words(answer["description"])),
        *inside,
        class_="answer",
    )


def _examples(content: Described) -> list[Html]:
    examples = content.get("examples", {})
    return [
        join(
            tag("p", title, class_="title"),
            tag("pre", tag("code", json.dumps(example["value"], indent=2, ensure_ascii=False))),
        )
        for title, example in examples.items()
    ]


def _refusals(refusals: Described) -> Html:
    rows = []
    for code, answer in refusals.items():
        examples = answer["content"]["application/json"]["examples"]
        errors = [example["value"]["error"] for example in examples.values()]
        rows.append(
            tag(
                "tr",
                tag("td", code, class_="bad"),
                tag("td", tag("code", errors[0]["code"])),
                tag("td", tag("ul", *(tag("li", error["message"]) for error in errors))),
            )
        )
    return tag("details", tag("summary", f"Errors: {', '.join(refusals)}"), tag("table", *rows))
