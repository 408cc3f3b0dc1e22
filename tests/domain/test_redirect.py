"""Where a user may be sent: hostile addresses are refused, and what passes is read alike by all."""

from __future__ import annotations

import string
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.redirect import MAX_LENGTH, RedirectUrl
from tests.domain.hostile_addresses import HOSTILE

GOOD = {
    "https://app.example.com": "https://app.example.com",
    "https://app.example.com/": "https://app.example.com",
    "https://app.example.com/settings/connections?tab=1&x=%20#here": "https://app.example.com",
    "https://APP.Example.COM/Path": "https://app.example.com",
    "HTTPS://app.example.com/": "https://app.example.com",
    "https://app.example.com:8443/x": "https://app.example.com:8443",
    "https://app.example.com:443/x": "https://app.example.com",
    "https://app.example.com:65535": "https://app.example.com:65535",
    "https://app.example.com?next=https://other.example/@x": "https://app.example.com",
    "https://app.example.com/a@b//c:d": "https://app.example.com",
    "https://app.example.com/?q=[1]": "https://app.example.com",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example",
    "https://1app.example/": "https://1app.example",
    "https://192.0.2.7/": "https://192.0.2.7",
    "https://[2001:db8::1]/": "https://[2001:db8::1]",
    "https://intranet/": "https://intranet",
    "https://localhost:3000/": "https://localhost:3000",
    "http://localhost": "http://localhost",
    "http://localhost:3000/x": "http://localhost:3000",
    "http://LocalHost:80/": "http://localhost",
    "http://127.0.0.1:5173/": "http://127.0.0.1:5173",
    "http://[::1]:5173/": "http://[::1]:5173",
}


def whatwg_origin(text: str) -> str | None:
    """Read an address's origin the way browsers do (the URL Standard), as far as ASCII hosts go."""
    text = "".join(char for char in text.strip("".join(map(chr, range(0x21)))) if char not in "\t\n\r")
    scheme, separator, rest = text.partition(":")
    scheme = scheme.lower()
    if not separator or scheme not in ("http", "https"):
        return None
    authority = ""
    for char in rest.lstrip("/\\"):
        if char in "/\\?#":
            break
        authority += char
    host, _, port = authority.rpartition("@")[2].partition(":")
    if host.startswith("["):
        host, _, port = authority.rpartition("@")[2].partition("]")
        host, port = host + "]", port.removeprefix(":")
    number = int(port) if port else None
    number = None if number == {"http": 80, "https": 443}[scheme] else number
    return f"{scheme}://{host.lower()}" + (f":{number}" if number is not None else "")


def urllib_origin(text: str) -> str:
    parts = urlsplit(text)
    port = None if parts.port == {"http": 80, "https": 443}[parts.scheme] else parts.port
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


WORDS = st.characters(exclude_categories=["Cs"])
TRICKS = [
    "@",
    ":",
    "\\",
    "/",
    "//",
    "?",
    "#",
    "%2F",
    "%00",
    ".",
    "\t",
    "\r\n",
    "\u3002",
    " ",
    "[::1]",
    "0x7f",
]
HOSTS = st.sampled_from(
    ["app.example.com", "evil.com", "LOCALHOST", "127.0.0.1", "[::1]", "[2001:db8::1]", "a"]
)
PORTS = st.sampled_from(["", ":80", ":443", ":0", ":3000", ":65536"])
TAILS = st.lists(st.sampled_from([*TRICKS, "x", "a=b"]) | st.text(string.printable, max_size=2)).map("".join)
ADDRESSES = st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(["https://", "http://", "HTTPS://", "https:", "//"]),
    st.sampled_from(["", "", "", *TRICKS]),
    HOSTS,
    st.sampled_from(["", "", "", *TRICKS]),
    PORTS,
    TAILS,
)


def accepted(text: str) -> RedirectUrl | None:
    try:
        return RedirectUrl.parse(text)
    except InvalidInput:
        return None


@pytest.mark.parametrize(("text", "origin"), GOOD.items())
def test_a_plain_address_is_accepted_with_its_origin(text: str, origin: str) -> None:
    assert RedirectUrl.parse(text) == RedirectUrl(text, origin)


def test_an_address_may_be_as_long_as_the_limit() -> None:
    text = "https://app.example.com/".ljust(MAX_LENGTH, "a")
    assert RedirectUrl.parse(text).text == text


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_hostile_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        RedirectUrl.parse(text)


def test_there_are_enough_hostile_addresses_and_none_twice() -> None:
    assert len(HOSTILE) == len(set(HOSTILE))
    assert len(HOSTILE) >= 100


def test_a_refusal_names_the_field_it_was_given() -> None:
    with pytest.raises(InvalidInput) as caught:
        RedirectUrl.parse("javascript:alert(1)", "body.redirectUrl")
    assert [field for field, _ in caught.value.details] == ["body.redirectUrl"]


@given(ADDRESSES)
@example("https://app.example.com:443/@x")
@example("http://[::1]:80?x")
def test_what_is_accepted_is_read_alike_by_browsers_and_by_python(text: str) -> None:
    if url := accepted(text):
        assert url.origin == whatwg_origin(text) == urllib_origin(text)


@given(ADDRESSES, st.dictionaries(st.text(WORDS, min_size=1), st.text(WORDS), max_size=3))
@example("https://app.example.com", {"error": "@evil.com/#"})
def test_a_result_never_changes_where_an_address_leads(text: str, result: dict[str, str]) -> None:
    if url := accepted(text):
        assert whatwg_origin(url.with_result(result)) == url.origin


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("https://a.example", "https://a.example?success=true&provider=stripe"),
        ("https://a.example/x", "https://a.example/x?success=true&provider=stripe"),
        ("https://a.example/x?", "https://a.example/x?success=true&provider=stripe"),
        ("https://a.example/x?tab=1", "https://a.example/x?tab=1&success=true&provider=stripe"),
        ("https://a.example/x?a=1&a=%20+", "https://a.example/x?a=1&a=%20+&success=true&provider=stripe"),
        ("https://a.example/x#/route?y=1", "https://a.example/x?success=true&provider=stripe#/route?y=1"),
        ("https://a.example/x?b=2#c", "https://a.example/x?b=2&success=true&provider=stripe#c"),
    ],
)
def test_a_result_joins_the_addresss_own_query_before_its_fragment(text: str, merged: str) -> None:
    assert RedirectUrl.parse(text).with_result({"success": "true", "provider": "stripe"}) == merged


def test_an_earlier_outcome_in_the_address_gives_way() -> None:
    again = RedirectUrl.parse("https://a.example/?x=1&success=true&provider=stripe&connectionId=conn_1")
    merged = again.with_result({"error": "access_denied", "connectionId": "conn_2"})
    assert parse_qsl(urlsplit(merged).query) == [
        ("x", "1"),
        ("provider", "stripe"),
        ("error", "access_denied"),
        ("connectionId", "conn_2"),
    ]


def test_a_results_values_cannot_leave_their_parameter() -> None:
    hostile = "a&success=true#x\r\nSet-Cookie: b=c é"
    merged = RedirectUrl.parse("https://a.example/?x=1").with_result({"error": hostile})
    assert parse_qsl(urlsplit(merged).query) == [("x", "1"), ("error", hostile)]
    assert "\r" not in merged
