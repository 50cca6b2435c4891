"""A request under way, as whoever asked sees it: its tokens as they come, how far it is, and a way to stop it.

It computes nothing; who waits for a token runs steps of the engine, as told in `gadfly.engine.engine`.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gadfly.completion import FinishReason, Usage
from gadfly.engine.likelihood import Likelihood
from gadfly.engine.request import Sequence
from gadfly.errors import BusyError
from gadfly.ops import Floats

if TYPE_CHECKING:
    from gadfly.engine.engine import Engine

__all__ = ["Handle", "Listener"]

Listener = Callable[["Handle"], None]


class Handle:
    """A request under way: iterate for its new tokens as they come, or `wait` for all of them.

    Iteration starts at the first token of the answer, ends when the request is finished or cancelled, and raises what
    made it fail. The token that stopped it is not among them.
    """

    def __init__(self, engine: "Engine", sequence: Sequence) -> None:
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

    def vector(self) -> Floats:
        """What a request with `pooling` is for, when it is finished: float32 (dim,), of length 1.

        Raises what made it fail, and BusyError if it was cancelled.
        """
        self.wait()
        if self._sequence.pool is None or self._sequence.finish_reason == "cancelled":
            raise BusyError("the text was not read to its end: it was given up, or the model is about to stop", 1.0)
        return self._sequence.pool.vector

    def cancel(self) -> None:
        """Stop before the next step. Safe in any thread, in a signal handler and when it is finished already."""
        self._engine.cancel(self)

    @property
    def ids(self) -> list[int]:
        """The tokens of the answer so far."""
        return self.after(0)

    def after(self, count: int) -> list[int]:
        """The tokens of the answer so far, without the first `count`."""
        return self._sequence.tokens[len(self._sequence.request.prompt) + count :]

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
    def position(self) -> int:
        """Its place among those who wait, from 1; 0 if it runs or is finished."""
        with self._engine._turn:
            return self._engine._scheduler.position(self._sequence)

    @property
    def seconds_to_start(self) -> float:
        """An estimate of how long it has yet to wait; 0 if it runs or is finished."""
        position = self.position
        return self._engine._progress.seconds(position) if position else 0.0

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
