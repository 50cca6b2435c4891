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


flat = st.dictionaries(
    st.text(st.characters(exclude_characters="{}"), max_size=5),
    st.text(st.characters(exclude_characters="{}"), max_size=5) | st.lists(st.integers(), max_size=4) | st.none(),
    max_size=4,
)


@given(values=flat, indent=st.sampled_from([None, 1]))
def test_small_objects(values, indent):
    reading = scan(json.dumps(values, indent=indent))
    assert reading.small_object("x") == values
    reading.end()


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
    for read in (lambda s: s.string("x"), lambda s: s.small_object("x")):
        reading = scan(text)
        try:
            value = read(reading)
            reading.end()
        except ModelFileError as error:
            assert "\n" not in str(error)
        else:
            assert json.loads(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":{}}', "expected a small object"),
        ("[1]", "expected a small object"),
        ('{"a"', "expected a small object"),
        ("", "ends in x; expected a small object"),
        ('{"a":"' + "b" * 4096 + '"}', "expected a small object"),
        ('{"a":1,"a":1}', "where a name appears twice"),
        ('{"a":007}', "which is not sound JSON"),
        ('{"a":' + "[" * 4000 + "}", "which is not sound JSON"),
    ],
)
def test_what_are_no_small_objects(text, message):
    with pytest.raises(ModelFileError) as caught:
        scan(text).small_object("x")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


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
