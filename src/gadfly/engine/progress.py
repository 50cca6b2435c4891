"""What becomes of requests in a step: chunks are computed, prompts read on, tokens drawn, guesses verified.

Who has the turn, who waits and who is told is the engine's affair; what is computed next, the scheduler's.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from gadfly.batch import Batch
from gadfly.completion import FinishReason
from gadfly.engine.chunk import Chunk
from gadfly.engine.counts import Counts
from gadfly.engine.likelihood import likelihood, likelihoods
from gadfly.engine.pace import Pace
from gadfly.engine.request import Sequence
from gadfly.engine.scheduler import Scheduler
from gadfly.ops import Floats

__all__ = ["Progress"]


@dataclass(eq=False)
class Progress:
    """`step` and `states` compute a batch, as `Engine` is given them; `turn` has its lock, `clock` tells seconds.

    What is done is added to `counts`, and how long it took to `pace`. It does not know the engine: whoever lets go of
    that is rid of the weights at once.
    """

    step: Callable[[Batch], Floats]
    states: Callable[[Batch], Floats] | None
    vocab: int
    context: int
    page_size: int
    scheduler: Scheduler
    pace: Pace
    counts: Counts
    clock: Callable[[], float]
    turn: threading.Condition
    _news: dict[Sequence, None] = field(default_factory=dict)  # of whom listeners have yet to hear
    _interval: float = 0.0  # seconds of steps from the end of a request to that of the next, lately
    _last_end: float = 0.0  # by the seconds of all steps

    def compute(self, chunks: list[Chunk]) -> None:
        """Of the thread that has the turn. If it fails, so do the requests of these chunks."""
        began = self.clock()
        answers = sum(chunk.count + len(chunk.draft) for chunk in chunks if chunk.decodes)
        read = [(chunk.count, chunk.sequence.computed) for chunk in chunks if not chunk.decodes]
        written = [chunk for chunk in chunks if not chunk.sequence.pool]
        pooled = [chunk for chunk in chunks if chunk.sequence.pool]
        if (written and not self._advance(written, self.step, began)) or (
            pooled and self.states and not self._advance(pooled, self.states, began)
        ):
            return
        seconds = self.clock() - began
        self.counts.steps += 1
        self.counts.step_seconds += seconds
        if answers and read:
            along = sum(count for count, _ in read)
            position = sum(count * first for count, first in read) // along
            self.pace.note_prompt(answers, along, position, seconds)
        elif answers:
            self.pace.note(answers, seconds)

    def _advance(self, chunks: list[Chunk], step: Callable[[Batch], Floats], began: float) -> bool:
        """Compute chunks and go on with what comes of them; False if that failed, and all their requests with it."""
        batch = Batch.of([chunk.span(self.page_size) for chunk in chunks])
        try:
            found = step(batch)
            if len(found) != len(batch.rows) or (step is self.step and found.shape[1:] != (self.vocab,)):
                raise ValueError(f"a step returned logits of shape {found.shape}, not {(len(batch.rows), self.vocab)}")
        except Exception as error:
            for chunk in chunks:
                self.finish(chunk.sequence, error=error)
            return False
        first = 0
        for chunk in chunks:
            sequence = chunk.sequence
            last = first + len(sequence.wanted(chunk.count))
            rows, drafted = found[first:last], found[last : last + len(chunk.draft)]
            first = last + len(drafted)
            self._count(chunk)
            self.scheduler.advance(sequence, chunk.count)
            if sequence.pool:
                sequence.pool.add(rows)
            elif sequence.unread:
                self._read(sequence, rows)
            if sequence.pool or sequence.pending:
                sequence.spend(self.clock() - began)
                if not sequence.pending:
                    self.finish(sequence, "stop")
            else:
                self._extend(sequence, rows[-1], began)
                self._verify(chunk, drafted)
        return True

    def _read(self, sequence: Sequence, rows: Floats) -> None:
        """Note how likely the next tokens of a prompt were."""
        prompt, known = sequence.request.prompt, len(sequence.prompt_likelihoods)
        tokens = list(prompt[known : known + len(rows)])
        sequence.prompt_likelihoods += likelihoods(rows[: len(tokens)], tokens, sequence.request.logprobs or 0)

    def _verify(self, chunk: Chunk, rows: Floats) -> None:
        """Go on with what was drafted as long as it is what was drawn: `rows` are the logits behind each of its tokens.

        Keys and values of the rest stay where they are, behind everything that is computed, until they are overwritten.
        """
        sequence = chunk.sequence
        for guess, logits in zip(chunk.draft, rows, strict=True):
            if sequence.finished or sequence.tokens[-1] != guess:
                break
            self.scheduler.advance(sequence, 1)
            self.counts.accepted_tokens += 1
            sequence.drafter.win()
            self._extend(sequence, logits, self.clock())
        self.counts.drafted_tokens += len(chunk.draft)

    def _extend(self, sequence: Sequence, logits: Floats, began: float) -> None:
        request = sequence.request
        try:
            token = sequence.sampler.draw(logits, sequence.tokens, len(request.prompt))
        except Exception as error:
            self.finish(sequence, error=error)
            return
        sequence.spend(self.clock() - began)
        if token in request.stop_ids and not request.ignore_eos:
            self.finish(sequence, "stop")
            return
        if request.logprobs is not None:
            sequence.likelihoods.append(likelihood(logits, token, request.logprobs))
        sequence.tokens.append(token)
        self.counts.generated_tokens += 1
        self._news[sequence] = None
        if sequence.sampler.complete:
            self.finish(sequence, "stop")
        elif sequence.generated == request.max_tokens or len(sequence.tokens) == self.context:
            self.finish(sequence, "length")

    def _count(self, chunk: Chunk) -> None:
        """Tokens of a chunk that has been computed, before anybody notes it."""
        sequence = chunk.sequence
        self.counts.prompt_tokens += max(0, min(chunk.count, len(sequence.request.prompt) - sequence.computed))

    def finish(self, sequence: Sequence, reason: FinishReason | None = None, error: Exception | None = None) -> None:
        """Of the thread that has the turn and not the lock."""
        with self.turn:
            self.end(sequence, reason, error)

    def end(self, sequence: Sequence, reason: FinishReason | None = None, error: Exception | None = None) -> None:
        """Of the thread that has the lock."""
        self.scheduler.remove(sequence)
        sequence.finish_reason, sequence.error = reason, error
        self._news[sequence] = None
        self.counts.finished += 1
        self._interval += (self.counts.step_seconds - self._last_end - self._interval) / 8
        self._last_end = self.counts.step_seconds

    def take_news(self) -> list[Sequence]:
        """Sequences with new tokens, or at their end, since it was asked last."""
        news, self._news = list(self._news), {}
        return news

    def seconds(self, places: int) -> float:
        """An estimate of when so many requests will have ended: at the pace of the latest, at least a second."""
        return max(1.0, places * self._interval)
