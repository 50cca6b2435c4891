"""The engine: takes requests from any thread, runs steps, hands out tokens.

There is no thread of its own: whoever waits for a token runs the next step, for everybody, and those who come
meanwhile wait for its end and see what it brought them. One lock guards the queue and the turn; while a step is
running only the thread that runs it touches sequences and pages.

What a step computes is decided in `gadfly.engine.scheduler`; how, behind the function given to `Engine`.
"""

import threading
from collections.abc import Callable, Iterator
from time import perf_counter

from gadfly.batch import Batch
from gadfly.completion import FinishReason, Usage
from gadfly.engine.likelihood import Likelihood, likelihood, likelihoods
from gadfly.engine.pages import PagePool
from gadfly.engine.prefix import PrefixIndex
from gadfly.engine.request import Request, Sequence
from gadfly.engine.scheduler import Chunk, Scheduler
from gadfly.errors import SettingsError
from gadfly.ops import Floats

__all__ = ["Engine", "Handle"]


class Engine:
    """Runs requests through `step`, a function from a batch to float32 logits (wanted rows, vocab).

    `step` keeps keys and values in `pages` pages of `page_size` positions; each call computes up to `step_tokens`
    tokens. If it raises, the requests of that batch fail with what it raised, and the engine goes on.
    """

    def __init__(
        self,
        step: Callable[[Batch], Floats],
        vocab: int,
        context: int,
        pages: int,
        page_size: int,
        step_tokens: int = 512,
    ) -> None:
        for name, value in (("pages", pages), ("page_size", page_size), ("step_tokens", step_tokens)):
            if value < 1:
                raise SettingsError(f"{name} is {value}; it has to be at least 1")
        self.vocab = vocab
        self.context = min(context, pages * page_size)  # any one sequence fits into the pool by itself
        self._step = step
        self._page_size = page_size
        self._scheduler = Scheduler(PrefixIndex(PagePool(pages), page_size), step_tokens)
        self._turn = threading.Condition(threading.Lock())
        self._stepping = False

    def submit(self, request: Request) -> "Handle":
        """Queue a request. Raises RequestError or ContextError if it can never run; does not wait."""
        request.validate(self.vocab, self.context)
        sequence = Sequence(request)
        with self._turn:
            self._scheduler.add(sequence)
        return Handle(self, sequence)

    def cancel(self, handle: "Handle") -> None:
        """Stop a request before the next step; one that is finished stays as it is. Never waits: for signals too."""
        handle._sequence.cancelled = True
        if self._turn.acquire(blocking=False):  # otherwise whoever has the lock sweeps before the next step
            try:
                if not self._stepping:
                    self._sweep()
            finally:
                self._turn.release()

    def step(self) -> bool:
        """Run one step, after the one that may be running; False if there was nothing to do."""
        with self._turn:
            while self._stepping:
                self._turn.wait()
            self._stepping = True
        return self._run()

    def check(self) -> None:
        """Assert the invariants of sequences and pages. For tests, between steps."""
        with self._turn:
            assert not self._stepping
            self._scheduler.check()

    def _wait(self, sequence: Sequence, seen: int) -> None:
        """Return when the sequence has more than `seen` new tokens or is finished; run steps while nobody else does."""
        while True:
            with self._turn:
                while self._stepping and sequence.generated <= seen and not sequence.finished:
                    self._turn.wait()
                if sequence.generated > seen or sequence.finished:
                    return
                self._stepping = True
            self._run()

    def _run(self) -> bool:
        """One step of the thread that has set `_stepping`."""
        try:
            with self._turn:
                self._sweep()
                chunks = self._scheduler.schedule()
            if chunks:
                self._compute(chunks)
            return bool(chunks)
        finally:
            with self._turn:
                self._stepping = False
                self._turn.notify_all()

    def _compute(self, chunks: list[Chunk]) -> None:
        began = perf_counter()
        batch = Batch.of([chunk.span(self._page_size) for chunk in chunks])
        try:
            logits = self._step(batch)
            if logits.shape != (len(batch.rows), self.vocab):
                raise ValueError(f"a step returned logits of shape {logits.shape}, not {(len(batch.rows), self.vocab)}")
        except Exception as error:
            for chunk in chunks:
                self._finish(chunk.sequence, error=error)
            return
        first = 0
        for chunk in chunks:
            last = first + len(chunk.sequence.wanted(chunk.count))
            rows, first = logits[first:last], last
            self._scheduler.advance(chunk)
            if chunk.sequence.unread:
                self._read(chunk.sequence, rows)
            if chunk.sequence.pending:
                chunk.sequence.spend(perf_counter() - began)
            else:
                self._extend(chunk.sequence, rows[-1], began)

    def _read(self, sequence: Sequence, rows: Floats) -> None:
        """Note how likely the next tokens of a prompt were."""
        prompt, known = sequence.request.prompt, len(sequence.prompt_likelihoods)
        tokens = list(prompt[known : known + len(rows)])
        sequence.prompt_likelihoods += likelihoods(rows[: len(tokens)], tokens, sequence.request.logprobs or 0)

    def _extend(self, sequence: Sequence, logits: Floats, began: float) -> None:
        request = sequence.request
        try:
            token = sequence.sampler.draw(logits, sequence.tokens, len(request.prompt))
        except Exception as error:
            self._finish(sequence, error=error)
            return
        sequence.spend(perf_counter() - began)
        if token in request.stop_ids and not request.ignore_eos:
            self._finish(sequence, "stop")
            return
        if request.logprobs is not None:
            sequence.likelihoods.append(likelihood(logits, token, request.logprobs))
        sequence.tokens.append(token)
        if sequence.sampler.complete:
            self._finish(sequence, "stop")
        elif sequence.generated == request.max_tokens or len(sequence.tokens) == self.context:
            self._finish(sequence, "length")

    def _finish(self, sequence: Sequence, reason: FinishReason | None = None, error: Exception | None = None) -> None:
        self._scheduler.remove(sequence)
        sequence.finish_reason, sequence.error = reason, error

    def _sweep(self) -> None:
        for sequence in (*self._scheduler.running, *self._scheduler.waiting):
            if sequence.cancelled:
                self._finish(sequence, "cancelled")


