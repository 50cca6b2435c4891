"""Conversations without a tree: lines of messages as trainers take them, ShareGPT's, and the files of /save.

{"messages": [{"role": "user", "content": text, "reasoning"?: text, "tool_calls"?: […]}], "title"?, "id"?}
{"conversations": [{"from": "human" | "gpt" | "system" | "tool", "value": text}], "id"?}
{"format": "gadfly-chat", "version": 1, …}     see gadfly.chat.record
"""

from collections.abc import Mapping
from typing import Any

from gadfly.chat.imports.values import Said, Told, json_list, json_table, text_of, time_of
from gadfly.chat.record import record_of
from gadfly.chat.values import Message
from gadfly.conversation import ToolCall

__all__ = ["fits_messages", "fits_record", "fits_sharegpt", "read_messages", "read_record", "read_sharegpt"]

_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


def fits_messages(item: Mapping[str, Any]) -> bool:
    return "messages" in item


def fits_sharegpt(item: Mapping[str, Any]) -> bool:
    return "conversations" in item


def fits_record(item: Mapping[str, Any]) -> bool:
    return item.get("format") == "gadfly-chat"


def read_messages(item: Mapping[str, Any]) -> Told:
    """Raises ValueError saying what is wrong."""
    said: list[Message | None] = []
    for number, value in enumerate(json_list(item["messages"], "messages")):
        message = json_table(value, f"message {number}")
        role, content = message.get("role"), message.get("content")
        if isinstance(content, list):
            content = "\n\n".join(text_of(part.get("text")) for part in content if isinstance(part, dict))
        if role not in ("user", "assistant", "system", "tool"):
            raise ValueError(f"the role of message {number} is {role!r:.30}")
        calls = tuple(map(_call, message.get("tool_calls") or ())) if role == "assistant" else ()
        answered, name = text_of(message.get("tool_call_id")) or None, text_of(message.get("name")) or None
        said.append(Message(role, text_of(content), text_of(message.get("reasoning")), calls, answered, name))
    return _told(item, said)


def read_sharegpt(item: Mapping[str, Any]) -> Told:
    """Raises ValueError saying what is wrong."""
    said: list[Message | None] = []
    for number, value in enumerate(json_list(item["conversations"], "conversations")):
        message = json_table(value, f"message {number}")
        speaker = message.get("from")
        role = _SPEAKERS.get(speaker, "tool" if speaker in ("tool", "observation") else None) if speaker else None
        if role is None:
            raise ValueError(f"message {number} is from {speaker!r:.30}")
        said.append(Message(role, text_of(message.get("value"))))  # type: ignore[arg-type]
    return _told(item, said)


def read_record(item: Mapping[str, Any]) -> Told:
    """Raises ValueError saying what is wrong."""
    record = record_of(item)
    said: list[Message | None] = []
    for turn in record.turns:
        said += [Message("user", turn.user), Message("assistant", turn.reply.text) if turn.reply else None]
    return _told({"system": record.system}, said)


def _call(value: object) -> ToolCall:
    call = json_table(value, "a call of a tool")
    function = json_table(call.get("function", call), "the function of a call")
    return ToolCall(text_of(call.get("id")), text_of(function.get("name")), text_of(function.get("arguments")))


def _told(item: Mapping[str, Any], messages: list[Message | None]) -> Told:
    said = [Said(str(number), str(number - 1), message) for number, message in enumerate(messages)]
    return Told(
        key=text_of(item.get("id")),
        title=text_of(item.get("title")),
        said=tuple(said),
        created=time_of(item.get("created")),
        updated=time_of(item.get("updated")),
        system=text_of(item.get("system")) or None,
    )
