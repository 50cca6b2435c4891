"""What the store keeps and gives back, as values. Times are seconds since 1970."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from gadfly.chat.tree import Tree
from gadfly.chat.values import Attachment, Provenance
from gadfly.conversation import Message

__all__ = [
    "Arrival",
    "Cause",
    "ChatInfo",
    "Conversation",
    "Feedback",
    "Hit",
    "Listing",
    "Node",
    "Pair",
    "Place",
    "Rating",
    "Snippet",
    "State",
    "Thumb",
    "Vote",
]

State = Literal["complete", "writing", "stopped", "failed", "interrupted"]
Place = Literal["active", "archived", "deleted"]
Snippet = tuple[tuple[str, bool], ...]  # text in pieces; True marks those that were searched for
Cause = Literal["corrected", "vote", "thumbs"]
Thumb = Literal[-1, 0, 1]


@dataclass(frozen=True)
class ChatInfo:
    """A chat without what was said in it. `leaf` is the last message of the path that is shown; None: it is empty.

    `model` to `adapters` are what the next answer is asked with, where they are set; `draft` is what was typed and not
    sent; `messages` counts all branches; `deleted` is when it was thrown into the bin.
    """

    id: str
    owner: str
    title: str
    created: float
    updated: float
    pinned: bool
    archived: bool
    deleted: float | None
    folder: str
    tags: tuple[str, ...]
    model: str | None
    persona: str | None
    wit: float | None
    system: str | None
    sampling: Mapping[str, Any]
    adapters: Mapping[str, float]
    draft: str
    leaf: int | None
    messages: int


@dataclass(frozen=True)
class Feedback:
    """What a user thinks of an answer: `corrected` is what it should have said."""

    thumb: Thumb = 0
    reasons: tuple[str, ...] = ()
    corrected: str | None = None
    created: float = 0.0


@dataclass(frozen=True)
class Node:
    """A message in its place. While `state` is "writing", `message` is what has been saved of it so far.

    `attachments` have an empty `text` here; `Store.attachment` gives them whole.
    """

    id: int
    parent: int | None
    message: Message
    state: State
    created: float
    visited: int
    name: str
    favourite: bool
    pruned: bool
    provenance: Provenance
    attachments: tuple[Attachment, ...] = ()
    feedback: Feedback | None = None
    has_trace: bool = False


@dataclass(frozen=True)
class Arrival:
    """A message that was said elsewhere: `parent` is the position of another, `files` name, type and text."""

    parent: int | None
    message: Message
    created: float | None = None
    provenance: Provenance | None = None
    files: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Conversation:
    """A chat with all its messages, oldest first."""

    info: ChatInfo
    nodes: tuple[Node, ...]

    @cached_property
    def tree(self) -> Tree[Node]:
        return Tree(self.nodes)

    @property
    def system(self) -> tuple[Message, ...]:
        """What comes first in what models are shown: the system prompt that the chat has of its own, if it has one."""
        return (Message("system", self.info.system),) if self.info.system else ()

    @property
    def path(self) -> list[Node]:
        """What is shown: from the root to the leaf."""
        return self.tree.path(self.info.leaf)


@dataclass(frozen=True)
class Listing:
    """Chats of a list, and what `cursor` to ask for the rest with; None: these were the last."""

    chats: tuple[ChatInfo, ...]
    next: str | None


@dataclass(frozen=True)
class Hit:
    """A chat that a search found, by the newest message that fits, or by its title alone (`node` None).

    Then `snippet` is how its latest message begins.
    """

    chat: ChatInfo
    node: int | None
    snippet: Snippet


@dataclass(frozen=True)
class Vote:
    """One answer was preferred to another on the same question; `blind`: without knowing whose they were."""

    winner: int
    loser: int
    blind: bool
    created: float


@dataclass(frozen=True)
class Pair:
    """Two answers to the same prompt, of which one is better, and why that is believed.

    The prompt is what their models were shown: files are in it, and a system prompt that the chat has of its own.
    A text of which there is no provenance was written by the user.
    """

    chat: str
    prompt: tuple[Message, ...]
    chosen: Message
    rejected: Message
    chosen_provenance: Provenance | None
    rejected_provenance: Provenance | None
    because: Cause
    reasons: tuple[str, ...]
    created: float
    nodes: tuple[int, int]  # of both answers: the same twice if one was corrected


@dataclass(frozen=True)
class Rating:
    """An answer that was found good or bad by itself: a thumb on what is in no pair."""

    chat: str
    node: int
    prompt: tuple[Message, ...]
    answer: Message
    provenance: Provenance | None
    good: bool
    reasons: tuple[str, ...]
    created: float
