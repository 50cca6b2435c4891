"""An answer under way: what was ordered, what there is of it by now, and how it is ended."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gadfly.answer import Choice
from gadfly.chat.store import Node, Provenance, Writing
from gadfly.conversation import Message
from gadfly.server.app.shapes import node_shape
from gadfly.server.app.terms import Asked
from gadfly.server.app.tool_use import Kit

__all__ = ["Job", "Order"]


@dataclass(frozen=True)
class Order:
    """What is to be answered where, and with what.

    The answer goes on from `text`, with which it begins, and `reasoning`; `before` is the trace of what was there.
    With a `kit` of tools the model may call some, and is asked again when there are results.
    """

    owner: str
    chat: str
    asked: Asked
    messages: Sequence[Message]
    text: str = ""
    reasoning: str = ""
    before: Mapping[str, Any] | None = None
    kit: Kit | None = None


class Job:
    """An answer under way, as a `feeds.Draft`."""

    def __init__(self, order: Order, writing: Writing, provenance: Provenance) -> None:
        self.order = order
        self.node = writing.node.id
        self.pieces: list[tuple[bool, str]] = []
        self.task: asyncio.Task[None] | None = None
        self.choices: Sequence[Choice] = ()
        self.ending: Literal["stopped", "interrupted"] | None = None
        self.provenance = provenance
        self.writing = writing
        self.kept: Node | None = None  # once it is written; tools may be called for it then
        for thought, text in ((True, order.reasoning), (False, order.text)):
            if text:
                self.pieces.append((thought, text))

    @property
    def text(self) -> str:
        return "".join(text for thought, text in self.pieces if not thought)

    @property
    def reasoning(self) -> str:
        return "".join(text for thought, text in self.pieces if thought)

    def shape(self) -> dict[str, Any]:
        """The node with what there is by now."""
        return node_shape(self.kept) if self.kept else node_shape(self.writing.node, self.text, self.reasoning)

    def end(self, how: Literal["stopped", "interrupted"]) -> None:
        """Soon."""
        self.ending = self.ending or how
        if self.order.kit is not None:
            self.order.kit.stop()
        if self.choices:
            for choice in self.choices:
                choice.cancel()
        elif self.task is not None:
            self.task.cancel()
