"""LibreChat's export: one conversation, its messages in a list, or nested one in another ("recursive").

    {"conversationId", "title", "endpoint", "options"?: {"model", "promptPrefix"},
     "messages": [{"messageId", "parentMessageId", "isCreatedByUser", "text", "content"?, "model", "createdAt",
                   "error", "unfinished"}],
     or "messagesTree": [{…, "children": [{…, "children": […]}]}]}

`content` is a list of {"type": "text" | "think" | "tool_call", …}. The parent of a root is an id of zeros.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gadfly.chat.imports.pieces import Pieces
from gadfly.chat.imports.values import Said, Told, json_list, json_table, list_in, table_in, text_of, time_of
from gadfly.chat.values import Message

__all__ = ["fits", "read"]


def fits(item: Mapping[str, Any]) -> bool:
    return "conversationId" in item and ("messagesTree" in item or "messages" in item)


def read(item: Mapping[str, Any]) -> Told:
    """Raises Reason."""
    name = "messagesTree" if "messagesTree" in item else "messages"
    waiting: list[tuple[Any, str | None]] = [(value, None) for value in reversed(json_list(item[name], name))]
    said: list[Said] = []
    latest: tuple[float, str | None] = (-1.0, None)
    while waiting:
        value, above = waiting.pop()
        message = json_table(value, f"message {len(said)}")
        key = text_of(message.get("messageId")) or f"message {len(said)}"
        parent = text_of(message.get("parentMessageId")) or above
        created = time_of(message.get("createdAt"))
        said += _said(message, Said(key, parent, None, created, text_of(message.get("model")) or None))
        latest = max(latest, (created or 0.0, key), key=lambda one: one[0])
        waiting += [(child, key) for child in reversed(list_in(message, "children"))]
    return Told(
        key=text_of(item.get("conversationId")),
        title=text_of(item.get("title")),
        said=tuple(said),
        leaf=latest[1],  # it does not say which path was shown
        created=min((one.created for one in said if one.created is not None), default=None),
        updated=max((one.created for one in said if one.created is not None), default=None),
        system=text_of(table_in(item, "options").get("promptPrefix")) or None,
    )


def _said(message: Mapping[str, Any], whole: Said) -> Sequence[Said]:
    text = text_of(message.get("text"))
    if message.get("isCreatedByUser") is True:
        return [replace(whole, message=Message("user", text) if text.strip() else None, model=None)]
    finish = "length" if message.get("unfinished") is True else text_of(message.get("finish_reason")) or None
    pieces = Pieces()
    content = list_in(message, "content")
    for part in content:
        if not isinstance(part, dict):
            continue
        match part.get("type"):
            case "text" | "error":
                value = part.get("text")
                pieces.text(text_of(value.get("value") if isinstance(value, dict) else value))
            case "think":
                value = part.get("think")
                pieces.thought(text_of(value.get("value") if isinstance(value, dict) else value))
            case "tool_call" if isinstance(part.get("tool_call"), dict):
                _call(pieces, part["tool_call"])
    if not content:
        pieces.text(text)
    return pieces.said(replace(whole, finish=finish))


def _call(pieces: Pieces, call: Mapping[str, Any]) -> None:
    arguments = call.get("args")
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
    id, name = text_of(call.get("id")), text_of(call.get("name"))  # noqa: A001
    pieces.call(id, name, text_of(written))
    if isinstance(call.get("output"), str):
        pieces.result(id, name, text_of(call["output"]))
