"""What a model is shown of a conversation: the messages of a path, with the files that belong to them written out.

A question whose answer failed before its first word is left out with it: a question without an answer only confuses the
next. Two questions in a row become one, because templates want turns, and calls of tools have results, one each.
"""

from collections.abc import Iterable, Sequence

from gadfly.chat.settled import settled
from gadfly.chat.store import Attachment, Node, Store
from gadfly.conversation import Message

__all__ = ["history", "said_with"]


def history(path: Iterable[Node], store: Store) -> list[Message]:
    """Reads the files: not for the thread of an event loop."""
    told: list[Message] = []
    for node in path:
        one = node.message
        if one.role == "assistant" and not one.content.strip() and not one.tool_calls:
            if told and told[-1].role == "user":
                told.pop()
            continue
        if one.role == "user":
            one = said_with(one.content, [store.attachment(each.hash) for each in node.attachments])
            if told and told[-1].role == "user":
                one = Message("user", f"{told.pop().content}\n\n{one.content}")
        told.append(one)
    return settled(told)


def said_with(text: str, attachments: Sequence[Attachment]) -> Message:
    """What a user says, with the text of files in front of it: what stands last is what a small model answers to."""
    files = [f"{one.name}:\n```\n{one.text.strip()}\n```" for one in attachments]
    return Message("user", "\n\n".join([*files, text]))
