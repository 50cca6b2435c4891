"""Claude's export: a zip with conversations.json, a list of conversations, each a list of messages.

    {"uuid", "name", "created_at", "updated_at", "chat_messages": [
      {"uuid", "parent_message_uuid"?, "sender": "human" | "assistant", "text", "created_at",
       "content": [{"type": "text", "text"}, {"type": "thinking", "thinking"},
                   {"type": "tool_use", "id", "name", "input"},
                   {"type": "tool_result", "tool_use_id", "name", "content"} …],
       "attachments": [{"file_name", "file_type", "extracted_content"}], "files": [{"file_name"}]}]}

Older ones have no parents: their messages follow one another. `files` are names only, and are told of.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gadfly.chat.imports.pieces import Pieces
from gadfly.chat.imports.reasons import Reason
from gadfly.chat.imports.values import File, Said, Told, json_list, json_table, list_in, text_of, texts_in, time_of
from gadfly.chat.values import Message

__all__ = ["fits", "read"]


def fits(item: Mapping[str, Any]) -> bool:
    return "chat_messages" in item


def read(item: Mapping[str, Any]) -> Told:
    """Raises Reason."""
    messages = json_list(item["chat_messages"], "chat_messages")
    said: list[Said] = []
    lost = 0
    for number, value in enumerate(messages):
        message = json_table(value, f"message {number}")
        follows = said[-1].key if said else None
        parent = text_of(message.get("parent_message_uuid")) or follows
        key = text_of(message.get("uuid")) or f"message {number}"
        files, without = _files(message)
        lost += without
        created = time_of(message.get("created_at"))
        model = text_of(message.get("model")) or text_of(item.get("model")) or None
        if message.get("sender") == "human":
            text = text_of(message.get("text")) or "\n\n".join(texts_in(message.get("content")))
            told = Message("user", text) if text.strip() or files else None
            said.append(Said(key, parent, told, created, files=files))
        elif message.get("sender") == "assistant":
            said += _answer(
                message, Said(key, parent, None, created, model, text_of(message.get("stop_reason")) or None)
            )
        else:
            raise Reason("role", message=number, role=f"{message.get('sender')!r:.30}")
    return Told(
        key=text_of(item.get("uuid")),
        title=text_of(item.get("name")),
        said=tuple(said),
        leaf=text_of(item.get("current_leaf_message_uuid")) or None,
        created=time_of(item.get("created_at")),
        updated=time_of(item.get("updated_at")),
        pinned=item.get("is_starred") is True,
        notes=(Reason("names", count=lost),) if lost else (),
    )


def _answer(message: Mapping[str, Any], whole: Said) -> Sequence[Said]:
    pieces = Pieces()
    content = list_in(message, "content")
    for part in content:
        if not isinstance(part, dict):
            continue
        match part.get("type"):
            case "text":
                pieces.text(text_of(part.get("text")))
            case "thinking":
                pieces.thought(text_of(part.get("thinking")))
            case "tool_use":
                arguments = json.dumps(part.get("input"), ensure_ascii=False, default=str)
                pieces.call(text_of(part.get("id")), text_of(part.get("name")), text_of(arguments))
            case "tool_result":
                texts = "\n\n".join(texts_in(part.get("content")))
                pieces.result(text_of(part.get("tool_use_id")), text_of(part.get("name")), texts)
    if not content:
        pieces.text(text_of(message.get("text")))
    return pieces.said(whole)


def _files(message: Mapping[str, Any]) -> tuple[tuple[File, ...], int]:
    """Those whose text there is, and how many there are without."""
    found, lost = [], 0
    for name in ("attachments", "files"):
        for one in list_in(message, name):
            text = text_of(one.get("extracted_content")) if isinstance(one, dict) else ""
            if text:
                found.append(File(text_of(one.get("file_name")), text_of(one.get("file_type")) or "text/plain", text))
            else:
                lost += 1
    return tuple(found), lost
