"""Chat completions as they are sent: streams to the letter, and everything as OpenAI's own SDK validates it."""

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gadfly.api.answer import collect, spent
from gadfly.api.openai_chat import ChatStream, chat_completion
from gadfly.completion import Usage
from gadfly.conversation import AnswerEvent, TextDelta
from wire import ANSWERS, CALLS, CANCELLED, CUT, LIKELY, SHORT, STAMP, STOPPED, THOUGHT, strict

HEAD = {
    "id": "x-1",
    "object": "chat.completion.chunk",
    "created": 1_800_000_000,
    "model": "smollm2",
    "system_fingerprint": "fp_1",
}
ROLE = {"role": "assistant", "content": "", "refusal": None}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**HEAD, "choices": [choice], **more}


def sent(events: list[AnswerEvent], stream: ChatStream) -> list[dict[str, object]]:
    return [each for event in events for each in stream.events(event)]


def test_a_stream() -> None:
    assert sent(SHORT, ChatStream(STAMP)) == [
        chunk(ROLE),
        chunk({"content": "Hi"}),
        chunk({"content": " you"}),
        chunk({}, "stop"),
    ]


def test_a_stream_with_usage_says_so_in_every_chunk() -> None:
    assert sent(SHORT, ChatStream(STAMP, include_usage=True)) == [
        chunk(ROLE, usage=None),
        chunk({"content": "Hi"}, usage=None),
        chunk({"content": " you"}, usage=None),
        chunk({}, "stop", usage=None),
        {**HEAD, "choices": [], "usage": USAGE},
    ]


def test_calls_of_tools_begin_with_a_name_and_go_on_with_arguments() -> None:
    def call(index: int, function: dict[str, str], **more: str) -> dict[str, object]:
        return chunk({"tool_calls": [{"index": index, **more, "function": function}]})

    assert sent(CALLS, ChatStream(STAMP))[2:] == [
        call(0, {"name": "look", "arguments": ""}, id="call_a", type="function"),
        call(0, {"arguments": '{"at":'}),
        call(0, {"arguments": '"sky"}'}),
        call(1, {"name": "wait", "arguments": ""}, id="call_b", type="function"),
        chunk({}, "tool_calls"),
    ]


def test_thoughts_come_as_reasoning_content() -> None:
    deltas = [each["choices"][0]["delta"] for each in sent(THOUGHT, ChatStream(STAMP))]  # type: ignore[index]
    assert deltas == [ROLE, {"reasoning_content": "Hm"}, {"reasoning_content": "."}, {"content": "Hi"}, {}]
    body = chat_completion([collect(THOUGHT)], STAMP)
    message = body["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "Hi", "refusal": None, "reasoning_content": "Hm."}
    assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_choices_begin_and_end_each_for_itself_and_the_prompt_counts_once() -> None:
    stream = ChatStream(STAMP, n=2, include_usage=True)
    chunks = sent(SHORT[:1], stream)
    for event in CUT:
        chunks += stream.events(event, 1)
    assert [[choice["index"] for choice in each["choices"]] for each in chunks] == [[0], [0], [1], [1], [1]]
    *_, last, usage = stream.events(SHORT[-1], 0)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == [] and usage["usage"] == {**USAGE, "completion_tokens": 10, "total_tokens": 19}
    both = chat_completion([collect(SHORT), collect(CUT)], STAMP)
    assert both["usage"] == usage["usage"]
    assert [(choice["index"], choice["finish_reason"]) for choice in both["choices"]] == [(0, "stop"), (1, "length")]


def test_every_chunk_says_what_was_used_by_then_if_asked_to() -> None:
    usages = [Usage(9, 4, 0, 0.0, 0.0), Usage(9, 4, 0, 0.0, 0.0)]
    stream = ChatStream(STAMP, n=2, include_usage=True, so_far=lambda: spent(usages, 2))
    role, text = stream.events(TextDelta("Hi"), 0)
    assert role["usage"] == text["usage"] and text["usage"]["completion_tokens"] == 0
    assert (text["usage"]["prompt_tokens"], text["usage"]["prompt_tokens_details"]["cached_tokens"]) == (9, 4)
    usages[:] = [Usage(9, 4, 2, 0.0, 0.0), Usage(9, 4, 1, 0.0, 0.0)]
    (text,) = stream.events(TextDelta("Hi"), 0)
    assert text["usage"]["completion_tokens"] == 3
    assert [len(each["choices"]) for number in (0, 1) for each in stream.events(SHORT[-1], number)] == [1, 1, 1, 0]


def test_log_probabilities_are_numbers_even_of_what_cannot_be() -> None:
    body = strict(ChatCompletion, chat_completion([collect(LIKELY)], STAMP))
    logprobs = body.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert [(token.token, token.bytes, token.logprob) for token in logprobs.content] == [
        ("Hi", [72, 105], -0.5),
        ("�", [0xC3], -0.25),
    ]
    assert [top.logprob for token in logprobs.content for top in token.top_logprobs] == [-0.5, -1.5, -9999.0]
    streamed = [
        token
        for each in sent(LIKELY, ChatStream(STAMP))
        for token in (strict(ChatCompletionChunk, each).choices[0].logprobs or logprobs).content or []
        if each["choices"][0]["logprobs"]  # type: ignore[index]
    ]
    assert [token.token for token in streamed] == ["Hi", "�"]


def test_who_allowed_truncation_is_told_of_it() -> None:
    assert chat_completion([collect(STOPPED)], STAMP)["dropped_messages"] == 2
    *before, last = sent(STOPPED, ChatStream(STAMP))
    assert last["dropped_messages"] == 2 and not any("dropped_messages" in each for each in before)


@pytest.mark.parametrize("events", ANSWERS)
def test_the_sdk_finds_nothing_wrong_and_a_stream_says_what_a_body_says(events: list[AnswerEvent]) -> None:
    body = strict(ChatCompletion, chat_completion([collect(events)], STAMP))
    chunks = [strict(ChatCompletionChunk, each) for each in sent(events, ChatStream(STAMP, include_usage=True))]
    choices = [choice for each in chunks for choice in each.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == (body.choices[0].message.content or "")
    assert choices[-1].finish_reason == body.choices[0].finish_reason
    assert chunks[-1].usage == body.usage
    written: dict[int, list[str]] = {}
    for call in (call for choice in choices for call in choice.delta.tool_calls or []):
        assert call.function
        name, arguments = written.setdefault(call.index, ["", ""])
        written[call.index] = [name + (call.function.name or ""), arguments + (call.function.arguments or "")]
    calls = body.choices[0].message.tool_calls or []
    assert list(written.values()) == [[call.function.name, call.function.arguments] for call in calls]  # type: ignore[union-attr]


def test_an_answer_that_was_cancelled_was_cut_short() -> None:
    assert chat_completion([collect(CANCELLED)], STAMP)["choices"][0]["finish_reason"] == "length"
