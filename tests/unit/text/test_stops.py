from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import RequestError
from gadfly.text import StopStrings

letters = st.text("ab", max_size=30)
stops = st.text("ab", min_size=1, max_size=5)


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    borders = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(borders)] or [""]


def run(strings: list[str], pieces: list[str]) -> tuple[str, bool]:
    watch = StopStrings(strings)
    shown = ""
    for piece in pieces:
        part, stopped = watch.push(piece)
        shown += part
        if stopped:
            assert watch.push("more") == ("", True)
            assert watch.flush() == ""
            return shown, True
    return shown + watch.flush(), False


@given(letters, stops, st.lists(st.integers(0, 30)))
def test_one_as_find_does_it(text: str, stop: str, cuts: list[int]) -> None:
    at = text.find(stop)
    assert run([stop], in_pieces(text, cuts)) == ((text, False) if at < 0 else (text[:at], True))


@given(letters, st.lists(stops, max_size=4), st.lists(st.integers(0, 30)))
def test_many_stop_at_the_first_that_is_complete(text: str, strings: list[str], cuts: list[int]) -> None:
    expected = (text, False)
    for end in range(len(text) + 1):
        if complete := [stop for stop in strings if text[:end].endswith(stop)]:
            expected = (text[: end - max(map(len, complete))], True)
            break
    assert run(strings, in_pieces(text, cuts)) == expected


@given(letters, st.lists(stops, max_size=4))
def test_holds_back_no_more_than_it_has_to(text: str, strings: list[str]) -> None:
    watch = StopStrings(strings)
    shown = ""
    for i, character in enumerate(text, 1):
        part, stopped = watch.push(character)
        shown += part
        if stopped:
            return
        held = text[len(shown) : i]
        assert not held or any(stop.startswith(held) for stop in strings)
        assert not any(text[:i].endswith(stop[:n]) for stop in strings for n in range(len(held) + 1, len(stop)))


def test_a_long_one_costs_no_more() -> None:
    stop = "a" * 20_000 + "b"
    assert run([stop], ["a"] * 40_000) == ("a" * 40_000, False)


def test_nothing_is_no_stop() -> None:
    assert StopStrings([]).push("text") == ("text", False)
    with pytest.raises(RequestError, match="empty"):
        StopStrings(["a", ""])
