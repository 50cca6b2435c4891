"""The engine: takes requests from any thread, runs steps, hands out tokens.

There is no thread of its own: whoever waits for a token runs the next step, for everybody, and those who come
meanwhile wait for its end and see what it brought them. A server, where nobody may wait, lends one thread to `run`, and
listeners hear of new tokens. One lock guards the queue and the turn; while a step is running only the thread that runs
it touches sequences and pages.

What a step computes is decided in `gadfly.engine.scheduler`; how, behind the function given to `Engine`; what becomes
of it, in `gadfly.engine.progress`.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter

from gadfly.batch import Batch
from gadfly.engine.chunk import Chunk
from gadfly.engine.counts import Counts
from gadfly.engine.handle import Handle, Listener
from gadfly.engine.pace import Pace
from gadfly.engine.pages import PagePool
from gadfly.engine.prefix import PrefixIndex
from gadfly.engine.progress import Progress
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
        self._pools = states is not None
        self._prefix = PrefixIndex(PagePool(pages), page_size)
        pace = Pace(prompt_share)
        self._scheduler = Scheduler(self._prefix, step_tokens, pace, speculate)
        self._max_waiting = max_waiting
        self._clock = clock
        self._counts = Counts(pages=pages)
        self._turn = threading.Condition(threading.Lock())
        self._progress = Progress(
            step,
            states,
            vocab,
            self.context,
            page_size,
            self._scheduler,
            pace,
            self._counts,
            clock,
            self._turn,
        )
        self._stepping = False
        self._draining = False

    def submit(self, request: Request, listener: Listener | None = None) -> Handle:
        """Queue a request; does not wait. Raises RequestError or ContextError if it can never run, BusyError for now.

        `listener` is called with the handle after every step that brought it tokens, and when it is finished, by the
        thread that ran the step or cancelled: it may submit and cancel, but must not wait. What it raises fails the
        request.
        """
        request.validate(self.vocab, self.context)
        if request.pooling and not self._pools:
            raise RequestError("vectors are not made here, only answers")
        sequence = Sequence(request, self.context)
        handle = Handle(self, sequence)
        with self._turn:
            waiting = len(self._scheduler.waiting)
            if self._draining:
                raise BusyError(
                    "no new requests are taken: the engine is about to stop", self._progress.seconds(waiting)
                )
            if self._max_waiting is not None and not self._scheduler.waiting.has_room(
                request.client, self._max_waiting
            ):
                seconds = self._progress.seconds(1)
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
                news = self._progress.take_news()
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
                self._progress.compute(chunks)
            self._tell(self._progress.take_news())
            return bool(chunks)
        finally:
            with self._turn:
                for chunk in chunks:
                    if chunk.draft and not chunk.sequence.finished:
                        self._scheduler.trim(chunk.sequence)
                self._stepping = False
                self._turn.notify_all()

    def _sweep(self) -> None:
        """Let go of those that were cancelled or are too late."""
        now = self._clock()
        for sequence in self._scheduler.sequences():
            if sequence.cancelled:
                self._progress.end(sequence, "cancelled")
            elif sequence.deadline is not None and now >= sequence.deadline:
                limit, written = sequence.request.seconds, sequence.generated
                message = f"no end after {limit:g} s and {written} tokens; ask for fewer tokens or allow more time"
                self._progress.end(sequence, error=DeadlineError(message))

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
                    self._progress.finish(sequence, error=error)
