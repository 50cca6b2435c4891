"""A model that says what a test tells it to, and remembers what it was asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gadfly.chat.persona import Persona, Voice
from gadfly.chat.values import Message, Provenance
from gadfly.completion import Completion, FinishReason, Sampling, Usage
from gadfly.conversation import Tool

ROLES = {"system": 300, "user": 301, "assistant": 302, "tool": 304}
ANSWER = 303

PERSONA = Persona("tester", "For tests.", (Voice(0, "Be brief.", "Hello.", (("1?", "One."),)),))
"""Its messages take 9 + 1, 2 + 1 and 4 + 1 of the scripted speaker's tokens: 18."""


@dataclass
class ScriptedGeneration:
    pieces: Sequence[str]
    prompt: Sequence[int]
    limit: int | None
    failure: BaseException | None = None
    said: list[str] = field(default_factory=list)
    cancelled: bool = False
    ended: bool = False

    def __iter__(self) -> Iterator[str]:
        for piece in self.pieces[: self.limit]:
            if self.cancelled:
                return
            self.said.append(piece)
            yield piece
        if self.failure:
            raise self.failure
        self.ended = True

    def cancel(self) -> None:
        self.cancelled = True

    @property
    def completion(self) -> Completion:
        cut = self.limit is not None and len(self.pieces) > self.limit
        reason: FinishReason = "cancelled" if not self.ended else "length" if cut else "stop"
        return Completion("".join(self.said), (), reason, Usage(len(self.prompt), 0, len(self.said), 0.5, 0.25))


class ScriptedSpeaker:
    """Tokens are the bytes of messages and a token for each role, so lengths are easy to reckon."""

    def __init__(
        self,
        answer: Callable[[list[Message], Sampling], Sequence[str]] | str = "Yes, indeed.",
        context: int = 4096,
        has_template: bool = True,
    ) -> None:
        self.context = context
        self.has_template = has_template
        self.failure: BaseException | None = None  # raised at the end of every answer
        self.asked: list[list[Message]] = []
        self.prompts: list[list[int]] = []
        self.stops: tuple[str, ...] = ()  # of the last question
        self._answer = answer

    @property
    def provenance(self) -> Provenance:
        return Provenance(model="scripted", licence="CC0-1.0")

    def expert_use(self) -> list[list[int]] | None:
        return None

    def reads(self) -> None:
        return None

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:  # noqa: ARG002
        ids = [token for message in messages for token in (ROLES[message.role], *message.content.encode())]
        return [*ids, ANSWER]

    def cast(self, persona: Persona) -> Persona:
        return persona

    def strengths(
        self,
        asked: Mapping[str, float],
        persona: str | None = None,  # noqa: ARG002
        wit: float | None = None,  # noqa: ARG002
    ) -> Mapping[str, float]:
        return asked

    def respond(
        self,
        prompt_ids: Sequence[int],
        max_tokens: int | None,
        sampling: Sampling,
        stop: Sequence[str],
        adapters: Mapping[str, float] | None = None,
    ) -> ScriptedGeneration:
        self.adapters = adapters
        self.stops = tuple(stop)
        messages = self.parse(prompt_ids)
        self.asked.append(messages)
        self.prompts.append(list(prompt_ids))
        pieces = _words(self._answer) if isinstance(self._answer, str) else self._answer(messages, sampling)
        return ScriptedGeneration(pieces, prompt_ids, max_tokens, self.failure)

    def stream(self, prompt: str, max_tokens: int | None = None, **sampling: Any) -> ScriptedGeneration:
        """What `gadfly run --raw` asks of a model."""
        return self.respond([ROLES["user"], *prompt.encode(), ANSWER], max_tokens, Sampling(**sampling), ())

    def parse(self, ids: Sequence[int]) -> list[Message]:
        """The messages that made these ids."""
        names = {number: role for role, number in ROLES.items()}
        found: list[tuple[Any, bytearray]] = []
        for token in ids[:-1]:
            if token in names:
                found.append((names[token], bytearray()))
            else:
                found[-1][1].append(token)
        return [Message(role, content.decode()) for role, content in found]


def _words(text: str) -> list[str]:
    return [f"{word} " for word in text.split()[:-1]] + text.split()[-1:]
