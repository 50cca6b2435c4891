"""The export of llama.cpp's web page: a conversation, or a list of them, each with its messages.

    {"conv": {"id", "name", "lastModified", "currNode"},
     "messages": [{"id", "convId", "type": "root" | "text" | …, "timestamp", "role", "content", "parent", "children",
                   "thinking" | "reasoningContent", "toolCalls"?: JSON text, "model"?,
                   "extra"?: [{"type", "name", "content"}]}]}

Times are in milliseconds. The root says nothing. Pictures and sounds in `extra` are told of, not taken.
"""

import json
from collections.abc import Mapping
from typing import Any

from gadfly.chat.imports.reasons import Reason
from gadfly.chat.imports.values import File, Said, Told, json_list, json_table, list_in, text_of, time_of
from gadfly.chat.values import Message
from gadfly.conversation import ToolCall

__all__ = ["fits", "read"]


def fits(item: Mapping[str, Any]) -> bool:
    return isinstance(item.get("conv"), dict) and "messages" in item


def read(item: Mapping[str, Any]) -> Told:
    """Raises Reason."""
    conversation = json_table(item["conv"], "conv")
    said, lost = [], 0
    for number, value in enumerate(json_list(item["messages"], "messages")):
        message = json_table(value, f"message {number}")
        files, without = _files(message)
        lost += without
        parent = message.get("parent")
        said.append(
            Said(
                _key(message.get("id")) or f"message {number}",
                _key(parent),
                _message(message, number, files),
                time_of(message.get("timestamp")),
                text_of(message.get("model")) or None,
                files=files,
            )
        )
    return Told(
        key=_key(conversation.get("id")) or "",
        title=text_of(conversation.get("name")),
        said=tuple(said),
        leaf=_key(conversation.get("currNode")),
        created=min((one.created for one in said if one.created is not None), default=None),
        updated=time_of(conversation.get("lastModified")),
        notes=(Reason("pictures", count=lost),) if lost else (),
    )


def _key(value: object) -> str | None:
    """Ids were numbers once."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    return text_of(value) or None


def _message(message: Mapping[str, Any], number: int, files: tuple[File, ...]) -> Message | None:
    role, text = message.get("role"), text_of(message.get("content"))
    if message.get("type") == "root" or not (text.strip() or files or message.get("toolCalls")):
        return None
    if role == "assistant":
        thoughts = text_of(message.get("reasoningContent")) or text_of(message.get("thinking"))
        return Message("assistant", text, thoughts, _calls(message.get("toolCalls")))
    if role == "tool":
        return Message("tool", text, tool_call_id=text_of(message.get("toolCallId")) or None)
    if role in ("user", "system"):
        return Message(role, text)
    raise Reason("role", message=number, role=f"{role!r:.30}")


def _calls(written: object) -> tuple[ToolCall, ...]:
    try:
        listed = json.loads(written) if isinstance(written, str) and written else []
    except (ValueError, RecursionError):
        return ()
    found = []
    for one in listed if isinstance(listed, list) else ():
        function = one.get("function") if isinstance(one, dict) else None
        if isinstance(function, dict):
            found.append(
                ToolCall(text_of(one.get("id")), text_of(function.get("name")), text_of(function.get("arguments")))
            )
    return tuple(found)


def _files(message: Mapping[str, Any]) -> tuple[tuple[File, ...], int]:
    found, lost = [], 0
    for one in list_in(message, "extra"):
        text = text_of(one.get("content")) if isinstance(one, dict) else ""
        if text:
            found.append(File(text_of(one.get("name")), "text/plain", text))
        else:
            lost += 1
    return tuple(found), lost
