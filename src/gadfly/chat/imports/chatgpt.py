"""ChatGPT's export: a zip with conversations.json, a list of conversations, each a tree of nodes.

    {"id", "title", "create_time", "update_time", "current_node", "is_archived", "is_starred",
     "mapping": {NODE: {"id", "parent": NODE | null, "children": [NODE],
       "message": null | {"author": {"role", "name"}, "create_time", "recipient": "all" | a tool,
         "content": {"content_type", "parts": [text | {…}]}, "metadata": {"model_slug", "finish_details", …}}}}}

The root says nothing, nor do hidden messages. Thoughts are nodes of their own above the answer; what is addressed to a
tool is a call. Pictures and voices are other files of the zip: they are told of, not taken.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gadfly.chat.imports.reasons import Reason
from gadfly.chat.imports.values import Said, Told, json_table, list_in, table_in, text_of, time_of
from gadfly.chat.values import Message
from gadfly.conversation import ToolCall

__all__ = ["fits", "read"]

_TEXTS = (
    "text",
    "result",
    "content",
    "user_profile",
    "user_instructions",
    "model_set_context",
)  # if there are no parts
_CHAIN = 50  # thoughts above an answer

Notes = Counter[tuple[str, tuple[str, str]]]  # by the key of a reason and a value of it


def fits(item: Mapping[str, Any]) -> bool:
    return "mapping" in item


def read(item: Mapping[str, Any]) -> Told:
    """Raises Reason."""
    notes: Notes = Counter()
    thoughts: dict[str, str] = {}
    said = [
        _said(key, json_table(node, f"node {key!r:.50}"), thoughts, notes)
        for key, node in json_table(item["mapping"], "mapping").items()
    ]
    return Told(
        key=text_of(item.get("conversation_id")) or text_of(item.get("id")),
        title=text_of(item.get("title")),
        said=tuple(_thoughtful(said, thoughts)),
        leaf=text_of(item.get("current_node")) or None,
        created=time_of(item.get("create_time")),
        updated=time_of(item.get("update_time")),
        archived=item.get("is_archived") is True,
        pinned=item.get("is_starred") is True,
        notes=tuple(Reason(key, count=count, **{name: value}) for (key, (name, value)), count in notes.items()),
    )


def _said(key: str, node: Mapping[str, Any], thoughts: dict[str, str], notes: Notes) -> Said:
    nothing = Said(key, text_of(node.get("parent")) or None, None)
    if node.get("message") is None:
        return nothing
    message = json_table(node["message"], f"the message of node {key!r:.50}")
    about, content = table_in(message, "metadata"), table_in(message, "content")
    kind = content.get("content_type")
    if about.get("is_visually_hidden_from_conversation") is True and kind != "user_editable_context":
        return nothing
    text = _text(content, notes)
    if kind == "thoughts":
        thoughts[key] = text
        return nothing
    return replace(
        nothing,
        message=_message(key, message, text, notes) if text.strip() else None,
        created=time_of(message.get("create_time")),
        model=text_of(about.get("model_slug")) or None,
        finish=text_of(table_in(about, "finish_details").get("type")) or None,
    )


def _message(key: str, message: Mapping[str, Any], text: str, notes: Notes) -> Message | None:
    author = table_in(message, "author")
    role, to = author.get("role"), text_of(message.get("recipient")) or "all"
    if role == "user" and table_in(message, "content").get("content_type") == "user_editable_context":
        return Message("system", text)  # what the user has told ChatGPT about themselves, once for all
    if role == "assistant" and to not in ("all", "assistant"):
        return Message("assistant", "", tool_calls=(ToolCall(key, to, text),))
    if role == "tool":
        return Message("tool", text, name=text_of(author.get("name")) or None)
    if role in ("user", "assistant", "system"):
        return Message(role, text)
    notes["roles", ("role", f"{role!r:.30}")] += 1
    return None


def _text(content: Mapping[str, Any], notes: Notes) -> str:
    found: list[str] = []
    for part in [*list_in(content, "parts"), *list_in(content, "thoughts")]:
        text = text_of(part)
        if isinstance(part, dict):
            text = text_of(part.get("text")) or text_of(part.get("content"))
            if not text:
                kind = text_of(part.get("content_type"))[:40] or "unknown"
                notes["kinds", ("kind", kind)] += 1
        if text:
            found.append(text)
    return "\n\n".join(found or filter(None, (text_of(content.get(name)) for name in _TEXTS)))


def _thoughtful(said: list[Said], thoughts: Mapping[str, str]) -> list[Said]:
    """With thoughts in the answers that they led to: those right above an answer, with nothing said in between."""
    known = {one.key: one for one in said}
    found = []
    for one in said:
        above: list[str] = []
        place = known.get(one.parent or "")
        for _ in range(_CHAIN):
            if place is None or place.message is not None:
                break
            above.insert(0, thoughts.get(place.key, ""))
            place = known.get(place.parent or "")
        if one.message and one.message.role == "assistant" and any(above):
            one = replace(one, message=replace(one.message, reasoning="\n\n".join(filter(None, above))))
        found.append(one)
    return found
