"""A chat in the store as one who talks in it holds it: the end of a path, to which questions and answers are added.

Both the terminal and Python keep conversations so; the app's server, in which many pages look at many chats, uses the
store itself. A chat is made at its first question: nobody wants a list of empty ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from gadfly.chat.history import turns_of
from gadfly.chat.title import title_of
from gadfly.chat.values import Message, Provenance, Turn
from gadfly.completion import Completion, Sampling

if TYPE_CHECKING:  # a database is loaded by those who keep something
    from gadfly.chat.store import Conversation, Node, Store, Writing

__all__ = ["Kept", "asked_with", "end_of"]


class Kept:
    """`chat` is the id of the chat that is spoken in; None until something has been said."""

    def __init__(self, store: "Store", owner: str = "") -> None:
        self.store = store
        self.owner = owner
        self.chat: str | None = None
        self._terms: dict[str, Any] = {}

    def new(self) -> None:
        """What is said next is another chat."""
        self.chat, self._terms = None, {}

    def open(self, chat: str) -> "Conversation":
        """Go on in a chat of the store. Raises NotFoundError."""
        conversation = self.store.open(self.owner, chat)
        self.chat, self._terms = chat, {}
        return conversation

    def choose(self, node: int) -> None:
        """Have the path go through `node`."""
        self.store.choose(self.owner, self.chat or "", node)

    def turns(self) -> tuple[Turn, ...]:
        """What is in the store of the path that is shown."""
        return turns_of(self.store.open(self.owner, self.chat), self.store) if self.chat else ()

    def ask(self, parent: int | None, turn: Turn, terms: Mapping[str, Any]) -> int:
        """Keep a question under `parent`. `terms` are fields of the chat that the app may go on with."""
        with self.store.writing():
            if self.chat is None:
                self.chat = self.store.create(self.owner, title_of(turn.user)).id
            if terms != self._terms:
                self.store.change(self.owner, self.chat, **terms)
                self._terms = dict(terms)
            files = [one.hash for one in turn.attachments]
            return self.store.say(self.owner, self.chat, parent, Message("user", turn.user), files).id

    def begin(self, question: int | None, provenance: Provenance, text: str = "") -> "Writing":
        """An answer that is about to be written, beginning with `text`."""
        return self.store.begin(self.owner, str(self.chat), question, provenance, text)

    def add(self, parent: int | None, message: Message) -> int:
        """Keep what a tool has given back."""
        return self.store.say(self.owner, str(self.chat), parent, message).id

    def end(
        self,
        writing: "Writing",
        provenance: Provenance,
        completion: Completion,
        error: Exception | None,
        said: Message | None = None,
    ) -> "Node":
        """What has come of it; `said` has calls of tools, too."""
        came = replace(provenance, finish=completion.finish_reason, usage=asdict(completion.usage))
        if error is not None:
            return writing.fail(str(error) or type(error).__name__, came)
        if completion.finish_reason == "cancelled":
            return writing.stop(came)
        return writing.finish(said or Message("assistant", completion.text), came)

    def end_at(self, node: int | None) -> None:
        """Have the path end there."""
        if self.chat is not None:
            self.store.change(self.owner, self.chat, leaf=node)

    def adopt(self, turns: tuple[Turn, ...], terms: Mapping[str, Any]) -> tuple[Turn, ...]:
        """Keep as a new chat what was said elsewhere."""
        self.new()
        parent = None
        with self.store.writing():
            for turn in turns:
                parent = self.ask(parent, turn, terms)
                if (reply := turn.reply) is not None:
                    origin = Provenance(persona=reply.persona, wit=reply.wit, source="gadfly-chat")
                    parent = self.end(self.begin(parent, origin, reply.text), origin, reply.completion, None).id
        return self.turns()


def asked_with(speaker: Provenance, persona: str, wit: float, system: str | None, sampling: Sampling) -> Provenance:
    """What an answer of this speaker is asked with."""
    drawn = {name: value for name, value in asdict(sampling).items() if name != "seed" and value != {}}
    return replace(speaker, persona=persona, wit=wit, system=system, sampling=drawn, seed=sampling.seed)


def end_of(turns: Sequence[Turn]) -> int | None:
    """The number in the store of the last message of these turns."""
    if not turns:
        return None
    reply = turns[-1].reply
    return turns[-1].node if reply is None or reply.node is None else reply.node
