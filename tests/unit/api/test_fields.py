"""Access to JSON that may hold anything: what each kind of field takes, and what it says about the rest."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.api.fields import NESTING_LIMIT, Fields, check_json, check_text
from gadfly.errors import RequestError

SOME = {
    "text": "Hi",
    "true": True,
    "one": 1,
    "whole": 2.0,
    "half": 0.5,
    "list": [1],
    "table": {"a": {"b": 1}},
    "null": None,
    "": "empty name",
}


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda f: f.text("text"), "Hi"),
        (lambda f: f.text("null"), None),
        (lambda f: f.text("absent", "Yo"), "Yo"),
        (lambda f: f.text("null", "Yo"), "Yo"),
        (lambda f: f.need_text("text", 2), "Hi"),
        (lambda f: f.flag("true"), True),
        (lambda f: f.flag("absent"), False),
        (lambda f: f.flag("absent", None), None),
        (lambda f: f.number("one", 0, 1), 1),
        (lambda f: f.number("half", 0, 1), 0.5),
        (lambda f: f.number("absent", 0, 1), None),
        (lambda f: f.whole("whole", 0, 2), 2),
        (lambda f: f.whole("absent", 0, 2, 1), 1),
        (lambda f: f.one_of("text", ("Hi", "Yo"), "Yo"), "Hi"),
        (lambda f: f.one_of("absent", ("Hi", "Yo"), "Yo"), "Yo"),
        (lambda f: f.need_one_of("text", ("Hi", "Yo")), "Hi"),
        (lambda f: f.table("table").table("a").whole("b", 0, 1), 1),
        (lambda f: f.table("absent"), None),
        (lambda f: list(f.items("list", 1)), [("list[0]", 1)]),
        (lambda f: list(f.items("absent", 1)), []),
        (lambda f: f.json("table"), {"a": {"b": 1}}),
        (lambda f: f.json("absent"), {}),
        (lambda f: "null" in f, False),
        (lambda f: f["half"], 0.5),
    ],
)
def test_what_is_taken(read: Callable[[Fields], Any], value: object) -> None:
    found = read(Fields(SOME))
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda f: f.text("one"), "one is 1; expected a text"),
        (lambda f: f.text("text", most=1), "text has 2 characters; expected at most 1"),
        (lambda f: f.need_text("absent"), "absent is missing; expected a text that is not empty"),
        (lambda f: f.flag("one"), "one is 1; expected true or false"),
        (lambda f: f.number("text", 0, 1), "text is 'Hi'; expected a number from 0 to 1"),
        (lambda f: f.number("true", 0, 1), "true is true; expected a number from 0 to 1"),
        (lambda f: f.number("one", 2, 3), "one is 1; expected a number from 2 to 3"),
        (lambda f: f.whole("half", 0, 2), "half is 0.5; expected a whole number from 0 to 2"),
        (lambda f: f.one_of("text", ("a", "b"), "b"), "text is 'Hi'; expected one of a, b"),
        (lambda f: f.one_of("list", ("a", "b"), "b"), "list is an array of 1; expected one of a, b"),
        (lambda f: f.need_one_of("absent", ("a", "b")), "absent is missing; expected one of a, b"),
        (lambda f: f.table("list"), "list is an array of 1; expected an object"),
        (lambda f: f.need_table("absent"), "absent is missing; expected an object"),
        (lambda f: f.table("table").need_text("a"), "table.a is an object; expected a text that is not empty"),
        (lambda f: list(f.items("table", 9)), "table is an object; expected an array of at most 9 elements"),
        (lambda f: list(f.items("list", 0)), "list is an array of 1; expected an array of at most 0 elements"),
        (lambda f: list(f.tables("list", 9)), "list[0] is 1; expected an object"),
        (lambda f: f.json("text"), "text is 'Hi'; expected an object"),
    ],
)
def test_what_is_refused(read: Callable[[Fields], Any], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(Fields(SOME))
    assert str(caught.value) == message
    assert caught.value.parameter == message.split()[0]


def test_values_are_shown_short() -> None:
    fields = Fields({"long": "a" * 1000, "huge": 10**5000})
    with pytest.raises(RequestError, match=r"long is 'a{40}'\.\.\.; expected"):
        fields.flag("long")
    with pytest.raises(RequestError, match="huge is a huge number; expected"):
        fields.number("huge", 0, 1)


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(RequestError, match="text has half a character at 1") as caught:
        check_text("a\ud83d", "text")
    assert caught.value.parameter == "text"
    assert check_text("a😀", "text") == "a😀"


def nested(levels: int) -> object:
    found: object = 1
    for level in range(levels):
        found = [found] if level % 2 else {"a": found}
    return found


def test_depth_has_a_limit_and_measuring_it_has_none() -> None:
    check_json(nested(NESTING_LIMIT), "schema")
    for levels in (NESTING_LIMIT + 1, 100_000):
        with pytest.raises(RequestError, match="schema is nested more than 64 deep"):
            check_json(nested(levels), "schema")


@pytest.mark.parametrize("value", [{"a": [float("nan")]}, [float("inf")], {"\ud800": 1}, {"a": "\udfff"}])
def test_json_that_cannot_be_written_again_is_refused(value: object) -> None:
    with pytest.raises(RequestError, match="schema"):
        check_json(value, "schema")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_all_other_json_is_fine(value: object) -> None:
    check_json(value, "schema")
