"""Lines as other programs write them, in our own form: see `gadfly.train.data.native`.

    messages     {"messages": [{"role", "content", "weight": 0 | 1}]}             OpenAI's fine-tuning, and ours
    sharegpt     {"conversations": [{"from": "human" | "gpt" | …, "value"}], "system"}
    alpaca       {"instruction", "input", "output", "system"}
    completion   {"prompt", "completion"} and what else questions and answers are called
    pairs        {"prompt", "chosen", "rejected"}: texts, messages, or whole conversations that differ at their end
    thumbs       {"prompt", "completion" or "reply", "label": true | false}
    text         {"text"}

What is `meta`, `dial`, `weight`, `plain`, `provenance` or `licences` stays as it is; an `id` goes into `meta`.
"""

import re
from collections.abc import Mapping
from typing import Any

from gadfly.lines import kind_of

__all__ = ["FORMS", "form_of", "native_table"]

Table = Mapping[str, Any]
Messages = list[dict[str, Any]]

ASKED = ("prompt", "question", "instruction", "query", "input")
SAID = ("completion", "response", "answer", "output", "reply")
ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
KEPT = ("dial", "weight", "plain", "provenance", "licences")  # the last two: where answers come from, for licences
TURN = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")  # as Anthropic's hh-rlhf writes conversations


def form_of(table: Table) -> str | None:
    """Which of FORMS a line is in, by its keys."""
    if "messages" in table:
        return "messages"
    if "conversations" in table or "conversation" in table:
        return "sharegpt"
    if "chosen" in table and "rejected" in table:
        return "pairs"
    asked, said = _first(table, ASKED), _first(table, SAID)
    if asked and said and asked != said and isinstance(table.get("label"), bool):
        return "thumbs"
    if "instruction" in table and said:
        return "alpaca"
    if asked and said and asked != said:
        return "completion"
    return "text" if "text" in table else None


def native_table(table: Table, form: str) -> dict[str, Any]:
    """The line in our own form, still to be checked. Raises ValueError saying what is not understood."""
    found = FORMS[form](table)
    found |= {key: table[key] for key in KEPT if key in table}
    meta = table.get("meta", table.get("metadata", {}))
    if not isinstance(meta, dict):
        raise ValueError(f"meta is {kind_of(meta)}; expected an object")
    if isinstance(table.get("id"), str | int):
        meta = {"id": table["id"], **meta}
    return found | ({"meta": dict(meta)} if meta else {})


def _messages(table: Table) -> dict[str, Any]:
    return {"messages": _led(table, _conversation(table["messages"]))}


def _sharegpt(table: Table) -> dict[str, Any]:
    return {"messages": _led(table, _conversation(table.get("conversations", table.get("conversation"))))}


def _alpaca(table: Table) -> dict[str, Any]:
    asked, more = _text(table, "instruction"), table.get("input") or ""
    if not isinstance(more, str):
        raise ValueError(f"input is {kind_of(more)}; expected text")
    question = f"{asked}\n\n{more}" if more.strip() else asked
    return {"messages": _led(table, [_message("user", question), _message("assistant", _said(table))])}


def _completion(table: Table) -> dict[str, Any]:
    return {"messages": [*_prompt(table), _message("assistant", _said(table))]}


def _pairs(table: Table) -> dict[str, Any]:
    sides = [_side(table[name], name) for name in ("chosen", "rejected")]
    if min(map(len, sides)) > 1:  # whole conversations
        same = 0
        while same < min(map(len, sides)) - 1 and sides[0][same] == sides[1][same]:
            same += 1
        if [len(side) for side in sides] != [same + 1] * 2:
            raise ValueError("chosen and rejected differ before their last message")
        prompt = _led(table, sides[0][:same])
    elif [len(side) for side in sides] == [1, 1]:
        prompt = _prompt(table)
    else:
        raise ValueError("chosen and rejected are of different lengths")
    kind = table.get("kind", table.get("because"))
    extra = {"kind": kind} if isinstance(kind, str) else {}
    return {"prompt": prompt, "chosen": sides[0][-1], "rejected": sides[1][-1], **extra}


def _thumbs(table: Table) -> dict[str, Any]:
    return {"prompt": _prompt(table), "reply": _message("assistant", _said(table)), "label": table["label"]}


def _passage(table: Table) -> dict[str, Any]:
    return {"text": table["text"]}


FORMS = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "completion": _completion,
    "pairs": _pairs,
    "thumbs": _thumbs,
    "text": _passage,
}


def _prompt(table: Table) -> Messages:
    name = _first(table, ASKED)
    if name is None:
        raise ValueError(f"has no prompt; expected one of {', '.join(ASKED)}")
    given = table[name]
    if isinstance(given, list):
        return _led(table, _conversation(given))
    return _led(table, [_message("user", _text(table, name))])


def _side(given: Any, name: str) -> Messages:
    """An answer, or a conversation that ends with it."""
    if isinstance(given, str):
        cut = TURN.split(given)
        if len(cut) > 1 and not cut[0].strip():
            return [_message(ROLES[who.lower()], said.strip()) for who, said in zip(cut[1::2], cut[2::2], strict=True)]
        return [_message("assistant", given)]
    return _conversation(given if isinstance(given, list) else [given], name)


def _conversation(given: Any, name: str = "message") -> Messages:
    if not isinstance(given, list) or not given:
        raise ValueError(f"the conversation is {kind_of(given)}; expected a list of messages")
    return [_said_by(item, f"{name} {number}") for number, item in enumerate(given, 1)]


def _said_by(item: Any, name: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ValueError(f"{name} is {kind_of(item)}; expected an object")
    role, content = item.get("role", item.get("from")), item.get("content", item.get("value"))
    if not isinstance(role, str) or role.lower() not in ROLES:
        raise ValueError(f"{name} is said by {role!r:.40}, who is not known")
    if item.get("tool_calls") or item.get("function_call"):
        raise ValueError(f"{name} calls a tool, which cannot be learnt yet")
    if isinstance(content, list):  # parts, as OpenAI has them
        if any(not isinstance(part, dict) or not isinstance(part.get("text"), str) for part in content):
            raise ValueError(f"{name} has something other than text in it")
        content = "\n".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise ValueError(f"the content of {name} is {kind_of(content)}; expected text")
    message = _message(ROLES[role.lower()], content)
    if message["role"] == "assistant" and (item.get("train") is False or item.get("weight") == 0):
        message["train"] = False
    if message["role"] == "assistant" and "likely" in item:
        message["likely"] = item["likely"]
    return message


def _led(table: Table, messages: Messages) -> Messages:
    """With the system prompt that stands beside the conversation."""
    system = table.get("system", table.get("system_prompt"))
    if not isinstance(system, str) or not system.strip() or messages[0]["role"] == "system":
        return messages
    return [_message("system", system), *messages]


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _said(table: Table) -> str:
    name = _first(table, SAID)
    if name is None:
        raise ValueError(f"has no answer; expected one of {', '.join(SAID)}")
    given = table[name]
    if isinstance(given, list) and len(given) == 1:  # as TRL's conversational form has it
        given = _said_by(given[0], name)["content"]
    elif isinstance(given, dict):
        given = _said_by(given, name)["content"]
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"{name} is {'empty' if isinstance(given, str) else kind_of(given)}; expected text")
    return given


def _text(table: Table, name: str) -> str:
    given = table.get(name)
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"{name} is {'empty' if isinstance(given, str) else kind_of(given)}; expected text")
    return given


def _first(table: Table, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in table), None)
