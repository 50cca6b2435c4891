"""Answers put together from their events."""

import pytest

from gadfly.api.answer import Answer, collect, tally
from gadfly.completion import Usage
from gadfly.conversation import AnswerEvent, Finished, Message, TextDelta, ToolCall, ToolCallDelta, ToolCallStart
from wire import ANSWERS, CALLS, HALF, HI, LIKELY, THOUGHT, USAGE


def test_all_parts_are_kept() -> None:
    thought, calls, likely = collect(THOUGHT), collect(CALLS), collect(LIKELY)
    assert (thought.reasoning, thought.text, thought.finished) == ("Hm.", "Hi", THOUGHT[-1])
    assert calls.tool_calls == [ToolCall("call_a", "look", '{"at":"sky"}'), ToolCall("call_b", "wait", "")]
    assert likely.logprobs == [HI, HALF]
    assert thought.message == Message("assistant", "Hi", "Hm.")
    assert calls.message == Message("assistant", "Wait", tool_calls=tuple(calls.tool_calls))


@pytest.mark.parametrize("events", ANSWERS)
def test_its_own_events_make_the_same_answer(events: list[AnswerEvent]) -> None:
    answer = collect(events)
    again = collect(answer.events())
    assert (again.message, again.logprobs, again.end) == (answer.message, answer.logprobs, answer.end)


def test_an_answer_that_is_not_finished_has_no_end() -> None:
    answer = Answer()
    answer.add(TextDelta("Hi"))
    assert answer.finished is None
    with pytest.raises(ValueError, match="not finished"):
        _ = answer.end


def test_calls_are_counted_without_gaps() -> None:
    with pytest.raises(ValueError, match="tool call 1 starts after 0"):
        collect([ToolCallStart(1, "a", "look")])
    with pytest.raises(IndexError):
        collect([ToolCallDelta(0, "{}")])


def test_a_prompt_with_many_answers_counts_once() -> None:
    first = Finished("stop", USAGE, reasoning_tokens=1)
    other = Finished("stop", Usage(100, 50, 7, 0, 0))
    spent = tally([first, other, other, first], n=2)
    assert (spent.prompt, spent.cached, spent.answer, spent.reasoning) == (109, 54, 24, 2)
