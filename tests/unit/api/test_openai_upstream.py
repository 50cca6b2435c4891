"""What is written for an engine elsewhere is read as it was meant, and what ours streams comes back as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.api.openai_chat import ChatStream
from gadfly.api.openai_chat_request import read_chat
from gadfly.api.openai_completions import CompletionStream, read_completion
from gadfly.api.openai_upstream import ChatReader, CompletionReader, without_usage_so_far, write_chat, write_completion
from gadfly.api.stamp import Stamp
from gadfly.completion import Sampling, Usage
from gadfly.conversation import (
    ChatRequest,
    Finished,
    Grammar,
    JsonSchema,
    Message,
    ReasoningDelta,
    Regex,
    TextDelta,
    TextRequest,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
)

STAMP = Stamp("id", 0.0, "model")
TOOL = Tool("weather", "How it is.", {"type": "object", "properties": {"town": {"type": "string"}}}, strict=True)
CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", "How is it in Bonn?", name="ada"),
    Message("assistant", "", "Let me see.", (ToolCall("abcdefghi", "weather", '{"town": "Bonn"}'),)),
    Message("tool", "Rain.", tool_call_id="abcdefghi"),
)
DRAWN = Sampling(temperature=0.5, top_k=4, top_p=0.9, min_p=0.1, repetition_penalty=1.1, logit_bias={3: -1.0}, seed=7)

CHATS = [
    ChatRequest(CONVERSATION),
    ChatRequest(CONVERSATION, max_tokens=9, sampling=DRAWN, stop=("a", "b"), logprobs=3, n=2, truncate=True),
    ChatRequest(CONVERSATION, tools=(TOOL,), tool_choice=ToolChoice("required", "weather", parallel=False)),
    ChatRequest(CONVERSATION, tools=(TOOL,), tool_choice=ToolChoice("none")),
    ChatRequest(CONVERSATION, format=JsonSchema({"type": "object", "required": ["a"]})),
    ChatRequest(CONVERSATION, format=Regex("a+")),
    ChatRequest(CONVERSATION, format=Grammar('root ::= "a"')),
    ChatRequest(CONVERSATION, template_variables={"enable_thinking": False}),
]


@pytest.mark.parametrize("request_", CHATS)
def test_a_chat_is_read_as_it_was_written(request_):
    body = json.loads(json.dumps(write_chat(request_, "model")))
    call = read_chat(body)
    assert (call.model, call.stream, call.include_usage, call.usage_so_far) == ("model", True, True, True)
    plain = read_chat(without_usage_so_far(body))
    assert (plain.include_usage, plain.usage_so_far, plain.request) == (True, False, call.request)
    assert call.request == request_


@pytest.mark.parametrize(
    "request_",
    [
        TextRequest("Once", max_tokens=16),
        TextRequest((1, 2, 3), 5, DRAWN, ("x",), Regex("a"), 2, echo=True, n=2, truncate=True, ignore_eos=True),
    ],
)
def test_a_completion_is_read_as_it_was_written(request_):
    call = read_completion(json.loads(json.dumps(write_completion(request_, "model"))))
    assert call.requests == (request_,)


LOGPROB = TokenLogprob(-1, "a", b"a", -0.5, (TokenLogprob(-1, "a", b"a", -0.5), TokenLogprob(-1, "b", b"b", -1.5)))
EVENTS = st.one_of(
    st.builds(TextDelta, st.text("aé", min_size=1), st.sampled_from([(), (LOGPROB,)])),
    st.builds(ReasoningDelta, st.text("xy", min_size=1)),
)
CALL = [ToolCallStart(0, "abcdefghi", "weather"), ToolCallDelta(0, '{"town"'), ToolCallDelta(0, ': "Bonn"}')]


def through(stream, reader, choices):
    """Every choice's events, after a journey over the wire."""
    found = [[] for _ in choices]
    for number, events in enumerate(choices):
        for event in events:
            for chunk in stream.events(event, number):
                for choice, read in reader.events(json.loads(json.dumps(chunk))):
                    found[choice].append(read)
    for choice, read in reader.end():
        found[choice].append(read)
    return found


@given(st.lists(EVENTS, max_size=6), st.booleans(), st.sampled_from(["stop", "length", "tool_calls"]))
def test_a_chat_comes_back_as_it_was_streamed(events, calling, reason):
    end = Finished(reason, Usage(7, 3, 5, 0.0, 0.0), reasoning_tokens=2)
    sent = [*events, *(CALL if calling else []), end]
    assert through(ChatStream(STAMP, 1, True), ChatReader(1), [sent]) == [sent]


def test_choices_are_kept_apart_and_what_they_took_is_told_once():
    end = Finished("stop", Usage(7, 0, 2, 0.0, 0.0))
    sent = [[TextDelta("a"), end], [TextDelta("b"), end]]
    found = through(ChatStream(STAMP, 2, True), ChatReader(2), sent)
    assert [events[0].text for events in found] == ["a", "b"]
    assert [events[-1].usage.completion_tokens for events in found] == [4, 0]


@given(st.lists(st.builds(TextDelta, st.text("ab", min_size=1), st.sampled_from([(), (LOGPROB,)])), max_size=5))
def test_a_completion_comes_back_as_it_was_streamed(events):
    sent = [*events, Finished("length", Usage(7, 3, 5, 0.0, 0.0))]
    assert through(CompletionStream(STAMP, 1, 1, True), CompletionReader(1), [sent]) == [sent]


def test_a_stream_that_just_stops_was_cut_short():
    (_, end), *rest = ChatReader(1).end()
    assert (end.reason, end.usage.completion_tokens, rest) == ("length", 0, [])
