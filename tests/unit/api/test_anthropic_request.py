"""What messages may ask for in both versions of the API, and which field is blamed for what they may not."""

from typing import Any

import pytest

from gadfly.api.anthropic_request import check_version, read_message
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, JsonSchema, Message, Tool, ToolCall, ToolChoice
from gadfly.errors import RequestError

HI = [{"role": "user", "content": "Hi"}]
SKY = {"name": "look", "input_schema": {"type": "object"}}
SEA = {"type": "custom", "name": "dive", "description": "Deep.", "input_schema": {"type": "object"}, "strict": True}

CALL = {"type": "tool_use", "id": "c", "name": "look"}


def read(**fields: Any) -> ChatRequest:
    return read_message({"messages": HI, "max_tokens": 9, **fields}).request


def test_little_is_needed() -> None:
    call = read_message({"model": "m", "messages": HI, "max_tokens": 9})
    assert (call.model, call.stream, call.request) == ("m", False, ChatRequest((Message("user", "Hi"),), max_tokens=9))


def test_blocks_become_a_message_for_each_who_speaks_in_them() -> None:
    def text(words: str) -> dict[str, object]:
        return {"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}

    result = {"type": "tool_result", "tool_use_id": "c1", "content": [text("Blue"), text("today")]}
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Paper."}}
    given = [
        {"role": "user", "content": [text("Look"), document]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                text("Wait."),
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "ß"}},
                {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
            ],
        },
        {"role": "user", "content": [result, {**result, "tool_use_id": "c2", "is_error": True}, text("And?")]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c3"}]},
        {"role": "system", "content": "Be brief."},
    ]
    assert read(system=[text("Be"), text("kind.")], messages=given).messages == (
        Message("system", "Be\nkind."),
        Message("user", "Look\nPaper."),
        Message("assistant", "Wait.", "Hm.", (ToolCall("c1", "look", '{"at": "ß"}'), ToolCall("c2", "look", "{}"))),
        Message("tool", "Blue\ntoday", tool_call_id="c1"),
        Message("tool", "Error: Blue\ntoday", tool_call_id="c2"),
        Message("user", "And?"),
        Message("tool", "", tool_call_id="c3"),
        Message("system", "Be brief."),
    )


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        (None, ToolChoice()),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(parallel=False)),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "tool", "name": "dive"}, ToolChoice("required", "dive")),
        ({"type": "none"}, ToolChoice("none")),
    ],
)
def test_tools(choice: object, read_as: ToolChoice) -> None:
    request = read(tools=[SKY, SEA, {"type": "web_search_20250305", "name": "web_search"}], tool_choice=choice)
    schema = {"type": "object"}
    assert request.tools == (Tool("look", parameters=schema), Tool("dive", "Deep.", schema, strict=True))
    assert request.tool_choice == read_as


def test_options() -> None:
    request = read(
        stop_sequences=["a", "b"],
        temperature=0.5,
        top_k=5,
        system="Be brief.",
        thinking={"type": "disabled"},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "array"}}},
        wit=0.1,
        truncation="auto",
    )
    assert request.stop == ("a", "b")
    assert request.sampling == Sampling(temperature=0.5, top_k=5)
    assert request.format == JsonSchema({"type": "array"})
    assert request.template_variables == {"reasoning_effort": "low", "enable_thinking": False}
    assert (request.wit, request.truncate) == (0.1, True)
    older = read(output_format={"type": "json_schema", "schema": {}}, thinking={"type": "enabled", "budget_tokens": 9})
    assert (older.format, older.template_variables) == (JsonSchema(), {"enable_thinking": True})


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "messages[0].content[0].tool_use_id",
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "n", "input": 5}]}
                ]
            },
            "messages[0].content[0].input",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64"}}]}]},
            "messages[0].content[0].type",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"system": 5}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"stop_sequences": "a" * 1025}, "stop_sequences"),
        ({"tools": [{"name": "a", "input_schema": "x"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}, "tools": [SKY]}, "tool_choice.name"),
        ({"tool_choice": {"type": "must"}}, "tool_choice.type"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"thinking": True}, "thinking"),
    ],
)
def test_what_is_refused_names_the_field(fields: dict[str, Any], parameter: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(**fields)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("version", [None, "2023-06-01", "2026-10-21"])
def test_both_versions_are_spoken(version: str | None) -> None:
    check_version(version)


def test_others_are_not() -> None:
    with pytest.raises(RequestError, match="2023-06-01 or 2026-10-21"):
        check_version("2022-01-01")
