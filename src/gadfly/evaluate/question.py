"""What a model is asked to be judged, as values: how likely it holds answers, what it answers, how well it reads.

A `Task` has questions of a file, says of each outcome whether it is right, where that makes sense, and makes numbers
of all. Outcomes are plain values that survive as JSON; who gets them from a model: `gadfly.evaluate.subject`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gadfly.conversation import Message
from gadfly.evaluate.metric import Metric

__all__ = ["Asking", "Found", "Outcome", "Question", "Ranking", "Reading", "Task"]


@dataclass(frozen=True)
class Ranking:
    """How likely each of `answers` is: {"scores": [[log p, tokens, bytes], …]}. `whole` counts the end of a turn, too.

    `key` says which question of its file this is; `facts` are what the task has to know of it.
    """

    key: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False


@dataclass(frozen=True)
class Asking:
    """What the model answers, in up to `tokens`: {"said": text, "finish": why it ended}."""

    key: str
    messages: tuple[Message, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    tokens: int = 256


@dataclass(frozen=True)
class Reading:
    """How likely a text is, as it is: {"logprob": log p, "tokens": all but the first, "bytes": of the text}."""

    key: str
    text: str


Question = Ranking | Asking | Reading
Outcome = Mapping[str, Any]
Found = Sequence[tuple[Any, Outcome]]  # questions and outcomes


@dataclass(frozen=True)
class Task:
    """`kind` is what it is, `digest` of its file; `left_out` counts lines that are no questions."""

    kind: str
    file: Path
    digest: str
    questions: tuple[Question, ...]
    metrics: Callable[[Found], dict[str, Metric]]
    right: Callable[[Any, Outcome], bool | None] = lambda *_: None
    left_out: int = 0

    @property
    def id(self) -> str:
        """The same for the same questions, wherever the file lies."""
        return f"{self.kind}:{self.digest[:16]}"
