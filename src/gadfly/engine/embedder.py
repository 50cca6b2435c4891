"""Vectors of many texts: requests among others in an engine's queue, a few at a time."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gadfly.engine.cancellation import Cancellation
from gadfly.engine.engine import Engine
from gadfly.engine.handle import Handle
from gadfly.engine.pooling import Pooling
from gadfly.engine.request import Request
from gadfly.errors import BusyError
from gadfly.ops import Floats

__all__ = ["Embedder"]

AHEAD = 16  # sequences that are asked for at once: enough to fill a step, and few in a queue


class Embedder:
    """`engine` has to compute states, see there."""

    def __init__(self, engine: Engine, pooling: Pooling) -> None:
        self._engine = engine
        self._pooling = pooling

    def embed(
        self, sequences: Iterable[Sequence[int]], cancellation: Cancellation | None = None, **terms: Any
    ) -> Floats:
        """Float32 (sequences, dim), rows of length 1. Raises as `Engine.submit` and `Handle.vector` do.

        Given up by its `cancellation`, it ends with BusyError before the next step.
        """
        vectors: list[Floats] = []
        asked: deque[Handle] = deque()
        try:
            for ids in sequences:
                request = Request(tuple(ids), pooling=self._pooling, **terms)
                while not self._ask(request, asked):
                    vectors.append(asked.popleft().vector())
                if cancellation:
                    cancellation.then(asked[-1].cancel)
            while asked:
                vectors.append(asked.popleft().vector())
        finally:
            for handle in asked:
                handle.cancel()
        return np.stack(vectors)

    def _ask(self, request: Request, asked: deque[Handle]) -> bool:
        """False if others have to be finished first."""
        if len(asked) == AHEAD:
            return False
        try:
            asked.append(self._engine.submit(request))
        except BusyError:
            if not asked:
                raise
            return False
        return True
