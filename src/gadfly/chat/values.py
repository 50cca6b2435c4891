"""The nouns of a conversation, and what it needs of a model: values and protocols only.

`Speaker` is all that a chat knows of a language model; `gadfly.llm.LLM` is one, and tests script their own. How turns
become a conversation: `gadfly.chat.session`. Who is speaking: `gadfly.chat.persona`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gadfly.chat.settled import settled
from gadfly.completion import Completion, Reads, Sampling
from gadfly.conversation import AnswerEvent, ChatRequest, Message, Role, Tool

if TYPE_CHECKING:
    from gadfly.chat.persona import Persona

__all__ = [
    "Answering",
    "Attachment",
    "Generation",
    "Message",
    "Provenance",
    "Reply",
    "Role",
    "Speaker",
    "Turn",
    "said_with",
]


@dataclass(frozen=True)
class Provenance:
    """Where an answer comes from: enough to have it again, where it was ours.

    What answers of a conversation share: `model` with its `digest` and `licence`, `build` (version of Gadfly, kernels,
    context, …), `persona`, `wit`, `system`, `adapters`, `sampling`; `source` names the format of an import. Then what
    became of it: the `seed` that was drawn, `finish` (stop, length, cancelled, tool_calls), `usage` in tokens and
    seconds, `dropped` messages that had no room, and the `error` that ended it.
    """

    model: str | None = None
    digest: str | None = None
    licence: str | None = None
    build: Mapping[str, Any] = field(default_factory=dict)
    persona: str | None = None
    wit: float | None = None
    system: str | None = None
    adapters: Mapping[str, float] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    seed: int | None = None
    finish: str | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    dropped: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Attachment:
    """A file that belongs to messages. `hash` is of its name, type and bytes together; `text` is what a model reads."""

    hash: str
    name: str
    type: str
    bytes: int
    text: str


def said_with(text: str, attachments: Sequence[Attachment]) -> Message:
    """What a user says, with the text of files in front of it: what stands last is what a small model answers to."""
    files = [f"{one.name}:\n```\n{one.text.strip()}\n```" for one in attachments]
    return Message("user", "\n\n".join([*files, text]))


@dataclass(frozen=True)
class Reply:
    """An answer and who gave it. `notice` says in a sentence what the model no longer saw, if that grew with it.

    `node` is its number in a store, if the conversation is kept in one.
    """

    text: str
    completion: Completion
    persona: str
    wit: float
    notice: str | None = None
    node: int | None = None


@dataclass(frozen=True)
class Turn:
    """What the user said and what came back; None: nothing yet, or it failed.

    The model saw the turns from number `first` on when it answered. `attempt` counts the answers to the same text.
    What follows is only found in conversations of a store: `node` is the question's number there, `attachments` are
    files that belong to it, `between` calls of tools and their results before the reply. Without a question (`user`
    is empty) it is a greeting.
    """

    user: str
    reply: Reply | None = None
    first: int = 0
    attempt: int = 0
    node: int | None = None
    attachments: tuple[Attachment, ...] = ()
    between: tuple[Message, ...] = ()

    @property
    def messages(self) -> list[Message]:
        """Both sides, or nothing if there is no answer: a question without one only confuses the next."""
        if self.reply is None or not self.reply.text.strip():
            return []
        asked = [said_with(self.user, self.attachments)] if self.user else []
        return settled([*asked, *self.between, Message("assistant", self.reply.text)])


class Answering(Protocol):
    """An answer under way, in events."""

    def __iter__(self) -> Iterator[AnswerEvent]: ...

    def cancel(self) -> None: ...


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

    @property
    def provenance(self) -> Provenance:
        """Which model this is, with what is known of it: what its answers have in common."""

    def expert_use(self) -> Sequence[Sequence[int]] | None:
        """Tokens that each expert of each layer has been given so far; None if it is no mixture of experts."""

    def reads(self) -> Reads | None:
        """What its experts on disk have cost so far; None if it has none there."""

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The messages, and tools that may be called, as the model expects them, up to where its answer begins.

        Raises UnsupportedError if the model cannot be talked to at all.
        """

    def cast(self, persona: "Persona") -> "Persona":
        """As the model was trained to play it, if it was."""

    def strengths(
        self, asked: Mapping[str, float], persona: str | None = None, wit: float | None = None
    ) -> Mapping[str, float]:
        """Of every adapter of the model, by name, for an answer of a persona; `asked` wins. Raises RequestError."""

    def respond(
        self,
        prompt_ids: Sequence[int],
        max_tokens: int | None,
        sampling: Sampling,
        stop: Sequence[str],
        adapters: Mapping[str, float] | None = None,
    ) -> Generation:
        """Begin an answer, with adapters as strong as `strengths` said. Raises RequestError for values out of range."""

    def answer(self, request: ChatRequest) -> Answering:
        """Begin an answer in events, which may call tools. Raises RequestError, ContextError."""
