"""What chat completions may ask for, and which field is blamed for what they may not."""

from typing import Any

import pytest

from gadfly.api.openai_chat_request import read_chat
from gadfly.completion import Sampling
from gadfly.conversation import (
    ChatRequest,
    Grammar,
    JsonSchema,
    Message,
    Regex,
    Tool,
    ToolCall,
    ToolChoice,
)
from gadfly.errors import RequestError

HI = [{"role": "user", "content": "Hi"}]
SKY = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SEA = {"type": "function", "function": {"name": "dive", "description": "Deep.", "strict": True}}


def read(**fields: Any) -> ChatRequest:
    return read_chat({"messages": HI, **fields}).request


def test_little_is_needed() -> None:
    call = read_chat({"messages": HI})
    assert call.request == ChatRequest((Message("user", "Hi"),))
    assert (call.model, call.stream, call.include_usage) == (None, False, False)


def test_absent_and_null_are_the_same() -> None:
    names = (
        "model temperature stop tools tool_choice response_format n logprobs stream stream_options seed user grammar"
    )
    assert read_chat({"messages": HI, **dict.fromkeys(names.split())}) == read_chat({"messages": HI})


def test_messages() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{"}}
    given = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "kind."}]},
        {"role": "user", "content": "Look!", "name": "ann"},
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Blue."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "refusal": None, "audio": None},
    ]
    assert read_chat({"messages": given}).request.messages == (
        Message("system", "Be brief."),
        Message("system", "Be\nkind."),
        Message("user", "Look!", name="ann"),
        Message("assistant", "", "Hm.", (ToolCall("c1", "look", "{"),)),
        Message("tool", "Blue.", tool_call_id="c1"),
        Message("assistant", "No."),
    )


def test_the_newer_name_of_max_tokens_wins() -> None:
    assert read(max_tokens=5).max_tokens == 5
    assert read(max_tokens=5, max_completion_tokens=7).max_tokens == 7


def test_sampling_keeps_what_the_client_does_not_say() -> None:
    defaults = Sampling(temperature=0.5, top_k=40)
    body = {"messages": HI, "top_p": 0.9, "seed": 3, "logit_bias": {"5": -100}}
    assert read_chat(body, defaults).request.sampling == Sampling(0.5, 40, 0.9, seed=3, logit_bias={5: -100})
    assert read_chat({"messages": HI}, defaults).request.sampling is None


def test_numbers_may_be_whole_in_disguise() -> None:
    assert read(max_tokens=5.0).max_tokens == 5


def test_log_probabilities() -> None:
    assert [read(logprobs=True).logprobs, read(logprobs=True, top_logprobs=3).logprobs] == [0, 3]
    assert read(logprobs=False).logprobs is None


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "dive"}}, ToolChoice("required", "dive", parallel=False)),
    ],
)
def test_tools(choice: object, read_as: ToolChoice) -> None:
    request = read(tools=[SKY, SEA], tool_choice=choice)
    assert request.tools == (Tool("look", parameters={"type": "object"}), Tool("dive", "Deep.", strict=True))
    assert request.tool_choice == read_as


def test_some_of_the_tools_may_be_allowed() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "dive"}}]}
    request = read(tools=[SKY, SEA], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool.name for tool in request.tools] == ["dive"]
    assert request.tool_choice == ToolChoice("required")


@pytest.mark.parametrize(
    ("fields", "read_as"),
    [
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, JsonSchema()),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}},
            JsonSchema({"type": "array"}),
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, JsonSchema()),
        ({"regex": "a+"}, Regex("a+")),
        ({"grammar": 'root ::= "a"'}, Grammar('root ::= "a"')),
        ({"grammar": {"syntax": "lark", "definition": 'start: "a"'}}, Grammar('start: "a"', "lark")),
    ],
)
def test_formats(fields: dict[str, object], read_as: object) -> None:
    assert read(**fields).format == read_as


def test_extensions() -> None:
    request = read(
        persona="gadfly",
        wit=0.8,
        adapters={"rhymes": 0.5, "none": None},
        truncation="auto",
        reasoning_effort="low",
        chat_template_kwargs={"enable_thinking": False},
    )
    assert (request.persona, request.wit, request.adapters, request.truncate) == ("gadfly", 0.8, {"rhymes": 0.5}, True)
    assert request.template_variables == {"reasoning_effort": "low", "enable_thinking": False}
    assert read(reasoning_effort="none").template_variables == {"enable_thinking": False}


def test_how_it_is_to_be_sent() -> None:
    call = read_chat({"messages": HI, "model": "m", "stream": True, "stream_options": {"include_usage": True}})
    assert (call.model, call.stream, call.include_usage, call.usage_so_far) == ("m", True, True, False)
    for with_usage in (True, False):  # as vLLM has it, one does not come without the other
        options = {"include_usage": with_usage, "continuous_usage_stats": True}
        assert read_chat({"messages": HI, "stream": True, "stream_options": options}).usage_so_far is with_usage


def deep(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "\udc00"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function"),
        ({"model": 5}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"seed": 2**70}, "seed"),
        ({"seed": 10**5000}, "seed"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"logit_bias": {str(i): 1 for i in range(1025)}}, "logit_bias"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stop": "a" * 1025}, "stop"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"logprobs": 1}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": True}, "stream_options"),
        ({"tools": {}}, "tools"),
        ({"tools": [SKY] * 129}, "tools"),
        ({"tools": [SKY, SKY]}, "tools"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "a", "parameters": []}}]}, "tools[0].function.parameters"),
        ({"tools": [{"function": {"name": "a", "parameters": deep(65)}}]}, "tools[0].function.parameters"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "must", "tools": [SKY]}, "tool_choice"),
        ({"tool_choice": {"function": {"name": "swim"}}, "tools": [SKY]}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}, "tools": [SKY]}, "tool_choice.allowed_tools"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_object"}, "regex": "a"}, None),
        ({"regex": ""}, "regex"),
        ({"grammar": 5}, "grammar"),
        ({"grammar": {"syntax": "ebnf", "definition": "a"}}, "grammar.syntax"),
        ({"persona": 5}, "persona"),
        ({"wit": 2}, "wit"),
        ({"adapters": {"a": "b"}}, "adapters.a"),
        ({"adapters": {str(i): 1 for i in range(17)}}, "adapters"),
        ({"truncation": "maybe"}, "truncation"),
        ({"chat_template_kwargs": {"a": float("inf")}}, "chat_template_kwargs"),
    ],
)
def test_what_is_refused_names_the_field(fields: dict[str, Any], parameter: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        read(**fields)
    assert caught.value.parameter == parameter
    message = str(caught.value)
    assert message.startswith(parameter or "the answer") and "\n" not in message and len(message) < 300


@pytest.mark.parametrize("body", [None, 5, "Hi", [HI]])
def test_a_request_is_an_object(body: object) -> None:
    with pytest.raises(RequestError, match="the request is") as caught:
        read_chat(body)
    assert caught.value.parameter is None


def test_the_deepest_schema_that_is_allowed() -> None:
    assert read(tools=[{"function": {"name": "a", "parameters": deep(64)}}]).tools[0].parameters == deep(64)
