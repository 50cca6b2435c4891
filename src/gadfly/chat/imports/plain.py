"""Conversations without a tree: lines of messages as trainers take them, ShareGPT's, and the files of /save.

{"messages": [{"role": "user", "content": text, "reasoning"?: text, "tool_calls"?: […]}], "title"?, "id"?}
{"conversations": [{"from": "human" | "gpt" | "system" | "tool", "value": text}], "id"?}
{"format": "gadfly-chat", "version": 1, …}     see gadfly.chat.record
"""

from collections.abc import Mapping
from typing import Any

from gadfly.chat.imports.reasons import Reason
from gadfly.chat.imports.values import Said, Told, json_list, json_table, list_in, text_of, texts_in, time_of
from gadfly.chat.record import record_of
from gadfly.chat.values import Message
from gadfly.conversation import Role, ToolCall

__all__ = ["fits_messages", "fits_record", "fits_sharegpt", "read_messages", "read_record", "read_sharegpt"]

_SPEAKERS: Mapping[str, Role] = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant"), "assistant"),
    **dict.fromkeys(("tool", "observation"), "tool"),
    "system": "system",
}


def fits_messages(item: Mapping[str, Any]) -> bool:
    return "messages" in item


def fits_sharegpt(item: Mapping[str, Any]) -> bool:
    return "conversations" in item


def fits_record(item: Mapping[str, Any]) -> bool:
    return item.get("format") == "gadfly-chat"


def read_messages(item: Mapping[str, Any]) -> Told:
    """Raises Reason."""
    said: list[Message | None] = []
    for number, value in enumerate(json_list(item["messages"], "messages")):
        message = json_table(value, f"message {number}")
        role, content = message.get("role"), "\n\n".join(texts_in(message.get("content")))
        if role not in ("user", "assistant", "system", "tool"):
            raise Reason("role", message=number, role=f"{role!r:.30}")
        calls = tuple(map(_call, list_in(message, "tool_calls"))) if role == "assistant" else ()
        answered, name = text_of(message.get("tool_call_id")) or None, text_of(message.get("name")) or None
        said.append(Message(role, content, text_of(message.get("reasoning")), calls, answered, name))
    return _told(item, said)


def read_sharegpt(item: Mapping[str, Any]) -> Told:
    """Raises Reason."""
    said: list[Message | None] = []
    for number, value in enumerate(json_list(item["conversations"], "conversations")):
        message = json_table(value, f"message {number}")
        role = _SPEAKERS.get(text_of(message.get("from")))
        if role is None:
            raise Reason("role", message=number, role=f"{message.get('from')!r:.30}")
        said.append(Message(role, text_of(message.get("value"))))
    return _told(item, said)


def read_record(item: Mapping[str, Any]) -> Told:
    """Raises Reason."""
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
