"""What users thought of answers, as data to learn from: of the conversations that a store keeps.

    lessons.jsonl   conversations of which an answer got a thumb up; only such answers are learnt
    pairs.jsonl     corrections, votes, and thumbs up beside thumbs down on the same question
    thumbs.jsonl    thumbs on answers that are in no pair

An answer is taken only if the licence of the model that gave it, or the terms of where it was imported from, let other
models be trained on it: see `gadfly.chat.licences`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gadfly.chat.exports.lines import message_table
from gadfly.chat.exports.pairs import ALLOWED, Licences, verdict
from gadfly.chat.licences import training_verdict
from gadfly.chat.store import Conversation, Node, Store
from gadfly.chat.values import Provenance
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
    for pair in store.pairs(owner):
        allowed = verdict(pair) in ALLOWED[licences]
        if not allowed or not _fit((*pair.prompt, pair.chosen, pair.rejected)):
            gathered.left_out[verdict(pair) if not allowed else UNFIT] += 1
            continue
        gathered.lines["pairs.jsonl"] += 1
        yield (
            "pairs.jsonl",
            {
                "prompt": [*map(message_table, pair.prompt)],
                "chosen": message_table(pair.chosen),
                "rejected": message_table(pair.rejected),
                "kind": pair.because,
                "meta": {"chat": pair.chat, **_origin(pair.chosen_provenance or pair.rejected_provenance)},
            },
        )
    for chat in store.judged(owner):
        for table in _lessons(store, store.open(owner, chat), licences, gathered):
            gathered.lines["lessons.jsonl"] += 1
            yield "lessons.jsonl", table
    for rating in store.ratings(owner):
        if training_verdict(rating.provenance).training in ALLOWED[licences] and _fit((*rating.prompt, rating.answer)):
            gathered.lines["thumbs.jsonl"] += 1
            yield (
                "thumbs.jsonl",
                {
                    "prompt": [*map(message_table, rating.prompt)],
                    "reply": message_table(rating.answer),
                    "label": rating.good,
                    "kind": "thumb",
                    "meta": {"chat": rating.chat, **_origin(rating.provenance)},
                },
            )


def _lessons(store: Store, chat: Conversation, licences: Licences, gathered: Gathered) -> Iterator[dict[str, Any]]:
    """Also counts all of its thumbs that are left out."""
    thumbs = (node for node in chat.nodes if node.feedback and node.feedback.thumb and not node.pruned)
    allowed: dict[int, Node] = {}
    for node in thumbs:
        training = training_verdict(node.provenance).training
        fit = _fit(tuple(one.message for one in chat.tree.path(node.id)))
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
            yield {"messages": [*map(message_table, chat.system), *messages], "meta": about}


def _told(store: Store, node: Node, learnt: bool) -> dict[str, Any]:
    table = message_table(store.said(node))
    return table if learnt or node.message.role != "assistant" else {**table, "train": False}


def _thumb(node: Node) -> int:
    return node.feedback.thumb if node.feedback else 0


def _fit(messages: Sequence[Message]) -> bool:
    """Whether an answer, the last of them, has a question, and nothing is a call of a tool."""
    asked = any(one.role == "user" for one in messages[:-1])
    return asked and not any(one.tool_calls or one.role == "tool" for one in messages)


def _origin(provenance: Provenance | None) -> dict[str, Any]:
    """Of what a licence speaks; nothing of what the user wrote."""
    if provenance is None:
        return {}
    found = {"model": provenance.model, "licence": provenance.licence, "source": provenance.source}
    return {name: value for name, value in found.items() if value}
