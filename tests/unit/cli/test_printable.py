import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.cli.printable import printable

ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@given(st.text(st.characters()))
def test_nothing_is_left_that_a_terminal_obeys_or_cannot_show(text: str):
    shown = printable(text)
    assert not ORDERS.search(shown)
    shown.encode()
    assert printable(shown) == shown


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\u202a\u202b\u202c\u202d\u202e")))
def test_words_of_any_language_stay(text: str):
    assert printable(text) == text or re.search("[\u2066-\u2069]", text)


@given(st.lists(st.text(st.characters())))
def test_pieces_are_as_safe_as_the_whole(pieces: list[str]):
    assert "".join(map(printable, pieces)) == printable("".join(pieces))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]52;c;ZWNobyBoaQ==\x07", "]52;c;ZWNobyBoaQ=="),
        ("safe\rsudo", "safesudo"),
        ("C1 \x9b31m", "C1 31m"),
        ("a\u202etxt.exe", "a<U+202E>txt.exe"),
        ("tab\tand\nline, ÿ, 👩‍👩‍👧, עברית", "tab\tand\nline, ÿ, 👩‍👩‍👧, עברית"),
    ],
)
def test_examples(text: str, shown: str):
    assert printable(text) == shown
