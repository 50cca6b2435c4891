"""Clients that have never heard of tools: what they send means the same, and what they get is what they know."""

from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gadfly.api.answer import collect
from gadfly.api.openai_chat import ChatStream, chat_completion
from gadfly.api.openai_chat_request import ChatCall, read_chat
from gadfly.conversation import AnswerEvent, Finished, TextDelta, Tool, ToolCallDelta, ToolCallStart, ToolChoice
from gadfly.errors import RequestError
from wire import SHORT, STAMP, USAGE, strict

LOOK = {"name": "look", "description": "Up.", "parameters": {"type": "object"}}
HI = [{"role": "user", "content": "Hi"}]
ONE: list[AnswerEvent] = [
    ToolCallStart(0, "call_a", "look"),
    ToolCallDelta(0, '{"at":'),
    ToolCallDelta(0, '"sky"}'),
    Finished("tool_calls", USAGE),
]


def read(**fields: Any) -> ChatCall:
    return read_chat({"messages": HI, "functions": [LOOK], **fields})


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, ToolChoice("auto", parallel=False)),
        ("auto", ToolChoice("auto", parallel=False)),
        ("none", ToolChoice("none", parallel=False)),
        ({"name": "look"}, ToolChoice("required", "look", parallel=False)),
    ],
)
def test_functions_are_tools_of_which_one_is_called(given: Any, choice: ToolChoice) -> None:
    call = read(function_call=given)
    assert call.request.tools == (Tool("look", "Up.", {"type": "object"}),)
    assert call.request.tool_choice == choice and call.old_functions
    assert not read_chat({"messages": HI}).old_functions


def test_a_result_belongs_to_the_call_of_its_function() -> None:
    said = [
        *HI,
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "Blue."},
    ]
    _, asked, told = read(messages=said).request.messages
    assert (asked.tool_calls[0].name, asked.content) == ("look", "")
    assert (told.role, told.content, told.tool_call_id) == ("tool", "Blue.", asked.tool_calls[0].id)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"functions": [{}]}, "functions[0].name"),
        ({"functions": "x"}, "functions"),
        ({"function_call": "required"}, "function_call"),
        ({"function_call": {"name": "swim"}}, "function_call"),
        ({"tools": [{"type": "function", "function": LOOK}]}, "functions"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].name"),
        ({"messages": [{"role": "assistant", "function_call": {}}]}, "messages[0].function_call.name"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(**fields)
    assert caught.value.parameter == name


def test_an_answer_is_in_the_old_words() -> None:
    (choice,) = strict(ChatCompletion, chat_completion([collect(ONE)], STAMP, old_functions=True)).choices
    call = choice.message.function_call
    assert call is not None and (call.name, call.arguments) == ("look", '{"at":"sky"}')
    assert choice.finish_reason == "function_call" and choice.message.tool_calls is None
    stream = ChatStream(STAMP, include_usage=True, old_functions=True)
    chunks = [strict(ChatCompletionChunk, chunk) for event in ONE for chunk in stream.events(event)]
    calls = [c.delta.function_call for chunk in chunks for c in chunk.choices if c.delta.function_call]
    assert [call.name for call in calls] == ["look", None, None]
    assert "".join(call.arguments or "" for call in calls) == '{"at":"sky"}'
    assert [c.finish_reason for chunk in chunks for c in chunk.choices][-1] == "function_call"
    assert not any(c.delta.tool_calls for chunk in chunks for c in chunk.choices)


def test_text_is_what_it_always_was() -> None:
    assert chat_completion([collect(SHORT)], STAMP, True) == chat_completion([collect(SHORT)], STAMP)
    old, new = ChatStream(STAMP, old_functions=True), ChatStream(STAMP)
    assert old.events(TextDelta("Hi")) == new.events(TextDelta("Hi"))
