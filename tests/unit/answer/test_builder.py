import pytest

from gadfly.answer.builder import AnswerBuilder
from gadfly.completion import Usage
from gadfly.conversation import Finished, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallStart
from gadfly.engine import Likelihood
from gadfly.testing import ByteTokenizer
from gadfly.text import AnswerReader, StopStrings, ThoughtReader, ToolCallReader
from gadfly.text.tool_dialect import HERMES

USAGE = Usage(7, 3, 99, 1.0, 2.0)
TOKENIZER = ByteTokenizer()


def build(stop=(), reader=None, **options):
    return AnswerBuilder(TOKENIZER, StopStrings(stop), reader, **options)


def push(builder, text, scored=False):
    events = []
    for token in TOKENIZER.encode(text):
        events += builder.push(token, Likelihood(token, -1.0) if scored else None)
    return events


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_tokens_become_text_and_an_end_with_their_count():
    builder = build(dropped=4)
    events = push(builder, "Äh") + builder.finish("length", USAGE)
    assert events == [
        TextDelta("Ä"),
        TextDelta("h"),
        Finished("length", Usage(7, 3, 3, 1.0, 2.0), dropped=4),
    ]


def test_a_stop_string_ends_the_answer_is_named_and_tokens_after_it_do_not_count():
    builder = build(["lo", "END"])
    events = push(builder, "Hello END")
    assert text_of(events) == "Hel" and builder.stopped
    (end,) = builder.finish("length", USAGE)
    assert (end.reason, end.stop, end.usage.completion_tokens) == ("stop", "lo", 5)


def test_what_was_held_for_a_stop_string_is_given_back_at_the_end():
    builder = build(["END"])
    events = push(builder, "the E") + builder.finish("stop", USAGE)
    assert text_of(events) == "the E"


def test_a_character_that_was_not_completed_is_a_replacement_at_the_end():
    builder = build()
    assert builder.push(0xE2) == []
    assert text_of(builder.finish("length", USAGE)) == "\ufffd"


def test_log_probabilities_come_with_the_text_of_their_tokens():
    builder = build(["XY"])
    first = push(builder, "aXb", scored=True)
    assert [(event.text, [one.text for one in event.logprobs]) for event in first] == [
        ("a", ["a"]),
        ("Xb", ["X", "b"]),
    ]
    rest = push(builder, "cX", scored=True) + push(builder, "Y", scored=True) + builder.finish("stop", USAGE)
    assert [one.text for event in rest[:-1] for one in event.logprobs] == ["c"]


def test_bytes_of_a_character_come_together():
    builder = build()
    (event,) = push(builder, "Ä", scored=True)
    assert [one.bytes for one in event.logprobs] == [b"\xc3", b"\x84"]
    assert event.logprobs[0].text == "\ufffd"


def test_tokens_without_text_are_listed_at_the_end():
    builder = build()
    assert builder.push(256, Likelihood(256, -2.0, ((256, -2.0), (1, -3.0)))) == []
    last, _ = builder.finish("length", USAGE)
    assert last.text == "" and last.logprobs[0].bytes == b"<|im_start|>"
    assert [one.id for one in last.logprobs[0].top] == [256, 1]


def test_thoughts_and_calls_have_no_log_probabilities_and_no_stop_strings():
    names = frozenset(["f"])
    reader = AnswerReader(ThoughtReader("<think>", "</think>"), ToolCallReader(HERMES, names, lambda: "id"))
    builder = build(["stop"], reader)
    text = '<think>stop</think>ok <tool_call>{"name": "f", "arguments": {"stop": 1}}</tool_call>'
    events = push(builder, text, scored=True) + builder.finish("stop", USAGE)
    assert {type(event) for event in events} == {ReasoningDelta, TextDelta, ToolCallStart, ToolCallDelta, Finished}
    assert text_of(events) == "ok"
    assert [one.text for event in events if isinstance(event, TextDelta) for one in event.logprobs] == ["o", "k"]
    assert events[-1].reason == "tool_calls"
    assert events[-1].reasoning_tokens == len(">stop</think>"), "from the character on that made it a thought"


def test_text_held_for_a_stop_string_comes_before_a_call():
    reader = AnswerReader(calls=ToolCallReader(HERMES, frozenset(["f"]), lambda: "id"))
    builder = build(["sss"], reader)
    events = push(builder, 'yes<tool_call>{"name": "f"}</tool_call>')
    assert [type(event) for event in events][-2:] == [ToolCallStart, ToolCallDelta]
    assert text_of(events[:-2]) == "yes"


def test_a_call_that_is_cut_off_before_its_name_leaves_nothing_behind():
    reader = AnswerReader(calls=ToolCallReader(HERMES, frozenset(["f"]), lambda: "id"))
    builder = build(["sss"], reader)
    events = push(builder, 'yes<tool_call>{"na', scored=True) + builder.finish("length", USAGE)
    assert text_of(events) == "yes" and events[-1].reason == "length"
    assert [one.text for event in events[:-1] for one in event.logprobs] == ["y", "e", "s"]


@pytest.mark.parametrize(("reason", "told"), [("length", "length"), ("stop", "tool_calls")])
def test_a_call_that_ends_within_its_arguments_is_one(reason, told):
    reader = AnswerReader(calls=ToolCallReader(HERMES, frozenset(["f"]), lambda: "id"))
    builder = build((), reader)
    events = push(builder, '<tool_call>{"name": "f", "arguments": {"a') + builder.finish(reason, USAGE)
    assert [type(event) for event in events] == [ToolCallStart, *[ToolCallDelta] * 3, Finished]
    assert "".join(event.arguments for event in events[1:-1]) == '{"a' and events[-1].reason == told


def test_no_more_tokens_are_wanted_after_the_only_call_there_may_be():
    reader = AnswerReader(calls=ToolCallReader(HERMES, frozenset(["f"]), lambda: "id", most=1))
    builder = build((), reader)
    push(builder, '<tool_call>{"name": "f"}')
    assert builder.stopped
    assert builder.finish("length", USAGE)[-1].reason == "tool_calls"


@pytest.mark.parametrize("mark", ["<|im_start|>", None])
def test_control_tokens_have_text_if_the_reader_knows_it(mark):
    reader = AnswerReader(ThoughtReader("<|im_start|>", "!"))
    builder = build((), reader, marks={256: mark} if mark else {})
    events = builder.push(256) + push(builder, "a!b")
    assert text_of(events) == ("b" if mark else "a!b")


def test_a_prompt_may_be_the_beginning():
    builder = build()
    (event,) = builder.prompt([97, 98], [Likelihood(97, None), Likelihood(98, -0.5)])
    assert event.text == "ab" and [one.logprob for one in event.logprobs] == [None, -0.5]


def test_ids_alone_are_enough():
    builder = AnswerBuilder(None, StopStrings(()))
    builder.push(5, Likelihood(5, -1.0))
    last, end = builder.finish("length", USAGE)
    assert last.logprobs[0].id == 5 and end.usage.completion_tokens == 1
