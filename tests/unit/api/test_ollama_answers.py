"""Chat and generate as Ollama sends them: lines to the letter, and everything as Ollama's own client parses it."""

from typing import Any

import pytest
from ollama import ChatResponse, GenerateResponse

from gadfly.api.answer import collect
from gadfly.api.ollama_answers import OllamaStream, loaded, ollama_answer, timestamp
from gadfly.conversation import AnswerEvent
from wire import ANSWERS, CALLS, CANCELLED, CUT, LIKELY, SHORT, STAMP, STOPPED, THOUGHT, strict

HEAD = {"model": "smollm2", "created_at": "2027-01-15T08:00:00.250000Z"}
END = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 2_750_000_000,
    "load_duration": 2_000_000_000,
    "prompt_eval_count": 9,
    "prompt_eval_duration": 250_000_000,
    "eval_count": 5,
    "eval_duration": 500_000_000,
}


def sent(events: list[AnswerEvent], kind: Any = "chat") -> list[dict[str, Any]]:
    stream = OllamaStream(STAMP, kind, load_seconds=2.0)
    return [each for event in events for each in stream.events(event)]


def test_lines_of_chat() -> None:
    assert sent(SHORT) == [
        {**HEAD, "message": {"role": "assistant", "content": "Hi"}, "done": False},
        {**HEAD, "message": {"role": "assistant", "content": " you"}, "done": False},
        {**HEAD, "message": {"role": "assistant", "content": ""}, **END},
    ]


def test_lines_of_generate() -> None:
    assert sent(THOUGHT, "generate") == [
        {**HEAD, "response": "", "thinking": "Hm", "done": False},
        {**HEAD, "response": "", "thinking": ".", "done": False},
        {**HEAD, "response": "Hi", "done": False},
        {**HEAD, "response": "", **END},
    ]


def test_a_call_is_sent_when_it_is_whole() -> None:
    first, second = (
        {"id": "call_a", "function": {"index": 0, "name": "look", "arguments": {"at": "sky"}}},
        {"id": "call_b", "function": {"index": 1, "name": "wait", "arguments": {}}},
    )
    calls = [each["message"].get("tool_calls") for each in sent(CALLS)]
    assert calls == [None, [first], [second], None]
    stream = OllamaStream(STAMP, "chat")
    assert [len(stream.events(event)) for event in CALLS] == [1, 0, 0, 0, 1, 2]
    message = ollama_answer(collect(CALLS), STAMP, "chat")["message"]
    assert message == {"role": "assistant", "content": "Wait", "tool_calls": [first, second]}


@pytest.mark.parametrize("events", ANSWERS)
def test_the_client_finds_nothing_wrong_and_lines_say_what_a_body_says(events: list[AnswerEvent]) -> None:
    body = strict(ChatResponse, ollama_answer(collect(events), STAMP, "chat", 2.0))
    lines = [strict(ChatResponse, each) for each in sent(events)]
    assert "".join(line.message.content or "" for line in lines) == body.message.content
    assert "".join(line.message.thinking or "" for line in lines) == (body.message.thinking or "")
    assert [call for line in lines for call in line.message.tool_calls or []] == (body.message.tool_calls or [])
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1].eval_count, lines[-1].done_reason) == (body.eval_count, body.done_reason)
    assert lines[-1].total_duration == body.total_duration

    text = strict(GenerateResponse, ollama_answer(collect(events), STAMP, "generate"))
    pieces = [strict(GenerateResponse, each).response or "" for each in sent(events, "generate")]
    assert "".join(pieces) == text.response == body.message.content


def test_why_it_is_done() -> None:
    reasons = [ollama_answer(collect(each), STAMP, "chat")["done_reason"] for each in (SHORT, CALLS, CUT, CANCELLED)]
    assert reasons == ["stop", "stop", "length", "length"]


def test_log_probabilities_and_truncation() -> None:
    assert [token["token"] for token in ollama_answer(collect(LIKELY), STAMP, "chat")["logprobs"]] == ["Hi", "�"]
    assert [each.get("logprobs", [{}])[0].get("token") for each in sent(LIKELY)] == ["Hi", "�", None]
    assert ollama_answer(collect(STOPPED), STAMP, "chat")["dropped_messages"] == 2


def test_a_model_that_was_only_to_be_loaded() -> None:
    assert loaded(STAMP, "generate", "load") == {**HEAD, "response": "", "done": True, "done_reason": "load"}
    assert strict(ChatResponse, loaded(STAMP, "chat", "unload")).done_reason == "unload"


def test_a_second_without_a_fraction_keeps_its_shape() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
