"""Bodies: what is taken, and what is refused with 400, 413 or 415 and never with 500."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from domain.redirect import RedirectUrl
from tests.http.fakes import ID, WRITE_KEY
from tests.http.raw import exchange
from tests.http.test_strict_json import HOSTILE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.http.conftest import Client
    from tests.http.fakes import FakeUseCases

URL = "/api/v1/connections"
JSON = {"Content-Type": "application/json"}
TOO_LARGE = {
    "code": "PAYLOAD_TOO_LARGE",
    "message": "The body is too large: at most 131072 bytes are taken",
}
MINIMAL: dict[str, Any] = {"name": "n", "provider": "stripe"}
WHAT_METADATA_IS = (
    "must be a JSON object of at most 16384 bytes, with at most 256 keys in all and not deeper than 16 levels"
)


async def _problems(company: Client, body: Any, url: str = URL, method: str = "POST") -> dict[str, str]:
    answer = await company.request(method, url, json=body)
    if answer.status < 400:
        return {}
    assert answer.status == 400
    return {problem["field"]: problem["message"] for problem in (await answer.json())["error"]["details"]}


async def test_what_is_wrong_is_told_in_bounded_words(company: Client) -> None:
    strange = {f"{n:02}{'x' * 1000}": 1 for n in range(30)}
    told = await _problems(company, {**MINIMAL, **strange})
    assert (len(told), max(map(len, told))) == (20, 64)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_json_is_a_bad_request(company: Client, fakes: FakeUseCases, data: bytes) -> None:
    answer = await company.post(URL, data=data, headers=JSON)
    assert (answer.status, (await answer.json())["error"]["details"][0]["field"]) == (400, "body")
    assert fakes.create_connection.asked == []


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-7",
        "application/json; charset=latin-1",
        'application/json; charset="utf-16"',
        "application/json; charset=utf-8x",
        "application/json; charset=utf-8; charset=utf-7",
        "application/jsonx",
        "json",
        "",
    ],
)
async def test_other_media_types_are_refused(company: Client, content_type: str) -> None:
    answer = await company.post(
        URL, data=json.dumps(MINIMAL).encode(), headers={"Content-Type": content_type}
    )
    assert (answer.status, (await answer.json())["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON ; charset=UTF-8", 'application/json;charset="utf-8"'],
)
async def test_json_in_utf_8_is_taken(company: Client, content_type: str) -> None:
    answer = await company.post(
        URL, data=json.dumps(MINIMAL).encode(), headers={"Content-Type": content_type}
    )
    assert answer.status == 201


async def test_a_compressed_body_is_refused(company: Client) -> None:
    answer = await company.post(URL, json=MINIMAL, headers={"Content-Encoding": "deflate"}, compress=None)
    assert answer.status == 415


async def test_the_largest_body_is_read(company: Client) -> None:
    data = json.dumps(MINIMAL).encode().ljust(128 * 1024)
    assert (await company.post(URL, data=data, headers=JSON)).status == 201


async def test_a_body_whose_fields_are_all_at_their_longest_is_not_too_large(company: Client) -> None:
    body = {
        "name": "n" * 200,
        "provider": "p" * 64,
        "metadata": {"key": "v" * (16 * 1024 - 10)},
        "parameters": {f"parameter{n}": "v" * 1024 for n in range(32)},
        "credentials": {f"credential{n}": "v" * 4096 for n in range(16)},
    }
    assert (await company.post(URL, json=body)).status == 201


async def test_a_larger_body_is_refused(company: Client) -> None:
    answer = await company.post(URL, data=b" " * (128 * 1024 + 1), headers=JSON)
    assert (answer.status, (await answer.json())["error"]) == (413, TOO_LARGE)


async def test_a_larger_body_is_refused_in_chunks_too(company: Client) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 8 * 1024

    answer = await company.post(URL, data=drip(), headers=JSON)
    assert (answer.status, (await answer.json())["error"]) == (413, TOO_LARGE)


async def test_a_body_that_is_announced_as_huge_is_refused_before_it_comes(client: Client) -> None:
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\nContent-Type: application/json\r\n"
    status, _, _ = await exchange(client, f"{head}Content-Length: 99999999\r\n\r\n".encode())
    assert status == 413


async def test_chunks_that_are_none_are_a_bad_request(client: Client) -> None:
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nx-api-key: {WRITE_KEY}\r\nContent-Type: application/json\r\n"
    status, _, _ = await exchange(client, f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
    assert status == 400


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true"])
async def test_a_body_is_an_object(company: Client, body: str) -> None:
    answer = await company.post(URL, data=body.encode(), headers=JSON)
    assert (await answer.json())["error"]["details"] == [
        {"field": "body", "message": "must be a JSON object"}
    ]


async def test_every_problem_of_a_body_is_named(company: Client) -> None:
    body = {"name": 1, "metadata": [], "redirectUrl": "http://evil.example", "colour": "red"}
    assert set(await _problems(company, body)) == {"colour", "name", "provider", "metadata", "redirectUrl"}


async def test_an_unknown_field_is_told_which_are_known(company: Client) -> None:
    assert await _problems(company, {"Name": "n"}, f"{URL}/{ID}", "PATCH") == {
        "Name": "is not known here; known are name, metadata"
    }


async def test_what_is_missing_is_named(company: Client) -> None:
    assert await _problems(company, {}) == {"name": "is required", "provider": "is required"}


@pytest.mark.parametrize(
    "name", ["", " ", "n" * 201, "a\nb", "a\x7fb", "a\x85b", 7, None, ["n"], {"n": 1}, True]
)
async def test_a_name_that_is_none_is_refused(company: Client, name: Any) -> None:
    assert "name" in await _problems(company, {**MINIMAL, "name": name})


@pytest.mark.parametrize(
    ("given", "kept"),
    [("n", "n"), ("  two words ", "two words"), ("n" * 200, "n" * 200), ("Zoë 😀", "Zoë 😀")],
)
async def test_a_name_is_kept_without_what_surrounds_it(
    company: Client, fakes: FakeUseCases, given: str, kept: str
) -> None:
    await company.post(URL, json={**MINIMAL, "name": given})
    assert fakes.create_connection.asked[0]["name"] == kept


def _nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth - 1):
        inner = {"a": inner}
    return inner


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a": "x" * 16 * 1024}, "must be at most 16384 bytes of JSON"),
        ({str(key): 1 for key in range(257)}, "must have at most 256 keys in all"),
        ({"a": [{str(key): 1 for key in range(256)}]}, "must have at most 256 keys in all"),
        (_nested(17), "must not be nested deeper than 16 levels"),
        ({"a": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}, "must not be nested deeper than 16 levels"),
        ([], WHAT_METADATA_IS),
        (None, WHAT_METADATA_IS),
        ("text", WHAT_METADATA_IS),
    ],
)
async def test_metadata_is_bounded(company: Client, metadata: Any, message: str) -> None:
    assert await _problems(company, {**MINIMAL, "metadata": metadata}) == {"metadata": message}


async def test_an_address_that_is_not_percent_encoded_is_told_so(company: Client) -> None:
    told = await _problems(company, {**MINIMAL, "redirectUrl": "https://app.example/zur\u00fcck"})
    assert told == {
        "redirectUrl": (
            "must be an https URL (or http on localhost) of at most 2048 visible ASCII characters, others "
            "percent-encoded"
        )
    }


@pytest.mark.parametrize("metadata", [{}, _nested(16), {str(key): key / 3 for key in range(256)}])
async def test_metadata_is_handed_on_as_it_is(
    company: Client, fakes: FakeUseCases, metadata: dict[str, Any]
) -> None:
    await company.post(URL, json={**MINIMAL, "metadata": metadata})
    assert fakes.create_connection.asked[0]["metadata"] == metadata


@pytest.mark.parametrize("provider", ["", "a b", "é", "x" * 65, 1, None])
async def test_a_provider_is_a_key(company: Client, provider: Any) -> None:
    assert set(await _problems(company, {**MINIMAL, "provider": provider})) == {"provider"}


@pytest.mark.parametrize("parameters", [[], None, "text", {str(i): "x" for i in range(33)}])
async def test_parameters_are_an_object_of_texts(company: Client, parameters: Any) -> None:
    assert await _problems(company, {**MINIMAL, "parameters": parameters}) == {
        "parameters": "must be an object of at most 32 texts"
    }


@pytest.mark.parametrize("value", [1234567, "", "\x1f", "x" * 1025, None, {"a": "b"}])
async def test_a_parameter_that_is_no_text_is_named(company: Client, value: Any) -> None:
    body = {**MINIMAL, "parameters": {"accountId": value, "region": "eu"}}
    assert await _problems(company, body) == {
        "parameters.accountId": "must be a text of 1 to 1024 characters, no control characters"
    }


async def test_a_member_s_name_is_told_in_bounded_words(company: Client) -> None:
    problems = await _problems(company, {**MINIMAL, "parameters": {"x" * 1000: 1}})
    assert set(problems) == {f"parameters.{'x' * 64}"}


async def test_a_create_is_handed_on_whole(company: Client, fakes: FakeUseCases) -> None:
    body = {
        **MINIMAL,
        "metadata": {"a": 1},
        "redirectUrl": "https://app.example/done",
        "parameters": {"accountId": "123"},
    }
    await company.post(URL, json=body, headers={"Idempotency-Key": "once"})
    assert fakes.create_connection.asked == [
        {
            "company_id": "acme",
            "provider": "stripe",
            "name": "n",
            "metadata": {"a": 1},
            "redirect_url": RedirectUrl.parse("https://app.example/done"),
            "parameters": {"accountId": "123"},
            "idempotency_key": "once",
            "actor": "api_key:write",
        }
    ]


async def test_two_creates_share_no_defaults(company: Client, fakes: FakeUseCases) -> None:
    for _ in range(2):
        await company.post(URL, json=MINIMAL)
    first, second = fakes.create_connection.asked
    assert first["metadata"] is not second["metadata"]
    assert first["parameters"] is not second["parameters"]


@pytest.mark.parametrize("key", ["", "k" * 256, "a b", "\xe9"])
async def test_an_idempotency_key_that_is_none_is_refused(company: Client, key: str) -> None:
    answer = await company.post(URL, json=MINIMAL, headers={"Idempotency-Key": key})
    assert (await answer.json())["error"]["details"][0]["field"] == "Idempotency-Key"


async def test_two_idempotency_keys_are_refused(company: Client) -> None:
    answer = await company.post(
        URL, json=MINIMAL, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )
    assert answer.status == 400


@pytest.mark.parametrize("act", ["refresh", "verify", "disconnect"])
async def test_a_call_without_fields_takes_an_empty_body_and_no_other(company: Client, act: str) -> None:
    url = f"{URL}/{ID}/{act}"
    statuses = [(await company.post(url, json=body)).status for body in ({}, {"force": True})]
    assert statuses == [200, 400]


@pytest.mark.parametrize("act", ["reauthorize", "connect-session"])
async def test_an_optional_body_may_be_left_out(company: Client, act: str) -> None:
    assert (await company.post(f"{URL}/{ID}/{act}")).ok


@pytest.mark.parametrize("act", ["reauthorize", "connect-session"])
async def test_an_optional_body_is_checked_like_any_other(company: Client, act: str) -> None:
    problems = await _problems(company, {"redirectUrl": "javascript:alert(1)", "x": 1}, f"{URL}/{ID}/{act}")
    assert set(problems) == {"redirectUrl", "x"}


@pytest.mark.parametrize("body", [{}, {"name": None}, {"metadata": None}, {"status": "active"}, {"name": ""}])
async def test_an_update_that_says_nothing_good_is_refused(company: Client, body: dict[str, Any]) -> None:
    assert await _problems(company, body, f"{URL}/{ID}", "PATCH")
