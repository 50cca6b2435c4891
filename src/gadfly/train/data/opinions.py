"""What users thought of answers, as data to learn from: of the conversations that a store keeps.

    lessons.jsonl   conversations of which an answer got a thumb up; only such answers are learnt
    pairs.jsonl     corrections, votes, and thumbs up beside thumbs down on the same question
    thumbs.jsonl    thumbs on answers that are in no pair

An answer is taken only if the licence of the model that gave it, or the terms of where it was imported from, let other
models be trained on it: see `gadfly.chat.licences`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gadfly.chat.exports.lines import message_table
from gadfly.chat.exports.pairs import ALLOWED, Licences, verdict
from gadfly.chat.licences import training_verdict
from gadfly.chat.store import Conversation, Node, Store
from gadfly.chat.values import Provenance, said_with
from gadfly.conversation import Message

__all__ = ["FILES", "Gathered", "gather"]

FILES = ("lessons.jsonl", "pairs.jsonl", "thumbs.jsonl")
UNFIT = "of a form that cannot be learnt"  # without a question, or with calls of tools


@dataclass
class Gathered:
    """`left_out` counts answers by what their licences say, and what had to be skipped otherwise."""

    lines: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def gather(store: Store, owner: str, licences: Licences, gathered: Gathered) -> Iterator[tuple[str, dict[str, Any]]]:
    """Lines with the file they belong to."""
    paired: set[tuple[str, str]] = set()
    for pair in store.pairs(owner):
        paired |= {(pair.chat, one.content) for one in (pair.chosen, pair.rejected)}
        allowed = verdict(pair) in ALLOWED[licences]
        if not allowed or not pair.prompt or any(map(_uses_tools, (*pair.prompt, pair.chosen, pair.rejected))):
            gathered.left_out[verdict(pair) if not allowed else UNFIT] += 1
            continue
        gathered.lines["pairs.jsonl"] += 1
        yield (
            "pairs.jsonl",
            {
                "prompt": [*_system(store.info(owner, pair.chat).system), *map(message_table, pair.prompt)],
                "chosen": message_table(pair.chosen),
                "rejected": message_table(pair.rejected),
                "kind": pair.because,
                "meta": {"chat": pair.chat, **_origin(pair.chosen_provenance or pair.rejected_provenance)},
            },
        )
    for chat in store.judged(owner):
        for name, table in _of_chat(store, store.open(owner, chat), paired, licences, gathered):
            gathered.lines[name] += 1
            yield name, table


def _of_chat(
    store: Store, chat: Conversation, paired: set[tuple[str, str]], licences: Licences, gathered: Gathered
) -> Iterator[tuple[str, dict[str, Any]]]:
    thumbs = {node.id: node for node in chat.nodes if node.feedback and node.feedback.thumb and not node.pruned}
    allowed: dict[int, Node] = {}
    for node in thumbs.values():
        training = training_verdict(node.provenance).training
        fit = node.parent is not None and not any(_uses_tools(one.message) for one in chat.tree.path(node.id))
        if training in ALLOWED[licences] and fit:
            allowed[node.id] = node
        else:
            gathered.left_out[training if fit else UNFIT] += 1
    learnt: set[int] = set()
    for node in sorted(allowed.values(), key=lambda one: -len(chat.tree.path(one.id))):  # a path before its parts
        path = chat.tree.path(node.id)
        liked = {one.id for one in path if one.id in allowed and _thumb(one) == 1} - learnt
        if _thumb(node) == 1 and node.id in liked:
            learnt |= liked
            messages = [_told(store, one, one.id in liked) for one in path]
            about = {"chat": chat.info.id, **_origin(node.provenance)}
            yield "lessons.jsonl", {"messages": [*_system(chat.info.system), *messages], "meta": about}
    for node in allowed.values():
        if (chat.info.id, node.message.content) not in paired:
            asked = [_told(store, one) for one in chat.tree.path(node.parent)]
            yield (
                "thumbs.jsonl",
                {
                    "prompt": [*_system(chat.info.system), *asked],
                    "reply": message_table(node.message),
                    "label": _thumb(node) == 1,
                    "kind": "thumb",
                    "meta": {"chat": chat.info.id, **_origin(node.provenance)},
                },
            )


def _told(store: Store, node: Node, learnt: bool = True) -> dict[str, Any]:
    message = node.message
    if node.attachments:
        message = said_with(message.content, [store.attachment(file.hash) for file in node.attachments])
    table = message_table(message)
    return table if learnt or message.role != "assistant" else {**table, "train": False}


def _system(text: str | None) -> list[dict[str, Any]]:
    return [{"role": "system", "content": text}] if text else []


def _thumb(node: Node) -> int:
    return node.feedback.thumb if node.feedback else 0


def _uses_tools(message: Message) -> bool:
    return bool(message.tool_calls) or message.role == "tool"


def _origin(provenance: Provenance | None) -> dict[str, Any]:
    """Of what a licence speaks; nothing of what the user wrote."""
    if provenance is None:
        return {}
    found = {"model": provenance.model, "licence": provenance.licence, "source": provenance.source}
    return {name: value for name, value in found.items() if value}
