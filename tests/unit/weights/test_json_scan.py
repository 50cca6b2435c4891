"""What the scan takes, Python's parser takes too, and with the same meaning."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import ModelFileError
from gadfly.weights.json_scan import JsonScan

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def scan(text):
    return JsonScan(Path("a"), text, "the header")


@given(strings=st.dictionaries(st.text(), st.text()), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_strings(strings, ascii_only, indent):
    reading = scan(json.dumps(strings, ensure_ascii=ascii_only, indent=indent))
    assert {name: reading.string("x") for name in reading.members("y", 1000)} == strings
    reading.end()


@given(numbers=st.lists(st.integers(0, 2**64), max_size=64), indent=st.sampled_from([None, 1]))
def test_numbers(numbers, indent):
    assert scan(json.dumps(numbers, indent=indent)).numbers("x") == tuple(numbers)


@given(value=anything)
def test_any_value_is_stepped_over(value):
    reading = scan(json.dumps({"skipped": value, "taken": "x"}))
    found = {}
    for name in reading.members("y", 2):
        if name == "skipped":
            reading.skip("z")
        else:
            found[name] = reading.string("z")
    reading.end()
    assert found == {"taken": "x"}


@given(text=st.text('{}[]":,\\u0123eE+-. \n', max_size=60) | st.text())
def test_what_is_taken_is_json(text):
    for read in (lambda s: s.string("x"), lambda s: s.numbers("x")):
        reading = scan(text)
        try:
            value = read(reading)
            reading.end()
        except ModelFileError as error:
            assert "\n" not in str(error)
        else:
            assert json.loads(text) == (value if isinstance(value, str) else list(value))


@pytest.mark.parametrize(
    "text", ["007", "[007]", "[1,]", "[1 2]", "[-1]", "[1.0]", "[1e3]", "[+1]", "[,]", "[true]", "["]
)
def test_what_are_no_numbers(text):
    with pytest.raises(ModelFileError, match="expected a short list of integers"):
        scan(text).numbers("x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends in y; expected '{'"),
        ("[]", "has '[]' at character 0, in y; expected '{'"),
        ('{"a"', "ends in 'a' in y; expected ':'"),
        ('{"a":1,}', "expected a string"),
        ('{"a":1 "b":2}', "expected ','"),
        ('{"a":1,"a":2}', "'a' appears twice in y"),
        (r'{"a":1,"\u0061":2}', "'a' appears twice in y"),
        ('{"a":1,"b":2,"c":3}', "y has more than 2 members"),
        ('{"a":' + "[" * 65 + "]" * 65 + "}", "more than 64 deep"),
        ('{"a":[}]', "expected a value"),
        ('{"a":}', "expected a value"),
        (r'{"\ud800":1}', "is not valid Unicode"),
        ('{"a\nb":1}', "expected a string"),
        ('{"a":1} x', "in the header; expected its end"),
    ],
)
def test_what_is_refused(text, message):
    reading = scan(text)
    with pytest.raises(ModelFileError) as caught:
        for _ in reading.members("y", 2):
            reading.skip("z")
        reading.end()
    assert message in str(caught.value)
