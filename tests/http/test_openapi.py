"""The documentation: it tells of every route and of nothing else, and its examples are true."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec import Struct

from adapters.catalogue.loader import load_catalogue
from adapters.http import requests
from adapters.http.app import HttpOptions
from adapters.http.fields import read_fields
from adapters.http.openapi.document import describe
from adapters.http.openapi.html import tag, words
from adapters.http.openapi.meanings import MEANINGS
from adapters.http.routes import routes_of
from domain.connection import ConnectionStatus
from tests.http.fakes import FakeUseCases
from tests.http.reference import ANSWERS, NEW_CONNECTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiohttp.web import Application

    from domain.provider import Provider
    from tests.http.conftest import Client

REQUESTS: dict[str, type[Struct]] = {
    name: kind
    for name, kind in vars(requests).items()
    if isinstance(kind, type) and issubclass(kind, Struct) and kind is not Struct
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document of a deployment with the built-in providers, as a client reads it."""
    return _document_of(load_catalogue(None).all())


def _document_of(providers: Sequence[Provider]) -> dict[str, Any]:
    options = HttpOptions(nango_public_url="https://nango.example", public_url="https://connections.example")
    routes = routes_of(FakeUseCases().all(), options)
    described = describe(routes, providers, options.public_url, options.max_body)
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(described))
    return read


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, method, operation in _operations(document):
        bodies = {"body": operation["requestBody"]} if "requestBody" in operation else {}
        for place, described in {**bodies, **operation["responses"]}.items():
            content = described.get("content", {}).get("application/json")
            if content is not None:
                yield f"{method} {path} {place}", content


def _descriptions(described: Any) -> Iterator[str]:
    if isinstance(described, dict):
        for name, value in described.items():
            if name == "description" and isinstance(value, str):
                yield value
            yield from _descriptions(value)
    elif isinstance(described, list):
        for item in described:
            yield from _descriptions(item)


def _validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


async def test_the_document_tells_of_the_routes_that_are_served_and_of_no_others(
    client: Client, app: Application
) -> None:
    document = await (await client.get("/openapi.json")).json()
    told = {(method.upper(), path) for path, method, _ in _operations(document)}
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }
    assert told == served


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    wrong = [
        (place, title, error.message)
        for place, content in _contents(document)
        for title, example in content.get("examples", {}).items()
        for error in _validator(document, content["schema"]).iter_errors(example["value"])
    ]
    assert wrong == []


def test_every_schema_is_a_valid_json_schema(document: dict[str, Any]) -> None:
    for _, content in _contents(document):
        Draft202012Validator.check_schema(content["schema"])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_answer_in_json_has_an_example(document: dict[str, Any]) -> None:
    without = {place for place, content in _contents(document) if not content.get("examples")}
    assert without == {"get /openapi.json 200", "post /api/v1/webhooks/nango body"}


@pytest.mark.parametrize(("path", "method", "status", "answer"), ANSWERS)
def test_the_reference_s_examples_are_there_to_the_letter(
    document: dict[str, Any], path: str, method: str, status: str, answer: dict[str, Any]
) -> None:
    content = document["paths"][path][method]["responses"][status]["content"]["application/json"]
    assert answer in [example["value"] for example in content["examples"].values()]


def test_the_reference_s_request_is_there_to_the_letter(document: dict[str, Any]) -> None:
    content = document["paths"]["/api/v1/connections"]["post"]["requestBody"]["content"]["application/json"]
    assert NEW_CONNECTION in [example["value"] for example in content["examples"].values()]


def test_every_body_of_the_examples_is_accepted(document: dict[str, Any]) -> None:
    read = 0
    for place, content in _contents(document):
        request = REQUESTS.get(content["schema"].get("$ref", "").rpartition("/")[2])
        if place.endswith(" body") and request is not None:
            for example in content["examples"].values():
                read_fields(request, example["value"])
                read += 1
    assert read


def test_what_each_field_of_a_request_is_for_is_told() -> None:
    # The path of auth-url is told by its operation.
    asked = {
        request.__name__: {field.encode_name for field in msgspec.structs.fields(request)}
        for request in REQUESTS.values()
        if request not in (requests.Nothing, requests.ProviderPath)
    }
    assert {request.__name__: set(meanings) for request, meanings in MEANINGS.items()} == asked


def test_what_each_field_of_a_request_is_for_is_in_the_document(document: dict[str, Any]) -> None:
    told = list(_descriptions(document))
    untold = [
        (request.__name__, name)
        for request, meanings in MEANINGS.items()
        for name, meaning in meanings.items()
        if not any(text.startswith(meaning) for text in told)
    ]
    assert untold == []


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ({"name": "n", "provider": "stripe"}, True),
        ({"name": "n", "provider": "nobody"}, False),
        ({"name": "n", "provider": "netsuite"}, False),
        ({"name": "n", "provider": "netsuite", "parameters": {"accountId": "1"}}, True),
        ({"name": "n", "provider": "stripe", "parameters": {"accountId": "1"}}, False),
        ({"name": "n", "provider": "stripe", "credentials": {"apiKey": "k"}}, True),
        ({"name": "n", "provider": "gmail", "credentials": {"apiKey": "k"}}, False),
        (
            {
                "name": "n",
                "provider": "stripe",
                "credentials": {"apiKey": "k"},
                "redirectUrl": "https://a.example/",
            },
            False,
        ),
        ({"name": " ", "provider": "stripe"}, False),
        ({"name": "n", "provider": "stripe", "metadata": {"a": [{"b": 2**53 + 1}]}}, False),
        ({"name": "n", "provider": "stripe", "colour": "red"}, False),
    ],
)
def test_a_create_is_described_for_each_provider(
    document: dict[str, Any], body: dict[str, Any], good: bool
) -> None:
    schema = {"$ref": "#/components/schemas/NewConnection"}
    assert _validator(document, schema).is_valid(body) is good


