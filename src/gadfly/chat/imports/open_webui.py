"""Open WebUI's export: a list of chats, each a tree of messages.

    {"id", "title", "created_at", "updated_at", "archived", "pinned", "meta": {"tags": [text]},
     "chat": {"title", "models", "system"?, "params"?: {"system"},
       "history": {"currentId", "messages": {ID: {"id", "parentId", "childrenIds", "role", "content", "model",
         "timestamp", "files"?: [{"name", "file": {"data": {"content"}}}], "output"?: [{"type", …}]}}}}}

Thoughts stand in <details type="reasoning"> within the content or, of late, in `output`, where calls of tools are too.
"""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any

from gadfly.chat.imports.pieces import Pieces
from gadfly.chat.imports.reasons import Reason
from gadfly.chat.imports.values import File, Said, Told, json_table, list_in, table_in, text_of, texts_in, time_of
from gadfly.chat.values import Message

__all__ = ["fits", "read"]

_DETAILS = re.compile(r'<details type="reasoning"[^<>]*>(.*?)</details>\s*', re.DOTALL)
_SUMMARY = re.compile(r"\s*<summary>[^<]*</summary>\s*")


def fits(item: Mapping[str, Any]) -> bool:
    return isinstance(item.get("chat"), dict)


def read(item: Mapping[str, Any]) -> Told:
    """Raises Reason."""
    chat = json_table(item["chat"], "chat")
    history = json_table(chat.get("history"), "history")
    said: list[Said] = []
    lost = 0
    for key, value in json_table(history.get("messages"), "messages").items():
        message = json_table(value, f"message {key!r:.50}")
        files, without = _files(message)
        lost += without
        said += _said(key, message, files)
    return Told(
        key=text_of(item.get("id")),
        title=text_of(item.get("title")) or text_of(chat.get("title")),
        said=tuple(said),
        leaf=text_of(history.get("currentId")) or None,
        created=time_of(item.get("created_at")),
        updated=time_of(item.get("updated_at")),
        archived=item.get("archived") is True,
        pinned=item.get("pinned") is True,
        tags=tuple(filter(None, map(text_of, list_in(table_in(item, "meta"), "tags")))),
        system=text_of(chat.get("system")) or text_of(table_in(chat, "params").get("system")) or None,
        notes=(Reason("files", count=lost),) if lost else (),
    )


def _said(key: str, message: Mapping[str, Any], files: tuple[File, ...]) -> Sequence[Said]:
    role, text = message.get("role"), text_of(message.get("content"))
    model = text_of(message.get("model")) or None
    whole = Said(
        key, text_of(message.get("parentId")) or None, None, time_of(message.get("timestamp")), model, files=files
    )
    if role == "assistant":
        return _answer(text, message.get("output")).said(whole)
    if role not in ("user", "system"):
        raise Reason("role", message=f"{key!r:.50}", role=f"{role!r:.30}")
    if not text.strip() and not files:
        return [whole]
    return [Said(whole.key, whole.parent, Message(role, text), whole.created, files=files)]


def _answer(text: str, output: object) -> Pieces:
    pieces = Pieces()
    if not isinstance(output, list) or not output:
        for thought in _DETAILS.findall(text):
            lines = unescape(_SUMMARY.sub("", thought, count=1)).strip().splitlines()
            pieces.thought("\n".join(line.removeprefix(">").removeprefix(" ") for line in lines))
        pieces.text(_DETAILS.sub("", text))
        return pieces
    for part in output:
        if not isinstance(part, dict):
            continue
        content = "\n\n".join(texts_in(part.get("content")))
        match part.get("type"):
            case "message":
                pieces.text(content)
            case "reasoning":
                pieces.thought(content)
            case "function_call":
                pieces.call(text_of(part.get("call_id")), text_of(part.get("name")), text_of(part.get("arguments")))
            case "function_call_output":
                pieces.result(text_of(part.get("call_id")), None, "\n\n".join(texts_in(part.get("output"))))
    return pieces


def _files(message: Mapping[str, Any]) -> tuple[tuple[File, ...], int]:
    found, lost = [], 0
    for one in list_in(message, "files"):
        file = table_in(one, "file") if isinstance(one, dict) else {}
        if text := text_of(table_in(file, "data").get("content")):
            found.append(File(text_of(one.get("name")), "text/plain", text))
        else:
            lost += 1
    return tuple(found), lost
