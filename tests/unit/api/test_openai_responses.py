"""Responses as they are sent: streams to the letter, and everything as OpenAI's own SDK validates it."""

from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent

from gadfly.api.answer import collect
from gadfly.api.errors import Failure
from gadfly.api.openai_responses import ResponseStream, response
from gadfly.api.openai_responses_request import read_response
from gadfly.conversation import AnswerEvent, ToolCallDelta, ToolCallStart
from wire import ANSWERS, CALLS, CANCELLED, CUT, LIKELY, SHORT, STAMP, STOPPED, THOUGHT, strict

CALL = read_response({"input": "Hi"})
FULL = read_response(
    {
        "input": "Hi",
        "instructions": "Be brief.",
        "previous_response_id": "resp_0",
        "max_output_tokens": 9,
        "temperature": 0.5,
        "metadata": {"a": "b"},
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "function", "name": "look"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "truncation": "auto",
        "store": False,
    }
)


def sent(events: list[AnswerEvent]) -> list[dict[str, Any]]:
    stream = ResponseStream(STAMP, CALL)
    return [each for event in events for each in stream.events(event)]


def test_a_stream() -> None:
    first, second, *middle, last = sent(SHORT)
    assert [first["type"], second["type"]] == ["response.created", "response.in_progress"]
    assert first["response"] == second["response"]
    assert (first["response"]["status"], first["response"]["output"], first["response"]["usage"]) == (
        "in_progress",
        [],
        None,
    )
    place = {"item_id": "msg_x-1_0", "output_index": 0}
    item = {"type": "message", "id": "msg_x-1_0", "role": "assistant", "status": "completed"}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    whole = {**part, "text": "Hi you"}
    assert middle == [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
            "sequence_number": 2,
        },
        {"type": "response.content_part.added", **place, "content_index": 0, "part": part, "sequence_number": 3},
        {
            "type": "response.output_text.delta",
            **place,
            "content_index": 0,
            "delta": "Hi",
            "logprobs": [],
            "sequence_number": 4,
        },
        {
            "type": "response.output_text.delta",
            **place,
            "content_index": 0,
            "delta": " you",
            "logprobs": [],
            "sequence_number": 5,
        },
        {
            "type": "response.output_text.done",
            **place,
            "content_index": 0,
            "text": "Hi you",
            "logprobs": [],
            "sequence_number": 6,
        },
        {"type": "response.content_part.done", **place, "content_index": 0, "part": whole, "sequence_number": 7},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "content": [whole]},
            "sequence_number": 8,
        },
    ]
    assert (last["type"], last["sequence_number"]) == ("response.completed", 9)
    assert last["response"]["output"] == [{**item, "content": [whole]}]
    assert last["response"]["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 14,
    }


def test_thoughts_and_calls_are_items_of_their_own() -> None:
    assert [each["type"].removeprefix("response.") for each in sent(THOUGHT)] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    calls = sent(CALLS)
    assert [each["type"].removeprefix("response.") for each in calls[8:]] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert calls[12]["item"] == {
        "type": "function_call",
        "id": "fc_x-1_1",
        "call_id": "call_a",
        "name": "look",
        "arguments": '{"at":"sky"}',
        "status": "completed",
    }


@pytest.mark.parametrize("call", [CALL, FULL])
@pytest.mark.parametrize("events", ANSWERS)
def test_the_sdk_finds_nothing_wrong_and_a_stream_ends_with_the_body(events: list[AnswerEvent], call: Any) -> None:
    stream = ResponseStream(STAMP, call)
    wire = [each for event in events for each in stream.events(event)]
    for number, each in enumerate(wire):
        assert strict(ResponseStreamEvent, each).sequence_number == number  # type: ignore[arg-type, attr-defined]
    body = response(collect(events), STAMP, call)
    assert body == wire[-1]["response"]
    assert strict(Response, body).output_text == collect(events).text


def test_a_body_repeats_what_was_asked() -> None:
    body = strict(Response, response(collect(SHORT), STAMP, FULL))
    assert (body.instructions, body.previous_response_id, body.max_output_tokens) == ("Be brief.", "resp_0", 9)
    assert (body.temperature, body.truncation, body.metadata) == (0.5, "auto", {"a": "b"})
    assert body.tools[0].type == "function" and body.tools[0].strict and not body.parallel_tool_calls
    assert body.tool_choice.type == "function" and body.tool_choice.name == "look"  # type: ignore[union-attr]
    assert body.text is not None and body.text.format is not None and body.text.format.type == "json_schema"


def test_an_answer_that_was_cut_short_is_incomplete() -> None:
    last = sent(CUT)[-1]
    assert last["type"] == "response.incomplete" and last["response"]["status"] == "incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["status"] == "incomplete"
    assert sent(CANCELLED)[-1]["response"]["incomplete_details"] == {"reason": None}


def test_who_allowed_truncation_is_told_of_it() -> None:
    assert response(collect(STOPPED), STAMP, CALL)["dropped_messages"] == 2


def test_log_probabilities_stand_beside_the_text() -> None:
    deltas = [each for each in sent(LIKELY) if each["type"] == "response.output_text.delta"]
    assert [[token["token"] for token in each["logprobs"]] for each in deltas] == [["Hi"], ["�"]]
    (item,) = response(collect(LIKELY), STAMP, CALL)["output"]
    assert [token["logprob"] for token in item["content"][0]["logprobs"]] == [-0.5, -0.25]


@pytest.mark.parametrize(
    ("kind", "code"), [("busy", "server_error"), ("too_many", "rate_limit_exceeded"), ("invalid", "invalid_prompt")]
)
def test_a_stream_may_fail(kind: Any, code: str) -> None:
    stream = ResponseStream(STAMP, CALL)
    stream.events(SHORT[0])
    (last,) = stream.failed(Failure(kind, "Sorry."))
    parsed = strict(ResponseStreamEvent, last)  # type: ignore[arg-type]
    assert parsed.type == "response.failed" and last["sequence_number"] == 5  # type: ignore[attr-defined]
    assert last["response"]["error"] == {"code": code, "message": "Sorry."}
    assert [each["type"] for each in ResponseStream(STAMP, CALL).failed(Failure(kind, "Sorry."))] == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]


def test_arguments_belong_to_the_call_that_is_open() -> None:
    stream = ResponseStream(STAMP, CALL)
    stream.events(ToolCallStart(0, "a", "look"))
    with pytest.raises(ValueError, match="not open"):
        stream.events(ToolCallDelta(1, "{}"))
