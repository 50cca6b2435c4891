"""What a client sends to Anthropic's messages: https://platform.claude.com/docs/en/api/messages.

The API forked in October 2026. Both versions are read by the same code: the newer one sends no sampling parameters and
may put system messages among the others. A message of blocks becomes one for each side that speaks in it: results of
tools are messages of their own here. What comes back: `anthropic_messages`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from gadfly.api.answer_format import one_format, read_extensions
from gadfly.api.fields import Fields, check_text
from gadfly.api.openai_chat_request import MESSAGE_LIMIT, TOKEN_LIMIT, read_shared
from gadfly.api.sampling import MODELS_OWN, read_sampling, read_stop
from gadfly.api.tools import TOOL_LIMIT, check_choice, check_tools, tool_name
from gadfly.completion import Sampling
from gadfly.conversation import AnswerFormat, ChatRequest, JsonSchema, Message, Tool, ToolCall, ToolChoice
from gadfly.errors import RequestError

__all__ = ["VERSIONS", "MessageCall", "check_version", "read_message"]

VERSIONS = ("2023-06-01", "2026-10-21")


@dataclass(frozen=True)
class MessageCall:
    """A request and how it is to be answered; for `count_tokens`, only the request matters."""

    model: str | None
    request: ChatRequest
    stream: bool = False


def check_version(header: str | None) -> None:
    """Refuse an `anthropic-version` that nobody here has heard of; none at all is fine."""
    if header is not None and header not in VERSIONS:
        raise RequestError(
            f"anthropic-version is {header!r:.40}; expected {' or '.join(VERSIONS)}", "anthropic-version"
        )


def read_message(body: object, defaults: Sampling = MODELS_OWN) -> MessageCall:
    """Raises RequestError naming the field. `defaults` holds where the client sets something else of a Sampling."""
    fields = Fields(body)
    given = [message for each in fields.tables("messages", MESSAGE_LIMIT) for message in _messages(each)]
    if not given:
        raise fields.wrong("messages", "an array of at least one message")
    system = [Message("system", text)] if (text := _text(fields, "system", optional=True)) else []
    tools = check_tools([tool for each in fields.tables("tools", TOOL_LIMIT) for tool in _tool(each)])
    shared = read_shared(fields)
    request = ChatRequest(
        (*system, *given),
        max_tokens=fields.whole("max_tokens", 1, TOKEN_LIMIT),
        sampling=read_sampling(fields, defaults),
        stop=read_stop(fields, "stop_sequences"),
        tools=tools,
        tool_choice=_choice(fields.table("tool_choice"), tools),
        format=one_format(_formats(fields) + read_extensions(fields)),
        **{**shared, "template_variables": {**_thinking(fields), **shared["template_variables"]}},
    )
    return MessageCall(fields.text("model"), request, stream=fields.flag("stream"))


def _messages(fields: Fields) -> Iterator[Message]:
    role: Literal["user", "assistant", "system"] = fields.need_one_of("role", ("user", "assistant", "system"))
    if not isinstance(fields["content"], list):
        yield Message(role, check_text(fields["content"], fields.at("content")))
    elif role == "assistant":
        yield _assistant(fields)
    else:
        texts: list[str] = []
        for block in fields.tables("content", MESSAGE_LIMIT):
            if block["type"] == "tool_result":
                if texts:
                    yield Message(role, "\n".join(texts))
                texts = []
                yield _result(block)
            else:
                texts.append(_block_text(block))
        if texts:
            yield Message(role, "\n".join(texts))


def _assistant(fields: Fields) -> Message:
    texts, thoughts, calls = [], [], []
    for block in fields.tables("content", MESSAGE_LIMIT):
        match block["type"]:
            case "thinking":
                thoughts.append(block.text("thinking", ""))
            case "redacted_thinking":  # written by somebody else's model, for its eyes only
                pass
            case "tool_use":
                arguments = json.dumps(block.json("input"), ensure_ascii=False)
                calls.append(ToolCall(block.need_text("id"), tool_name(block), arguments))
            case _:
                texts.append(_block_text(block))
    return Message("assistant", "\n".join(texts), "\n".join(thoughts), tuple(calls))


def _result(block: Fields) -> Message:
    text = _text(block, "content", optional=True)
    if block.flag("is_error"):  # templates know no other way to say it
        text = f"Error: {text}"
    return Message("tool", text, tool_call_id=block.need_text("tool_use_id"))


def _text(fields: Fields, key: str, optional: bool = False) -> str:
    """A string, or the text of blocks, a line each."""
    if optional and key not in fields:
        return ""
    if not isinstance(fields[key], list):
        return check_text(fields[key], fields.at(key))
    return "\n".join(_block_text(block) for block in fields.tables(key, MESSAGE_LIMIT))


def _block_text(block: Fields) -> str:
    """The text of a block of text, or of a document that is text."""
    kind = block.text("type", "")
    if kind == "text":
        return check_text(block["text"], block.at("text"))
    if kind == "document" and (source := block.need_table("source"))["type"] == "text":
        return check_text(source["data"], source.at("data"))
    raise block.wrong("type", "text, here: the models read no images and no files, and call no tools of others")


def _tool(fields: Fields) -> list[Tool]:
    """Nothing for tools that Anthropic's servers run or describe: nobody here knows them."""
    if fields.text("type", "custom") != "custom":
        return []
    return [Tool(tool_name(fields), fields.text("description", ""), fields.json("input_schema"), fields.flag("strict"))]


def _choice(fields: Fields | None, tools: tuple[Tool, ...]) -> ToolChoice:
    if fields is None:
        return ToolChoice()
    parallel = not fields.flag("disable_parallel_tool_use")
    match fields.one_of("type", ("auto", "any", "tool", "none"), "auto"):
        case "any":
            return check_choice(ToolChoice("required", None, parallel), tools)
        case "tool":
            return check_choice(ToolChoice("required", fields.need_text("name"), parallel), tools)
        case "none":
            return ToolChoice("none", None, parallel)
    return ToolChoice("auto", None, parallel)


def _formats(fields: Fields) -> list[AnswerFormat]:
    """`output_config.format`, which was `output_format` before it moved."""
    config = fields.table("output_config")
    found = (config.table("format") if config is not None else None) or fields.table("output_format")
    if found is None:
        return []
    found.one_of("type", ("json_schema",), "json_schema")
    schema = found.json("schema")
    return [JsonSchema(schema) if schema else JsonSchema()]


def _thinking(fields: Fields) -> dict[str, Any]:
    """What templates read of how much to think."""
    found: dict[str, Any] = {}
    if (config := fields.table("output_config")) is not None and (effort := config.text("effort", most=20)):
        found["reasoning_effort"] = effort
    if (thinking := fields.table("thinking")) is not None:
        found["enable_thinking"] = thinking.text("type", "enabled", most=20) != "disabled"
    return found
