"""A conversation as a line of JSON, as trainers take it: OpenAI's messages, or ShareGPT's.

    {"messages": [{"role", "content", …}], "id", "title", "created", "updated",
     "provenance": [{"message": 1, "model", "licence", "training": "free" | "conditions" | "forbidden" | "unknown", …}]}
    {"conversations": [{"from", "value"}], "id", …}

Files stand in the messages as the model was shown them. A system prompt that the chat has of its own comes first; what
a persona adds is in the provenance by name. What licences say of training on each answer: `gadfly.chat.licences`.
"""

import json
from collections.abc import Mapping
from typing import Any

from gadfly.chat.licences import training_verdict
from gadfly.chat.store import Conversation, Node, Store
from gadfly.chat.values import Message

__all__ = ["message_table", "messages", "sharegpt"]

_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system", "tool": "tool"}


def messages(conversation: Conversation, store: Store) -> str:
    """The path that is shown."""
    told = _told(conversation, store)
    return _line({"messages": [message_table(message) for message, _ in told], **_about(conversation, told)})


def sharegpt(conversation: Conversation, store: Store) -> str:
    """The path that is shown."""
    told = _told(conversation, store)
    values = [{"from": _SPEAKERS[message.role], "value": message.content} for message, _ in told]
    return _line({"conversations": values, **_about(conversation, told)})


def message_table(message: Message) -> dict[str, Any]:
    """As OpenAI's API has it."""
    table: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        table["reasoning"] = message.reasoning
    if message.tool_calls:
        table["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    more = {"tool_call_id": message.tool_call_id, "name": message.name}
    return table | {name: value for name, value in more.items() if value}


def _told(conversation: Conversation, store: Store) -> list[tuple[Message, Node | None]]:
    said = [(store.said(node), node) for node in conversation.path]
    return [*((message, None) for message in conversation.system), *said]


def _about(conversation: Conversation, told: list[tuple[Message, Node | None]]) -> dict[str, Any]:
    info = conversation.info
    origins = []
    for number, (message, node) in enumerate(told):
        if node is not None and message.role == "assistant":
            origin = node.provenance
            known = {name: value for name, value in vars(origin).items() if value not in (None, {}, 0)}
            origins.append({"message": number, **known, "training": training_verdict(origin).training})
    about = {"id": info.id, "title": info.title, "created": info.created, "updated": info.updated}
    return {**about, "provenance": origins}


def _line(table: Mapping[str, Any]) -> str:
    return json.dumps(table, ensure_ascii=False) + "\n"
