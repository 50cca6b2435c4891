"""What a teacher could have said instead: there and back, and nothing of it is trusted."""

import pytest

from gadfly.api.openai_chat import logprob_objects
from gadfly.conversation import TokenLogprob
from gadfly.train.data.likely import Choice, choices_of, choices_said, written

CHOICES = (
    Choice(b"Rain", ((b"Rain", -0.25), (b" It", -2.5))),
    Choice(b"\xc3", ((b"\xc3", -0.5),)),
    Choice(b"\xa9", ()),
)


def test_a_line_keeps_what_was_likely() -> None:
    said = written(CHOICES)
    assert said == [["Rain", [["Rain", -0.25], [" It", -2.5]]], [[0xC3], [[[0xC3], -0.5]]], [[0xA9], []]]
    assert choices_of(said, "it") == CHOICES


def test_what_our_server_says_is_understood() -> None:
    def one(data: bytes, logprob: float, *top: TokenLogprob) -> TokenLogprob:
        return TokenLogprob(0, data.decode(errors="replace"), data, logprob, top)

    tokens = [one(c.said, -9.0, *(one(data, value) for data, value in c.likely)) for c in CHOICES]
    assert choices_said({"logprobs": {"content": logprob_objects(tokens)}}) == CHOICES
    bare = {"token": "é", "logprob": -1, "top_logprobs": [{"token": "é", "logprob": -1, "bytes": None}]}
    assert choices_said({"logprobs": {"content": [bare]}}) == (Choice("é".encode(), (("é".encode(), -1.0),)),)
    for nothing in ({}, {"logprobs": None}, {"logprobs": {"content": None}}, {"logprobs": {"content": [{}]}}, 3):
        with pytest.raises(ValueError, match="says nothing of what else was likely"):
            choices_said(nothing)


def test_what_is_all_but_impossible_stays_a_number() -> None:
    for tiny in (float("-inf"), -1e300, -(10**400)):
        assert choices_of([["a", [["a", tiny]]]], "it") == (Choice(b"a", ((b"a", -1e4),)),)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("text", "is text; expected a list"),
        ([], "expected a list"),
        ([3], "cannot unpack"),
        ([["a", [["a", 0.5]]]], "0.5 is no log-probability"),
        ([["a", [["a", float("nan")]]]], "no log-probability"),
        ([["a", [["a", 10**400]]]], "no log-probability"),
        ([["a", [["a", True]]]], "no log-probability"),
        ([["a", [["a", -1.0]] * 21]], "in place of up to 20 tokens"),
        ([["a", "b"]], "in place of up to 20 tokens"),
        ([[[300], []]], "bytes must be in range"),
        ([[{}, []]], "in place of a token"),
    ],
)
def test_what_is_something_else_is_said(given: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        choices_of(given, "it")
