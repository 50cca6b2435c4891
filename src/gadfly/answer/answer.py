"""An answer under way: events to iterate for, or to take without waiting.

A request for several answers has as many choices, which share the engine's steps and the prompt that it reads once.
How tokens become events: `gadfly.answer.builder`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from gadfly.answer.builder import AnswerBuilder
from gadfly.completion import Usage
from gadfly.conversation import AnswerEvent, ReasoningDelta, TextDelta, ToolCallDelta
from gadfly.engine import Handle

__all__ = ["Answer", "Choice", "EngineChoice"]


class Choice(Protocol):
    """One of the answers to a request."""

    @property
    def finished(self) -> bool:
        """Whether its last event, `Finished`, has been given out, or what made it fail raised."""

    @property
    def usage(self) -> Usage:
        """So far. Tokens of the prompt are known before those of the answer, but for one that is written elsewhere."""

    @property
    def fingerprint(self) -> str | None:
        """What an engine elsewhere says of itself, once it has; None of one in this process."""

    @property
    def prompt(self) -> Sequence[int]:
        """The ids that the model was given; none of one that runs elsewhere."""

    def __iter__(self) -> Iterator[AnswerEvent]:
        """Events as they come, those excepted that `take` has given out. Raises what made the request fail."""

    def take(self) -> list[AnswerEvent]:
        """The events that are there by now, without waiting; raises what made the request fail."""

    def cancel(self) -> None:
        """Stop soon; it still finishes. Never waits: safe from other threads and signal handlers."""


class Answer:
    """What came of a request. Iterating gives the events of its choices, each up to its `Finished`, one after another.

    Most requests have one choice; whoever wants several at once iterates, or takes from, each of `choices`.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = tuple(choices)

    def __iter__(self) -> Iterator[AnswerEvent]:
        for choice in self.choices:
            yield from choice

    def cancel(self) -> None:
        """Stop all choices soon. Never waits: safe from other threads and signal handlers."""
        for choice in self.choices:
            choice.cancel()

    @property
    def finished(self) -> bool:
        return all(choice.finished for choice in self.choices)


class EngineChoice:
    """A choice that an engine writes. `limit` 0 is an answer of no tokens, which no engine can be asked for.

    `echo` is the text of the prompt, or None if it is not wanted.
    """

    fingerprint = None

    def __init__(
        self, handle: Handle, builder: AnswerBuilder, limit: int | None = None, echo: str | None = None
    ) -> None:
        self.finished = False
        self._handle = handle
        self._builder = builder
        self._limit = limit
        self._echo = echo
        self._seen = 0

    @property
    def usage(self) -> Usage:
        return self._handle.usage

    @property
    def prompt(self) -> Sequence[int]:
        return self._handle.prompt

    def __iter__(self) -> Iterator[AnswerEvent]:
        tokens = iter(self._handle)
        while not self.finished:
            with suppress(Exception):  # which `take` raises, after what had come before
                next(tokens, None)
            yield from self.take()

    def take(self) -> list[AnswerEvent]:
        return joined(self._taken())

    def _taken(self) -> list[AnswerEvent]:
        if self.finished:
            return []
        ended = self._handle.finished  # asked first: no token comes after it
        tokens = self._handle.after(self._seen)
        events: list[AnswerEvent] = []
        if self._echo is not None and (tokens or ended) and not self._handle.error:
            echo, self._echo = self._echo, None
            return self._builder.prompt(self._handle.prompt, self._handle.prompt_likelihoods, echo)
        if self._limit == 0 and tokens:
            return [*events, *self._finish()]
        for token in tokens:
            events += self._builder.push(token, self._handle.likelihood(self._seen))
            self._seen += 1
            if self._builder.stopped:
                return [*events, *self._finish()]
        if ended and self._handle.error:
            self.finished = not events  # these first
            if events:
                return events
            raise self._handle.error
        return [*events, *self._finish()] if ended else events

    def _finish(self) -> list[AnswerEvent]:
        self.finished = True
        reason = self._handle.finish_reason or "length"
        self._handle.cancel()
        return self._builder.finish(reason, self._handle.usage)

    def cancel(self) -> None:
        self._handle.cancel()

    def __del__(self) -> None:
        self._handle.cancel()  # whoever forgets an answer does not want its rest


def joined(events: Iterable[AnswerEvent]) -> list[AnswerEvent]:
    """The same answer in fewer events: what came together is one piece, which is sent and read at the price of one."""
    found: list[AnswerEvent] = []
    for event in events:
        match found[-1:], event:
            case [TextDelta() as last], TextDelta():
                found[-1] = TextDelta(last.text + event.text, last.logprobs + event.logprobs)
            case [ReasoningDelta() as last], ReasoningDelta():
                found[-1] = ReasoningDelta(last.text + event.text)
            case [ToolCallDelta() as last], ToolCallDelta() if last.index == event.index:
                found[-1] = ToolCallDelta(event.index, last.arguments + event.arguments)
            case _:
                found.append(event)
    return found
