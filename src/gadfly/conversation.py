"""What a model is asked over an API and what it answers, while it is being written: values only.

No wire format and no engine is known here. `gadfly.api` turns what clients send into a `ChatRequest`, `TextRequest` or
`EmbeddingRequest`, and the events of an answer into what they expect; `gadfly.llm` makes the events.

    ChatRequest ── llm.answer ──►  ReasoningDelta* TextDelta* (ToolCallStart ToolCallDelta*)* Finished
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gadfly.completion import FinishReason, Sampling, Usage

__all__ = [
    "STRONGEST",
    "AnswerEvent",
    "AnswerFormat",
    "ChatRequest",
    "EmbeddingRequest",
    "Embeddings",
    "Finished",
    "Grammar",
    "JsonSchema",
    "Message",
    "ReasoningDelta",
    "Regex",
    "Role",
    "TextDelta",
    "TextRequest",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallStart",
    "ToolChoice",
]

Role = Literal["system", "user", "assistant", "tool"]
STRONGEST = 2.0  # that an adapter may be, of which 1 is what it was trained at


@dataclass(frozen=True)
class ToolCall:
    """A model's wish to have a tool called. `arguments` is JSON text as the model wrote it, so it may be invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """What one side says, as chat templates see it. `tool_call_id` is set where a tool answers."""

    role: Role
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Tool:
    """A function that the model may ask for. `parameters` is a JSON schema; `strict` has the model held to it."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True)
class ToolChoice:
    """Whether tools may, must or must not be called, which of them (None: any), and whether several at once."""

    mode: Literal["auto", "required", "none"] = "auto"
    name: str | None = None
    parallel: bool = True


@dataclass(frozen=True)
class JsonSchema:
    """The answer is JSON that a schema allows; an empty schema allows any object."""

    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})


@dataclass(frozen=True)
class Regex:
    """The answer matches a regular expression from its first character to its last."""

    pattern: str


@dataclass(frozen=True)
class Grammar:
    """The answer is a sentence of a grammar, written in llama.cpp's GBNF or in Lark's notation."""

    text: str
    language: Literal["gbnf", "lark"] = "gbnf"


AnswerFormat = JsonSchema | Regex | Grammar


@dataclass(frozen=True)
class ChatRequest:
    """Answer a conversation. `None` leaves the choice to the model or the server.

    `logprobs` asks for the log probability of every token of the answer and of so many alternatives. With `truncate`
    the oldest messages may be left out to make room, and `Finished` says how many; otherwise there is a ContextError.
    `persona` and `wit` put a persona's prompt in front; `adapters` maps names to strengths, up to STRONGEST. The answer
    goes on from `prefix`, which it is made to begin with and which is not told again.
    """

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    sampling: Sampling | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    format: AnswerFormat | None = None
    logprobs: int | None = None
    n: int = 1
    truncate: bool = False
    persona: str | None = None
    wit: float | None = None
    adapters: Mapping[str, float] = field(default_factory=dict)
    template_variables: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""


@dataclass(frozen=True)
class TextRequest:
    """Continue text or ids as they are. `echo` repeats the prompt, and with `logprobs` says how likely it was."""

    prompt: str | Sequence[int]
    max_tokens: int | None = None
    sampling: Sampling | None = None
    stop: tuple[str, ...] = ()
    format: AnswerFormat | None = None
    logprobs: int | None = None
    echo: bool = False
    n: int = 1
    truncate: bool = False
    ignore_eos: bool = False
    adapters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddingRequest:
    """A vector for each input, text or ids."""

    inputs: tuple[str | tuple[int, ...], ...]
    truncate: bool = False
    adapters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Embeddings:
    """A vector of length 1 for each input, and how many tokens the inputs had together."""

    vectors: Sequence[Sequence[float]]
    tokens: int


@dataclass(frozen=True)
class TokenLogprob:
    """A token, its bytes, its natural log probability (None for the first of a prompt), and the likeliest instead."""

    id: int
    text: str
    bytes: bytes
    logprob: float | None
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True)
class TextDelta:
    """More of the answer. `logprobs` are those of the tokens it is made of, if they were asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class ReasoningDelta:
    """More of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True)
class ToolCallStart:
    """The model begins to call a tool, the `index`-th of this answer."""

    index: int
    id: str
    name: str


@dataclass(frozen=True)
class ToolCallDelta:
    """More of the JSON text of a call's arguments."""

    index: int
    arguments: str


@dataclass(frozen=True)
class Finished:
    """The last event. `stop` is the stop string that ended the answer; `dropped` messages had no room.

    Of the tokens that `usage` counts, `reasoning_tokens` were thought and not said.
    """

    reason: FinishReason | Literal["tool_calls"]
    usage: Usage
    stop: str | None = None
    dropped: int = 0
    reasoning_tokens: int = 0


AnswerEvent = TextDelta | ReasoningDelta | ToolCallStart | ToolCallDelta | Finished
