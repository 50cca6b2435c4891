"""OpenAI's functions, which tools have replaced in its chat completions: read as tools, and answered in the old words.

There is one call to an answer, it has no id, and who brings its result names the function instead.
"""

import hashlib
from typing import Any, Literal

from gadfly.api.fields import Fields
from gadfly.api.tools import TOOL_LIMIT, check_choice, check_tools, tool_name
from gadfly.conversation import Tool, ToolCall, ToolChoice

__all__ = ["call_id", "in_old_words", "read_call", "read_function", "read_old_tools"]


def read_old_tools(fields: Fields) -> tuple[tuple[Tool, ...], ToolChoice]:
    """`functions` and `function_call`, without `tools` beside them."""
    if fields["tools"]:
        raise fields.wrong("functions", "nothing beside tools, which have replaced them")
    tools = check_tools([read_function(each) for each in fields.tables("functions", TOOL_LIMIT)])
    if isinstance(fields["function_call"], dict):
        name = fields.need_table("function_call").need_text("name")
        return tools, check_choice(ToolChoice("required", name, parallel=False), tools, "function_call")
    mode: Literal["none", "auto"] = fields.one_of("function_call", ("none", "auto"), "auto")
    return tools, ToolChoice(mode, parallel=False)


def read_function(fields: Fields) -> Tool:
    """One of them; tools have the same one level deeper."""
    return Tool(tool_name(fields), fields.text("description", ""), fields.json("parameters"), fields.flag("strict"))


def read_call(fields: Fields) -> ToolCall:
    """`function_call` of a message."""
    name = tool_name(fields)
    return ToolCall(call_id(name), name, fields.text("arguments", ""))


def call_id(name: str) -> str:
    """The id that a call of this function has here: nine letters and digits, as the strictest templates want them."""
    return hashlib.sha256(name.encode()).hexdigest()[:9]


def in_old_words(body: dict[str, Any]) -> dict[str, Any]:
    """A body or a chunk of chat completions for a client that asked with `functions`."""
    return {**body, "choices": [_choice(choice) for choice in body["choices"]]}


def _choice(choice: dict[str, Any]) -> dict[str, Any]:
    said = {key: _said(part) for key, part in choice.items() if key in ("message", "delta")}
    reason = choice["finish_reason"]
    return {**choice, **said, "finish_reason": "function_call" if reason == "tool_calls" else reason}


def _said(part: dict[str, Any]) -> dict[str, Any]:
    calls = part.get("tool_calls")
    rest = {key: value for key, value in part.items() if key != "tool_calls"}
    return {**rest, "function_call": calls[0]["function"]} if calls else rest
