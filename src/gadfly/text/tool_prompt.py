"""Tools in the messages that a chat template gets: as transformers hands them over, or in words where it knows of none.

A template that was written for tools finds `tools` and `tool_calls`. For any other the tools are described in the
system message, calls are written out in what the assistant said, and results are told by the user, all in the Hermes
style, which most models have seen.
Source: transformers, "Tool use"; NousResearch, Hermes-Function-Calling.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gadfly.conversation import Message, Tool, ToolCall

__all__ = ["in_words", "template_message", "template_tool"]

INSTRUCTION = """\
You may call tools. Each is described by a JSON object in <tools>:
<tools>
{tools}
</tools>
To call one, answer with a JSON object of its name and its arguments and nothing else, in <tool_call>:
<tool_call>
{{"name": "the name", "arguments": {{}}}}
</tool_call>
Its result will come in <tool_response>. Answer in words when no tool is needed."""


def template_tool(tool: Tool) -> dict[str, Any]:
    """As the variable `tools` lists it."""
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def template_message(message: Message) -> dict[str, Any]:
    """As the variable `messages` lists it: arguments are an object if what the model wrote is one."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        turn["name"] = message.name
    return turn


def in_words(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """The same conversation without `tool_calls`, the role "tool" and `tools`."""
    told = [_told(message) for message in messages]
    if tools:
        described = "\n".join(json.dumps(template_tool(tool)["function"], ensure_ascii=False) for tool in tools)
        instruction = INSTRUCTION.format(tools=described)
        if told and told[0].role == "system":
            told[0] = replace(told[0], content=f"{told[0].content}\n\n{instruction}")
        else:
            told.insert(0, Message("system", instruction))
    return told


def _told(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
    if not message.tool_calls:
        return message
    calls = [
        json.dumps({"name": call.name, "arguments": _arguments(call)}, ensure_ascii=False)
        for call in message.tool_calls
    ]
    parts = [message.content, *(f"<tool_call>\n{call}\n</tool_call>" for call in calls)]
    return Message("assistant", "\n".join(part for part in parts if part), reasoning=message.reasoning)


def _arguments(call: ToolCall) -> Mapping[str, Any] | str:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return call.arguments
    return arguments if isinstance(arguments, dict) else call.arguments
