"""The engine: takes requests from any thread, runs steps, hands out tokens.

There is no thread of its own: whoever waits for a token runs the next step, for everybody, and those who come
meanwhile wait for its end and see what it brought them. A server, where nobody may wait, lends one thread to `run`, and
listeners hear of new tokens. One lock guards the queue and the turn; while a step is running only the thread that runs
it touches sequences and pages.

What a step computes is decided in `gadfly.engine.scheduler`; how, behind the function given to `Engine`.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter

from gadfly.batch import Batch
from gadfly.completion import FinishReason
from gadfly.engine.chunk import Chunk
from gadfly.engine.counts import Counts
from gadfly.engine.handle import Handle, Listener
from gadfly.engine.likelihood import likelihood, likelihoods
from gadfly.engine.pace import Pace
from gadfly.engine.pages import PagePool
from gadfly.engine.prefix import PrefixIndex
from gadfly.engine.request import Request, Sequence
from gadfly.engine.scheduler import Scheduler
from gadfly.errors import BusyError, DeadlineError, RequestError, SettingsError
from gadfly.ops import Floats

__all__ = ["Engine"]


class Engine:
    """Runs requests through `step`, a function from a batch to float32 logits (wanted rows, vocab).

    Requests with `pooling` go through `states`, which gives hidden states (wanted rows, dim) over the same pages.

    `step` keeps keys and values in `pages` pages of `page_size` positions; each call computes up to `step_tokens`
    tokens. If it raises, the requests of that batch fail with what it raised, and the engine goes on. At most
    `max_waiting` requests wait for others to end, and there is room left for other clients than theirs. With
    `speculate`, a step computes tokens that are likely to come next together with those that have to come before them,
    where that is quicker; answers are the same to the bit. While answers are written, prompts have `prompt_share` times
    as much time as these. `clock` tells seconds, for deadlines and for what a step takes.
    """

    def __init__(
        self,
        step: Callable[[Batch], Floats],
        vocab: int,
        context: int,
        pages: int,
        page_size: int,
        step_tokens: int = 512,
        *,
        states: Callable[[Batch], Floats] | None = None,
        max_waiting: int | None = None,
        speculate: bool = True,
        prompt_share: float = 0.8,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        sizes = {"pages": pages, "page_size": page_size, "step_tokens": step_tokens, "max_waiting": max_waiting}
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it has to be at least 1")
        self.vocab = vocab
        self.context = min(context, pages * page_size)  # any one sequence fits into the pool by itself
        self._step = step
        self._states = states
        self._page_size = page_size
        self._prefix = PrefixIndex(PagePool(pages), page_size)
        self._pace = Pace(prompt_share)
        self._scheduler = Scheduler(self._prefix, step_tokens, self._pace, speculate)
        self._max_waiting = max_waiting
        self._clock = clock
        self._counts = Counts(pages=pages)
        self._interval = 0.0  # seconds of steps from the end of a request to that of the next, lately
        self._last_end = 0.0  # by the seconds of all steps
        self._news: dict[Sequence, None] = {}  # of whom listeners have yet to hear
        self._turn = threading.Condition(threading.Lock())
        self._stepping = False
        self._draining = False

    def submit(self, request: Request, listener: Listener | None = None) -> Handle:
        """Queue a request; does not wait. Raises RequestError or ContextError if it can never run, BusyError for now.

        `listener` is called with the handle after every step that brought it tokens, and when it is finished, by the
        thread that ran the step or cancelled: it may submit and cancel, but must not wait. What it raises fails the
        request.
        """
        request.validate(self.vocab, self.context)
        if request.pooling and self._states is None:
            raise RequestError("vectors are not made here, only answers")
        sequence = Sequence(request, self.context)
        handle = Handle(self, sequence)
        with self._turn:
            waiting = len(self._scheduler.waiting)
            if self._draining:
                raise BusyError("no new requests are taken: the engine is about to stop", self._seconds(waiting))
            if self._max_waiting is not None and not self._scheduler.waiting.has_room(
                request.client, self._max_waiting
            ):
                seconds = self._seconds(1)
                raise BusyError(f"{waiting} requests are waiting already; try again in {seconds:.0f} s", seconds)
            if request.seconds is not None:
                sequence.deadline = self._clock() + request.seconds
            if listener:
                sequence.listener = partial(listener, handle)
            self._scheduler.add(sequence)
            self._turn.notify_all()  # a thread in `run` may be waiting for work
        return handle

    def cancel(self, handle: Handle) -> None:
        """Stop a request before the next step; one that is finished stays as it is. Never waits: for signals too."""
        handle._sequence.cancelled = True
        if self._turn.acquire(blocking=False):  # otherwise whoever has the lock sweeps before the next step
            try:
                if self._stepping:
                    return
                self._sweep()
                self._turn.notify_all()
                news = self._take_news()
            finally:
                self._turn.release()
            self._tell(news)

    def step(self) -> bool:
        """Run one step, after the one that may be running; False if there was nothing to do."""
        with self._turn:
            while self._stepping:
                self._turn.wait()
            self._stepping = True
        return self._run()

    def run(self) -> None:
        """Run steps as long as there is work, and wait for more; return once `drain` has seen the end of all."""
        while True:
            with self._turn:
                while self._stepping or (self._scheduler.idle and not self._draining):
                    self._turn.wait()
                if self._scheduler.idle:
                    return
                self._stepping = True
            self._run()

    def drain(self, seconds: float | None = None) -> None:
        """Take no more requests, and return when those under way are finished; after `seconds` they are cancelled."""
        end = None if seconds is None else self._clock() + seconds
        while True:
            with self._turn:
                self._draining = True
                if self._scheduler.idle and not self._stepping:
                    self._turn.notify_all()
                    return
                if end is not None and self._clock() >= end:
                    for sequence in self._scheduler.sequences():
                        sequence.cancelled = True
                if self._stepping:
                    self._turn.wait()
                    continue
                self._stepping = True
            self._run()

    def counts(self) -> Counts:
        """What has been done so far and what is being done now."""
        with self._turn:
            return replace(
                self._counts,
                running=len(self._scheduler.running),
                waiting=len(self._scheduler.waiting),
                pages_held=self._counts.pages - self._prefix.available,
                pages_kept=self._prefix.idle,
                cached_tokens=self._scheduler.cached_tokens,
                preemptions=self._scheduler.preemptions,
            )

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
        chunks: list[Chunk] = []
        try:
            with self._turn:
                self._sweep()
                chunks = self._scheduler.schedule()
            if chunks:
                self._compute(chunks)
            self._tell(self._take_news())
            return bool(chunks)
        finally:
            with self._turn:
                for chunk in chunks:
                    if chunk.draft and not chunk.sequence.finished:
                        self._scheduler.trim(chunk.sequence)
                self._stepping = False
                self._turn.notify_all()

    def _compute(self, chunks: list[Chunk]) -> None:
        began = self._clock()
        answers = sum(chunk.count + len(chunk.draft) for chunk in chunks if chunk.decodes)
        read = [(chunk.count, chunk.sequence.computed) for chunk in chunks if not chunk.decodes]
        written = [chunk for chunk in chunks if not chunk.sequence.pool]
        pooled = [chunk for chunk in chunks if chunk.sequence.pool]
        if (written and not self._advance(written, self._step, began)) or (
            pooled and self._states and not self._advance(pooled, self._states, began)
        ):
            return
        seconds = self._clock() - began
        self._counts.steps += 1
        self._counts.step_seconds += seconds
        if answers and read:
            along = sum(count for count, _ in read)
            position = sum(count * first for count, first in read) // along
            self._pace.note_prompt(answers, along, position, seconds)
        elif answers:
            self._pace.note(answers, seconds)

    def _advance(self, chunks: list[Chunk], step: Callable[[Batch], Floats], began: float) -> bool:
        """Compute chunks and go on with what comes of them; False if that failed, and all their requests with it."""
        batch = Batch.of([chunk.span(self._page_size) for chunk in chunks])
        try:
            found = step(batch)
            if len(found) != len(batch.rows) or (step is self._step and found.shape[1:] != (self.vocab,)):
                raise ValueError(f"a step returned logits of shape {found.shape}, not {(len(batch.rows), self.vocab)}")
        except Exception as error:
            for chunk in chunks:
                self._finish(chunk.sequence, error=error)
            return False
        first = 0
        for chunk in chunks:
            sequence = chunk.sequence
            last = first + len(sequence.wanted(chunk.count))
            rows, drafted = found[first:last], found[last : last + len(chunk.draft)]
            first = last + len(drafted)
            self._count(chunk)
            self._scheduler.advance(sequence, chunk.count)
            if sequence.pool:
                sequence.pool.add(rows)
            elif sequence.unread:
                self._read(sequence, rows)
            if sequence.pool or sequence.pending:
                sequence.spend(self._clock() - began)
                if not sequence.pending:
                    self._finish(sequence, "stop")
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
            self._scheduler.advance(sequence, 1)
            self._counts.accepted_tokens += 1
            sequence.drafter.win()
            self._extend(sequence, logits, self._clock())
        self._counts.drafted_tokens += len(chunk.draft)

    def _extend(self, sequence: Sequence, logits: Floats, began: float) -> None:
        request = sequence.request
        try:
            token = sequence.sampler.draw(logits, sequence.tokens, len(request.prompt))
        except Exception as error:
            self._finish(sequence, error=error)
            return
        sequence.spend(self._clock() - began)
        if token in request.stop_ids and not request.ignore_eos:
            self._finish(sequence, "stop")
            return
        if request.logprobs is not None:
            sequence.likelihoods.append(likelihood(logits, token, request.logprobs))
        sequence.tokens.append(token)
        self._counts.generated_tokens += 1
        self._news[sequence] = None
        if sequence.sampler.complete:
            self._finish(sequence, "stop")
        elif sequence.generated == request.max_tokens or len(sequence.tokens) == self.context:
            self._finish(sequence, "length")

    def _finish(self, sequence: Sequence, reason: FinishReason | None = None, error: Exception | None = None) -> None:
        """Of the thread that has the turn and not the lock."""
        with self._turn:
            self._end(sequence, reason, error)

    def _end(self, sequence: Sequence, reason: FinishReason | None = None, error: Exception | None = None) -> None:
        self._scheduler.remove(sequence)
        sequence.finish_reason, sequence.error = reason, error
        self._news[sequence] = None
        self._counts.finished += 1
        self._interval += (self._counts.step_seconds - self._last_end - self._interval) / 8
        self._last_end = self._counts.step_seconds

    def _sweep(self) -> None:
        """Let go of those that were cancelled or are too late."""
        now = self._clock()
        for sequence in self._scheduler.sequences():
            if sequence.cancelled:
                self._end(sequence, "cancelled")
            elif sequence.deadline is not None and now >= sequence.deadline:
                limit, written = sequence.request.seconds, sequence.generated
                message = f"no end after {limit:g} s and {written} tokens; ask for fewer tokens or allow more time"
                self._end(sequence, error=DeadlineError(message))

    def _take_news(self) -> list[Sequence]:
        news, self._news = list(self._news), {}
        return news

    def _tell(self, news: list[Sequence]) -> None:
        """Call the listeners, in the thread that has the turn, or of finished sequences in any."""
        for sequence in news:
            listener = sequence.listener
            if listener is None:
                continue
            if sequence.finished:
                sequence.listener = None  # it knows the handle, and that the sequence: all it takes would stay a while
            try:
                listener()
            except Exception as error:
                sequence.listener = None
                if sequence.finished:
                    sequence.error = sequence.error or error
                else:
                    self._finish(sequence, error=error)

    def _count(self, chunk: Chunk) -> None:
        """Tokens of a chunk that has been computed, before anybody notes it."""
        sequence = chunk.sequence
        self._counts.prompt_tokens += max(0, min(chunk.count, len(sequence.request.prompt) - sequence.computed))

    def _seconds(self, places: int) -> float:
        """An estimate of when so many requests will have ended: at the pace of the latest, at least a second."""
        return max(1.0, places * self._interval)
