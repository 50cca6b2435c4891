"""Messages as they are sent: streams to the letter, and everything as Anthropic's own SDK validates it."""

from typing import Any

import pytest
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent

from gadfly.api.answer import collect
from gadfly.api.anthropic_messages import MessageStream, message, token_count
from gadfly.conversation import AnswerEvent, Finished, TextDelta, ToolCallDelta, ToolCallStart
from wire import ANSWERS, CALLS, CANCELLED, CUT, SHORT, STAMP, STOPPED, THOUGHT, USAGE, strict

HEAD = {"id": "x-1", "type": "message", "role": "assistant", "model": "smollm2"}
SPENT = {"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 5}


def sent(events: list[AnswerEvent]) -> list[dict[str, Any]]:
    stream = MessageStream(STAMP, USAGE)
    return [each for event in events for each in stream.events(event)]


def test_a_stream() -> None:
    usage = {**SPENT, "output_tokens": 0}
    start = {**HEAD, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    assert sent(SHORT) == [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " you"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": SPENT},
        {"type": "message_stop"},
    ]


def test_blocks_follow_one_another() -> None:
    block = {"type": "tool_use", "id": "call_a", "name": "look", "input": {}}
    assert sent(CALLS)[3:] == [
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": block},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"at":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"sky"}'}},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {**block, "id": "call_b", "name": "wait"}},
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": SPENT},
        {"type": "message_stop"},
    ]


def test_a_body() -> None:
    assert message(collect(STOPPED), STAMP) == {
        **HEAD,
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "stop_sequence",
        "stop_sequence": "you",
        "usage": SPENT,
        "dropped_messages": 2,
    }
    assert message(collect(THOUGHT), STAMP)["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Hi"},
    ]
    assert message(collect(CALLS), STAMP)["content"][1:] == [
        {"type": "tool_use", "id": "call_a", "name": "look", "input": {"at": "sky"}},
        {"type": "tool_use", "id": "call_b", "name": "wait", "input": {}},
    ]


@pytest.mark.parametrize("events", ANSWERS)
def test_the_sdk_finds_nothing_wrong_and_a_stream_says_what_a_body_says(events: list[AnswerEvent]) -> None:
    body = strict(Message, message(collect(events), STAMP))
    wire = [strict(RawMessageStreamEvent, each) for each in sent(events)]  # type: ignore[type-var]
    assert (wire[0].type, wire[-1].type) == ("message_start", "message_stop")
    texts = [each.delta.text for each in wire if each.type == "content_block_delta" and each.delta.type == "text_delta"]
    assert "".join(texts) == "".join(block.text for block in body.content if block.type == "text")
    kinds = [each.content_block.type for each in wire if each.type == "content_block_start"]
    assert kinds == [block.type for block in body.content]
    (last,) = (each for each in wire if each.type == "message_delta")
    assert (last.delta.stop_reason, last.delta.stop_sequence) == (body.stop_reason, body.stop_sequence)
    assert last.usage.output_tokens == body.usage.output_tokens
    depth = 0
    for each in wire:
        depth += {"content_block_start": 1, "content_block_stop": -1}.get(each.type, 0)
        assert depth == (each.type in ("content_block_start", "content_block_delta"))


def test_what_ended_an_answer() -> None:
    reasons = [message(collect(events), STAMP)["stop_reason"] for events in (SHORT, STOPPED, CUT, CANCELLED, CALLS)]
    assert reasons == ["end_turn", "stop_sequence", "max_tokens", "max_tokens", "tool_use"]


@pytest.mark.parametrize("written", ['{"at":', "[1]", '{"at": NaN}', "[" * 100_000])
def test_arguments_that_are_no_object_are_handed_on_as_such(written: str) -> None:
    events = [ToolCallStart(0, "c", "look"), ToolCallDelta(0, written), Finished("length", USAGE)]
    (block,) = strict(Message, message(collect(events), STAMP)).content
    assert block.type == "tool_use" and block.input == {"INVALID_JSON": written}


def test_arguments_belong_to_the_call_that_is_open() -> None:
    stream = MessageStream(STAMP)
    stream.events(ToolCallStart(0, "a", "look"))
    with pytest.raises(ValueError, match="not open"):
        stream.events(ToolCallDelta(1, "{}"))
    stream.events(TextDelta("Hi"))
    with pytest.raises(ValueError, match="not open"):
        stream.events(ToolCallDelta(0, "{}"))


def test_tokens_are_counted() -> None:
    assert strict(MessageTokensCount, token_count(7)).input_tokens == 7
