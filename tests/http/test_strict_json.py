"""JSON as RFC 8259 means it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http.strict_json import MAX_DEPTH, read_json
from domain.errors import InvalidInput

HOSTILE = {
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "a number beyond doubles": b'{"a": 1e999}',
    "a number beyond 2^53": b'{"a": 9007199254740993}',
    "a real number beyond 2^53": b'{"a": 1e17}',
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a duplicate key": b'{"a": 1, "a": 1}',
    "a duplicate key, escaped": b'{"a": 1, "\\u0061": 1}',
    "a duplicate key further in": b'{"a": [{"b": 1, "b": 2}]}',
    "NUL, escaped": b'{"a": "x\\u0000"}',
    "NUL, escaped, in a key": b'{"a\\u0000": 1}',
    "NUL, raw": b'{"a": "x\x00"}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a lone low surrogate in a list": b'{"a": ["\\udc00"]}',
    "an encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "invalid UTF-8": b'{"a": "\xff"}',
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "trailing text": b'{"a": 1} x',
    "two documents": b'{"a": 1}{"a": 1}',
    "20,000 levels": b"[" * 20_000 + b"]" * 20_000,
    "10,000 levels left open": b'{"a":' * 10_000,
    "a raw line feed in a text": b'{"a": "\n"}',
    "single quotes": b"{'a': 1}",
    "a trailing comma": b'{"a": 1,}',
    "a comment": b'{"a": 1} // one',
    "a leading zero": b'{"a": 01}',
    "an unfinished text": b'{"a": "',
    "an unfinished escape": b'{"a": "\\',
    "nothing": b"",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_json(data)


def test_depth_counts_structure_and_not_what_is_written_in_texts() -> None:
    assert read_json(b'["' + b"[" * 100 + b'\\"' + b"{" * 100 + b'"]') == ["[" * 100 + '"' + "{" * 100]


def test_the_deepest_document_is_read_and_one_deeper_is_not() -> None:
    read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(InvalidInput, match="nested deeper"):
        read_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_the_largest_numbers_are_read() -> None:
    assert read_json(b"[9007199254740992, -9007199254740992, 1.5e10]") == [2**53, -(2**53), 1.5e10]


def test_escaped_pairs_of_surrogates_are_characters() -> None:
    assert read_json(b'["\\ud83d\\ude00", "\\\\u0000"]') == ["😀", "\\u0000"]


DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-(2.0**53), 2.0**53)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(DOCUMENTS, st.booleans())
def test_honest_json_reads_as_it_was_written(document: Any, ascii: bool) -> None:
    assert read_json(json.dumps(document, ensure_ascii=ascii).encode()) == document


@given(st.binary(max_size=60) | st.text('{}[]":,\\u0dD8aN1e+-. ', max_size=60).map(str.encode))
def test_nothing_but_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    try:
        value = read_json(data)
    except InvalidInput:
        return
    assert not isinstance(value, float) or math.isfinite(value)