class Handle:
    """A request under way: iterate for its new tokens as they come, or `wait` for all of them.

    Iteration starts at the first token of the answer, ends when the request is finished or cancelled, and raises what
    made it fail. The token that stopped it is not among them.
    """

    def __init__(self, engine: Engine, sequence: Sequence) -> None:
        self._engine = engine
        self._sequence = sequence

    def __iter__(self) -> Iterator[int]:
        sequence, seen = self._sequence, 0
        while True:
            self._engine._wait(sequence, seen)
            if seen == sequence.generated:
                break
            yield sequence.tokens[len(sequence.request.prompt) + seen]
            seen += 1
        if sequence.error:
            raise sequence.error

    def wait(self) -> list[int]:
        """All tokens of the answer, when it is finished. Raises what made it fail."""
        return list(self)

    def cancel(self) -> None:
        """Stop before the next step. Safe in any thread, in a signal handler and when it is finished already."""
        self._engine.cancel(self)

    @property
    def ids(self) -> list[int]:
        """The tokens of the answer so far."""
        return self._sequence.tokens[len(self._sequence.request.prompt) :]

    @property
    def prompt(self) -> tuple[int, ...]:
        return self._sequence.request.prompt

    @property
    def prompt_likelihoods(self) -> list[Likelihood]:
        """Of the tokens of the prompt, if they were asked for; all are there when the answer has begun."""
        return list(self._sequence.prompt_likelihoods)

    def likelihood(self, index: int) -> Likelihood | None:
        """Of a token of the answer that is there; None if it was not asked for."""
        return self._sequence.likelihoods[index] if self._sequence.request.logprobs is not None else None

    @property
    def finish_reason(self) -> FinishReason | None:
        """None as long as it is under way, and if it failed."""
        return self._sequence.finish_reason

    @property
    def error(self) -> Exception | None:
        """What made it fail."""
        return self._sequence.error

    @property
    def finished(self) -> bool:
        return self._sequence.finished

    @property
    def usage(self) -> Usage:
        """So far. Seconds are those of the steps it took part in, which it may have shared with others."""
        return self._sequence.usage()
