"""The path of a stored conversation, as messages for a model and as turns for whoever shows it.

A question whose answer failed before its first word is left out of what a model sees, together with it: a question
without an answer only confuses the next. Two questions in a row become one, because templates want turns, and calls
of tools have results, one each.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gadfly.chat.settled import settled
from gadfly.chat.values import Message, Provenance, Reply, Turn
from gadfly.completion import Completion, FinishReason, Usage

if TYPE_CHECKING:  # a database is loaded by those who keep something
    from gadfly.chat.store import Conversation, Node, Store

__all__ = ["history", "turns_of"]


def history(path: Iterable["Node"], store: "Store") -> list[Message]:
    """What a model is shown of a path. Reads the files that belong to it: not for the thread of an event loop."""
    told: list[Message] = []
    for node in path:
        one = node.message
        if one.role == "assistant" and not one.content.strip() and not one.tool_calls:
            if told and told[-1].role == "user":
                told.pop()
            continue
        if one.role == "user":
            one = store.said(node)
            if told and told[-1].role == "user":
                one = Message("user", f"{told.pop().content}\n\n{one.content}")
        told.append(one)
    return settled(told)


def turns_of(conversation: "Conversation", store: "Store") -> tuple[Turn, ...]:
    """The path that is shown, as turns: each begins with a question and ends before the next."""
    begun: list[list[Node]] = []
    for node in conversation.path:
        if node.message.role == "user" or not begun:
            begun.append([])
        begun[-1].append(node)
    return tuple(_turn(conversation, nodes, store) for nodes in begun)


def _turn(conversation: "Conversation", nodes: Sequence["Node"], store: "Store") -> Turn:
    asked = nodes[0] if nodes[0].message.role == "user" else None
    answers = nodes[1:] if asked else nodes
    last = answers[-1] if answers and answers[-1].message.role == "assistant" else None
    attempt = len(conversation.tree.children(asked.id)) - 1 if asked and answers else 0
    return Turn(
        asked.message.content if asked else "",
        None if last is None or last.state == "failed" or not last.message.content else _reply(last),
        attempt=attempt,
        node=asked.id if asked else None,
        attachments=tuple(store.attachment(one.hash) for one in asked.attachments) if asked else (),
        between=tuple(node.message for node in (answers[:-1] if last else answers)),
    )


def _reply(node: "Node") -> Reply:
    origin = node.provenance
    completion = Completion(node.message.content, (), _finish(node), _usage(origin))
    return Reply(
        completion.text, completion, origin.persona or "", 0.5 if origin.wit is None else origin.wit, None, node.id
    )


def _finish(node: "Node") -> FinishReason:
    """As close as a completion can say it."""
    if node.state in ("stopped", "interrupted"):
        return "cancelled"
    return "length" if node.provenance.finish == "length" else "stop"


def _usage(origin: Provenance) -> Usage:
    spent = origin.usage
    counts = (int(spent.get(name, 0)) for name in ("prompt_tokens", "cached_tokens", "completion_tokens"))
    return Usage(*counts, *(float(spent.get(name, 0)) for name in ("prefill_seconds", "decode_seconds")))
