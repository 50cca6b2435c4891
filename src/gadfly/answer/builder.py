"""An answer put together from tokens: a pure, incremental object between the engine and whoever wants events.

Tokens become text, text is read for thoughts and calls of tools, and what is left is searched for stop strings: they
cut an answer short, and have no say in thoughts and arguments. Nothing here waits or computes; `gadfly.answer.answer`
pulls tokens out of the engine, a server may push them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from gadfly.completion import FinishReason, Usage
from gadfly.conversation import AnswerEvent, Finished, TextDelta, TokenLogprob
from gadfly.engine import Likelihood
from gadfly.text import AnswerReader, Decoder, Tokenizer

__all__ = ["AnswerBuilder", "Stops"]


class Stops(Protocol):
    """Where text has to end: `StopStrings` or `TranscriptAnswer`."""

    @property
    def found(self) -> str | None: ...
    def push(self, piece: str) -> tuple[str, bool]: ...
    def flush(self) -> str: ...


class AnswerBuilder:
    """Push every token; `finish` when there are no more, or when `stopped` says that none are wanted.

    `marks` are texts of control tokens that the reader knows; others have no text. `dropped` is passed on. An answer
    that has `begun` goes on from a prefix.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | None,
        stops: Stops,
        reader: AnswerReader | None = None,
        marks: Mapping[int, str] | None = None,
        dropped: int = 0,
        begun: bool = False,
    ) -> None:
        self.stopped = False
        self._tokenizer = tokenizer
        self._decoder = Decoder(tokenizer, begun) if tokenizer else None
        self._stops = stops
        self._reader = reader or AnswerReader()
        self._marks = marks or {}
        self._dropped = dropped
        self._tokens = 0
        self._thought = 0  # tokens of thoughts, marks included
        self._decoded = 0  # characters of all tokens
        self._searched = 0  # of them, those that have been searched for stop strings
        self._shown = 0  # of those, how many may be shown
        self._logprobs: list[tuple[int, TokenLogprob]] = []  # where each token's text begins, not shown yet

    def prompt(self, ids: Sequence[int], likelihoods: Sequence[Likelihood] = (), text: str = "") -> list[AnswerEvent]:
        """The prompt itself as the beginning of the answer; to be called first, if at all."""
        if self._tokenizer and not text:
            text = self._tokenizer.decode(ids)
        return [TextDelta(text, tuple(map(self._logprob, likelihoods)))]

    def push(self, token: int, likelihood: Likelihood | None = None) -> list[AnswerEvent]:
        """What is certain now that this token has come."""
        if self.stopped:
            return []
        self._tokens += 1
        if likelihood is not None:
            self._logprobs.append((self._decoded, self._logprob(likelihood)))
        before = self._reader.thinking
        events = self._read(self._text(token))
        self._thought += before or self._reader.thinking
        return events

    def finish(self, reason: FinishReason, usage: Usage) -> list[AnswerEvent]:
        """The rest, and `Finished`. Tokens that came after the end of the answer are not counted."""
        events: list[AnswerEvent] = []
        if not self.stopped:
            events += self._read(self._decoder.flush() if self._decoder else "")
        if not self.stopped:
            held = self._reader.held
            flushed, border = self._reader.flush(cut=reason != "stop"), self._decoded - held
            if held and not flushed:  # nothing that anybody is shown
                self._logprobs = [one for one in self._logprobs if one[0] < border]
            events += self._searched_for_stops(flushed)
        if not self.stopped:
            events += self._text_events(self._stops.flush(), last=True)
        usage = replace(usage, completion_tokens=self._tokens)
        end = Finished(self._reason(reason), usage, self._stops.found, self._dropped, self._thought)
        return [*events, end]

    def _reason(self, reason: FinishReason) -> FinishReason | Literal["tool_calls"]:
        if self.stopped:
            reason = "stop"
        return "tool_calls" if reason == "stop" and self._reader.called else reason

    def _text(self, token: int) -> str:
        if self._decoder is None:
            return ""
        if token in self._marks:
            return self._decoder.flush() + self._marks[token]
        return self._decoder.push(token)

    def _read(self, text: str) -> list[AnswerEvent]:
        self._decoded += len(text)
        events = self._searched_for_stops(self._reader.push(text))
        if text and not events and not self._reader.held and self._searched == self._shown:
            self._settle()  # a mark, which nobody is shown
        self.stopped = self.stopped or self._reader.ended
        return events

    def _searched_for_stops(self, read: Sequence[AnswerEvent]) -> list[AnswerEvent]:
        events: list[AnswerEvent] = []
        for event in read:
            if isinstance(event, TextDelta):
                self._searched += len(event.text)
                shown, self.stopped = self._stops.push(event.text)
                self._shown += len(shown)
                events += self._text_events(shown)
                if self.stopped:
                    break
            else:
                held = self._stops.flush()
                self._shown += len(held)
                events += self._text_events(held)
                self._settle()
                events.append(event)
        return events

    def _text_events(self, text: str, last: bool = False) -> list[AnswerEvent]:
        logprobs = tuple(one for _, one in self._logprobs) if last else self._settle() if text else ()
        return [TextDelta(text, logprobs)] if text or logprobs else []

    def _settle(self) -> tuple[TokenLogprob, ...]:
        """Take the tokens whose text has come out of reading and searching, by now."""
        border = self._decoded - self._reader.held - (self._searched - self._shown)
        count = sum(start < border for start, _ in self._logprobs)
        settled = tuple(one for _, one in self._logprobs[:count])
        del self._logprobs[:count]
        return settled

    def _logprob(self, likelihood: Likelihood) -> TokenLogprob:
        top = tuple(self._one(token, logprob) for token, logprob in likelihood.top)
        return replace(self._one(likelihood.token, likelihood.logprob), top=top)

    def _one(self, token: int, logprob: float | None) -> TokenLogprob:
        if self._tokenizer is None:
            return TokenLogprob(token, "", b"", logprob)
        data = self._tokenizer.token_bytes(token) or self._tokenizer.token_text(token).encode()
        return TokenLogprob(token, data.decode(errors="replace"), data, logprob)
