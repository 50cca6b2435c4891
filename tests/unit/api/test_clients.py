"""Official clients, strict, put streams together again. There is no server: the transport calls our functions."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from gadfly.api.answer import collect
from gadfly.api.anthropic_messages import MessageStream
from gadfly.api.anthropic_request import read_message
from gadfly.api.openai_chat import ChatStream
from gadfly.api.openai_chat_request import read_chat
from gadfly.api.openai_responses import ResponseStream
from gadfly.api.openai_responses_request import read_response
from gadfly.api.tools import arguments_object
from gadfly.conversation import AnswerEvent
from wire import CALLS, LIKELY, SHORT, STAMP, STOPPED, THOUGHT

HI: ChatCompletionUserMessageParam = {"role": "user", "content": "Hi"}
COMPLETE = pytest.mark.parametrize("events", [SHORT, STOPPED, LIKELY, THOUGHT, CALLS])


def transport(events: list[AnswerEvent], begin: Callable[[Any], Any]) -> httpx2.MockTransport:
    """Answers every request with these events, through the stream that `begin` makes of its body."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        stream = begin(json.loads(request.content))
        sent = [each for event in events for each in stream.events(event)]
        lines = [f"event: {each.get('type', 'message')}\ndata: {json.dumps(each)}\n\n" for each in sent]
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text="".join(lines))

    return httpx2.MockTransport(handle)


def openai_client(made: httpx2.MockTransport) -> openai.OpenAI:
    http = httpx2.Client(transport=made)
    return openai.OpenAI(api_key="k", base_url="http://t/v1", http_client=http, _strict_response_validation=True)


@COMPLETE
def test_chat_completions(events: list[AnswerEvent]) -> None:
    def begin(body: Any) -> ChatStream:
        return ChatStream(STAMP, include_usage=read_chat(body).include_usage)

    with (
        openai_client(transport(events, begin)) as client,
        client.chat.completions.stream(model="m", messages=[HI], stream_options={"include_usage": True}) as stream,
    ):
        whole, answer = stream.get_final_completion(), collect(events)
    message = whole.choices[0].message
    assert (message.content or "") == answer.text
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
    assert calls == [(call.id, call.name, call.arguments) for call in answer.tool_calls]
    assert whole.usage is not None and whole.usage.total_tokens == 14


@COMPLETE
def test_responses(events: list[AnswerEvent]) -> None:
    def begin(body: Any) -> ResponseStream:
        return ResponseStream(STAMP, read_response(body))

    with (
        openai_client(transport(events, begin)) as client,
        client.responses.stream(model="m", input="Hi") as stream,
    ):
        whole, answer = stream.get_final_response(), collect(events)
    assert whole.output_text == answer.text
    calls = [(item.call_id, item.name, item.arguments) for item in whole.output if item.type == "function_call"]
    assert calls == [(call.id, call.name, call.arguments) for call in answer.tool_calls]
    assert whole.usage is not None and whole.usage.input_tokens_details.cached_tokens == 4


@COMPLETE
def test_messages(events: list[AnswerEvent]) -> None:
    def begin(body: Any) -> MessageStream:
        read_message(body)
        return MessageStream(STAMP)

    http = httpx2.Client(transport=transport(events, begin))
    with (
        anthropic.Anthropic(
            api_key="k", base_url="http://t", http_client=http, _strict_response_validation=True
        ) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream,
    ):
        whole, answer = stream.get_final_message(), collect(events)
    assert "".join(block.text for block in whole.content if block.type == "text") == answer.text
    assert "".join(block.thinking for block in whole.content if block.type == "thinking") == answer.reasoning
    calls = [(block.id, block.name, block.input) for block in whole.content if block.type == "tool_use"]
    assert calls == [(call.id, call.name, arguments_object(call.arguments)) for call in answer.tool_calls]
    assert (whole.usage.input_tokens, whole.usage.cache_read_input_tokens, whole.usage.output_tokens) == (5, 4, 5)
