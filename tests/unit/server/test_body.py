"""What is no JSON object, or too deep, is refused and cannot hurt."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import RequestError
from gadfly.server.body import is_nested_deeper, parse_body

LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner), max_leaves=20)


def depth(value):
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


@given(VALUES, st.integers(0, 6))
def test_depth_is_counted_as_the_obvious_way_counts_it(value, limit):
    assert is_nested_deeper(value, limit) == (depth(value) > limit)


@given(st.dictionaries(st.text("ab"), VALUES))
def test_what_was_sent_is_what_is_read(value):
    assert parse_body(json.dumps(value).encode(), 100) == value


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"null", b'{"a": NaN}', b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"\xef\xbb\xbf{}"],
)
def test_what_is_no_object_in_json_and_utf8_is_refused(body):
    with pytest.raises(RequestError, match="the body"):
        parse_body(body, 64)


@pytest.mark.parametrize("size", [65, 100_000])
def test_what_is_nested_too_deeply_is_refused(size):
    with pytest.raises(RequestError):
        parse_body(b'{"a":' * size + b"1" + b"}" * size, 64)
    assert parse_body(b'{"a":' * 64 + b"1" + b"}" * 64, 64)
