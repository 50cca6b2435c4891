import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.conversation import ReasoningDelta, TextDelta, ToolCallStart
from gadfly.text.reader import AnswerReader
from gadfly.text.thought import ThoughtReader, thought_marks
from gadfly.text.tool_calls import ToolCallReader
from gadfly.text.tool_dialect import HERMES


def split(pieces, begun=False):
    """The thought and the text."""
    reader = ThoughtReader("<think>", "</think>", begun)
    parts = [part for piece in pieces for part in reader.push(piece)] + reader.flush()
    assert reader.held == 0 and all(text for _, text in parts)
    assert [kind for kind, _ in parts] == sorted((kind for kind, _ in parts), key=["thought", "text"].index)
    return tuple("".join(text for kind, text in parts if kind == wanted) for wanted in ("thought", "text"))


@pytest.mark.parametrize(
    ("text", "begun", "expected"),
    [
        ("<think>\nHm. </thi\n</think>\n\nYes. ", False, ("Hm. </thi", "Yes. ")),
        ("\nHm.\n</think>\n\nYes.", True, ("Hm.", "Yes.")),
        (" \n<think>a</think>b", False, ("a", "b")),
        ("<think></think>b", False, ("", "b")),
        ("<think>never ends ", False, ("never ends", "")),
        ("<think>a</think> \n", False, ("a", "")),
        ("Yes. <think>a</think>", False, ("", "Yes. <think>a</think>")),
        ("<thin air", False, ("", "<thin air")),
        ("<thin", False, ("", "<thin")),
        ("  ", False, ("", "  ")),
        ("<think>a</think>b</think>c", False, ("a", "b</think>c")),
        ("", True, ("", "")),
    ],
)
def test_thoughts_are_told_from_text_however_it_arrives(text, begun, expected):
    assert split([text], begun) == expected
    assert split(text, begun) == expected
    for cut in range(len(text)):
        assert split([text[:cut], text[cut:]], begun) == expected


PARTS = st.lists(st.sampled_from(["<think>", "</think>", "<th", "</", ">", " ", "\n", "a", "b c"]), max_size=12)


@given(PARTS, st.booleans())
def test_any_cut_of_any_text_gives_the_same(parts, begun):
    assert split(parts, begun) == split(["".join(parts)], begun) == split("".join(parts), begun)


def test_marks_are_those_of_the_template_or_the_vocabulary():
    assert thought_marks("{{ content.split('</think>') }}", frozenset()) == ("<think>", "</think>")
    assert thought_marks("", frozenset(["[THINK]"])) == ("[THINK]", "[/THINK]")
    assert thought_marks("{{ content }}", frozenset(["<s>"])) is None


def test_an_answer_has_thought_text_and_calls():
    def events(pieces):
        calls = ToolCallReader(HERMES, frozenset(["f"]), lambda: "id")
        reader = AnswerReader(ThoughtReader("<think>", "</think>"), calls)
        found = [event for piece in pieces for event in reader.push(piece)] + reader.flush()
        assert reader.called and reader.held == 0
        return found

    text = '<think>a <tool_call></think>b <tool_call>{"name": "f"}</tool_call>'
    assert [type(event) for event in events([text])][:3] == [ReasoningDelta, TextDelta, ToolCallStart]
    assert "".join(event.text for event in events(text) if isinstance(event, ReasoningDelta)) == "a <tool_call>"
    assert "".join(event.text for event in events(text) if isinstance(event, TextDelta)) == "b"