def test_every_alternative_of_a_create_has_a_name_for_generators_of_clients(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    names = [way["$ref"].rpartition("/")[2] for way in schemas["NewConnection"]["anyOf"]]
    assert names == [
        "NewConnectionByOAuth",
        "NewConnectionByOAuthNetsuite",
        "NewConnectionWithCredentialsNetsuite",
        "NewConnectionWithCredentialsPandadoc",
        "NewConnectionWithCredentialsStripe",
    ]
    assert set(names) < set(schemas)


def test_no_name_changes_with_another_provider(document: dict[str, Any]) -> None:
    """Generators of clients make classes of titles and names, which callers import."""
    builtin = load_catalogue(None).all()
    more = [attrs.evolve(provider, key=f"a-{provider.key}") for provider in builtin]
    richer = _document_of([*more, *builtin])["components"]["schemas"]
    assert set(document["components"]["schemas"]) < set(richer)
    assert [schema["title"] for schema in richer.values() if "title" in schema] == []


def test_a_status_is_one_type_for_generators_of_clients(document: dict[str, Any]) -> None:
    values = [status.value for status in ConnectionStatus]
    told = document["components"]["schemas"]["ConnectionStatus"]
    assert (told["type"], told["enum"]) == ("string", values)
    assert msgspec.json.encode(document).count(msgspec.json.encode(values)) == 1


def test_no_array_contains_itself_which_generators_of_clients_cannot_follow(document: dict[str, Any]) -> None:
    (array,) = [way for way in document["components"]["schemas"]["Json"]["anyOf"] if "items" in way]
    assert '#/components/schemas/Json"' not in msgspec.json.encode(array).decode()


def test_auth_url_names_the_providers_parameters(document: dict[str, Any]) -> None:
    described = document["paths"]["/api/v1/connections/{provider}/auth-url"]["get"]["parameters"]
    (account,) = [parameter for parameter in described if parameter["name"] == "accountId"]
    assert account["description"] == (
        "NetSuite account id: required for netsuite. Other providers do not take it."
    )


def test_that_a_list_takes_any_provider_is_told(document: dict[str, Any]) -> None:
    described = document["paths"]["/api/v1/connections"]["get"]["parameters"]
    (provider,) = [parameter for parameter in described if parameter["name"] == "provider"]
    assert "one that has none gives an empty list" in provider["description"]


@pytest.mark.parametrize("actor", ["api_key:", "callback", "worker", "authorization"])
def test_who_acts_in_a_history_is_told(document: dict[str, Any], actor: str) -> None:
    fact = document["components"]["schemas"]["EventDetails"]["properties"]
    assert f"`{actor}`" in fact["actor"]["description"]


def test_a_key_is_asked_for_where_one_is_needed(document: dict[str, Any]) -> None:
    scopes = {
        operation["operationId"]: [roles for scheme in operation["security"] for roles in scheme.values()]
        for _, _, operation in _operations(document)
    }
    chosen = ("getConnection", "deleteConnection", "getAuthUrl", "relayAuthorization", "getDocs")
    assert [scopes[name] for name in chosen] == [[["read"]], [["write"]], [["write"]], [], []]


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_the_documentation_needs_no_key_and_is_not_sent_twice(client: Client, path: str) -> None:
    first = await client.get(path)
    again = await client.get(path, headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'})
    assert (first.status, again.status, await again.read(), again.headers["ETag"]) == (
        200,
        304,
        b"",
        first.headers["ETag"],
    )


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.add(tag)
        if told.get("id"):
            self.ids.add(str(told["id"]))
        self.links += [str(told[name]) for name in ("href", "src", "action", "style") if name in told]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
async def page(client: Client) -> _Page:
    page = _Page()
    page.feed(await (await client.get("/docs")).text())
    return page


async def test_the_page_needs_nothing_from_elsewhere(client: Client, page: _Page) -> None:
    answer = await client.get("/docs")
    style = re.search(r"style-src 'sha256-[A-Za-z0-9+/=]+'", answer.headers["Content-Security-Policy"])
    assert style is not None
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert page.tags & {"script", "img", "link", "iframe", "form"} == set()
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}


async def test_every_call_has_its_place_on_the_page(client: Client, page: _Page) -> None:
    document = await (await client.get("/openapi.json")).json()
    calls = {operation["operationId"] for _, method, operation in _operations(document) if method != "head"}
    assert (page.ids, {link[1:] for link in page.links if link.startswith("#")}) == (calls, calls)
    assert all(path in page.text for path, _, _ in _operations(document))


async def test_the_page_has_a_line_to_paste_for_a_create(page: _Page) -> None:
    assert (
        "curl -X POST http://localhost:3000/api/v1/connections \\\n"
        "  -H 'x-api-key: YOUR_API_KEY' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        '  -d \'{"name": "Production Stripe", "provider": "stripe", '
        '"metadata": {"environment": "production"}}\''
    ) in page.text


async def test_the_line_to_paste_for_a_callback_names_a_connection(page: _Page) -> None:
    assert (
        "curl 'http://localhost:3000/api/v1/connections/stripe/callback"
        "?connectionId=conn_550e8400-e29b-41d4-a716-446655440000&success=true'"
    ) in page.text


def test_what_a_catalogue_says_is_text_on_the_page() -> None:
    assert (tag("p", "<b>", title='"'), words("a < `b & c`")) == (
        '<p title="&quot;">&lt;b&gt;</p>',
        "a &lt; <code>b &amp; c</code>",
    )
