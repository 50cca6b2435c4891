"""Vectors of token sequences: what the last layer leaves, after the final norm, pooled into one vector of length 1.

Generative models declare no pooling; of them the mean over all tokens is taken. Those that were trained to embed say in
their metadata which token speaks for all. Sequences share steps, and none changes another's vector: a short one is
computed in one piece, a long one is cut at the same places whoever else is there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gadfly.batch import Batch, Span
from gadfly.ops import Floats

__all__ = ["Embedder", "Pooling", "declared_pooling"]

Pooling = Literal["mean", "first", "last"]

# Source: llama.cpp's llama.h, enum llama_pooling_type; 0 is none, 4 is for classifiers.
DECLARED: Mapping[int, Pooling] = {1: "mean", 2: "first", 3: "last"}


def declared_pooling(metadata: Mapping[str, Any]) -> Pooling:
    """What a file's metadata says, or the mean if it says nothing that is known."""
    declared = metadata.get(f"{metadata.get('general.architecture')}.pooling_type")
    return DECLARED.get(declared, "mean") if isinstance(declared, int) else "mean"


class Embedder:
    """`step` maps a batch to float32 hidden states (wanted rows, dim), over a cache of `pages` pages of `page_size`.

    A step takes `step_tokens` tokens, so there have to be at least as many pages; one sequence may fill them all.
    """

    def __init__(
        self,
        step: Callable[[Batch], Floats],
        pages: int,
        page_size: int,
        step_tokens: int,
        pooling: Pooling = "mean",
    ) -> None:
        assert pages >= step_tokens, "every token of a step may be a sequence of its own"
        self._step = step
        self._pages = pages
        self._page_size = page_size
        self._step_tokens = step_tokens
        self._pooling = pooling

    def embed(self, sequences: Sequence[Sequence[int]]) -> Floats:
        """Float32 (sequences, dim), rows of length 1. Every sequence has a token at least, and room in the cache."""
        vectors: list[Floats] = []
        for group in self._groups(sequences):
            vectors += self._short(group) if len(group) > 1 else [self._long(group[0])]
        return np.stack(vectors)

    def _groups(self, sequences: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
        """Neighbours that fit into a step together."""
        group: list[Sequence[int]] = []
        tokens = 0
        for sequence in sequences:
            if group and tokens + len(sequence) > self._step_tokens:
                yield group
                group, tokens = [], 0
            group.append(sequence)
            tokens += len(sequence)
        if group:
            yield group

    def _short(self, group: Sequence[Sequence[int]]) -> list[Floats]:
        spans: list[Span] = []
        ends: list[int] = []
        page = 0
        for sequence in group:
            pages = range(page, page - (-len(sequence) // self._page_size))
            spans.append(Span(sequence, 0, pages, range(len(sequence))))
            ends.append((ends[-1] if ends else 0) + len(sequence))
            page = pages.stop
        return [self._pooled([part]) for part in np.split(self._step(Batch.of(spans)), ends[:-1])]

    def _long(self, sequence: Sequence[int]) -> Floats:
        parts = []
        for start in range(0, len(sequence), self._step_tokens):
            chunk = sequence[start : start + self._step_tokens]
            span = Span(chunk, start, range(-(-(start + len(chunk)) // self._page_size)), range(len(chunk)))
            parts.append(self._step(Batch.of([span])))
        return self._pooled(parts)

    def _pooled(self, parts: Sequence[Floats]) -> Floats:
        """One vector of the hidden states of a sequence, which come in parts."""
        match self._pooling:
            case "mean":
                vector = self._sum(parts)
            case "first":
                vector = parts[0][0].astype(np.float64)
            case "last":
                vector = parts[-1][-1].astype(np.float64)
        length = float(np.sqrt((vector * vector).sum()))
        return np.asarray(vector / length if length else vector, np.float32)

    def _sum(self, parts: Sequence[Floats]) -> NDArray[np.float64]:
        """Their direction is that of the mean."""
        total = np.zeros(parts[0].shape[1])
        for part in parts:
            total += part.sum(axis=0, dtype=np.float64)
        return total
