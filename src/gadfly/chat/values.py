"""The nouns of a conversation, and what it needs of a model: values and protocols only.

`Speaker` is all that a chat knows of a language model; `gadfly.llm.LLM` is one, and tests script their own. How turns
become a conversation: `gadfly.chat.session`. Who is speaking: `gadfly.chat.persona`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gadfly.completion import Completion, Sampling
from gadfly.conversation import Message, Role

__all__ = ["Generation", "Message", "Reply", "Role", "Speaker", "Turn"]


@dataclass(frozen=True)
class Reply:
    """An answer and who gave it. `notice` says in a sentence what the model no longer saw, if that grew with it."""

    text: str
    completion: Completion
    persona: str
    wit: float
    notice: str | None = None


@dataclass(frozen=True)
class Turn:
    """What the user said and what came back; None: nothing yet, or it failed.

    The model saw the turns from number `first` on when it answered. `attempt` counts the answers to the same text.
    """

    user: str
    reply: Reply | None = None
    first: int = 0
    attempt: int = 0

    @property
    def messages(self) -> list[Message]:
        """Both sides, or nothing if there is no answer: a question without one only confuses the next."""
        if self.reply is None or not self.reply.text.strip():
            return []
        return [Message("user", self.user), Message("assistant", self.reply.text)]


class Generation(Protocol):
    """An answer that is being written."""

    def __iter__(self) -> Iterator[str]:
        """Pieces of text, as they come."""

    def cancel(self) -> None:
        """Stop soon. Never waits: safe from other threads and signal handlers."""

    @property
    def completion(self) -> Completion:
        """The whole, once iteration has ended or it was cancelled."""


class Speaker(Protocol):
    """A model that can be talked to."""

    @property
    def context(self) -> int:
        """Tokens that a prompt and its answer have room in, together."""

    @property
    def has_template(self) -> bool:
        """Whether the model was trained for conversations. Any other plays its part in a transcript."""

    def expert_use(self) -> Sequence[Sequence[int]] | None:
        """Tokens that each expert of each layer has been given so far; None if it is no mixture of experts."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The messages as the model expects them, up to where its answer begins.

        Raises UnsupportedError if the model cannot be talked to at all.
        """

    def respond(
        self, prompt_ids: Sequence[int], max_tokens: int | None, sampling: Sampling, stop: Sequence[str]
    ) -> Generation:
        """Begin an answer. Raises RequestError for values out of range."""
