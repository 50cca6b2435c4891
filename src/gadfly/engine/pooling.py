"""Vectors of token sequences: what the last layer leaves, after the final norm, pooled into one vector of length 1.

Generative models declare no pooling; of them the mean over all tokens is taken. Those that were trained to embed say in
their metadata which token speaks for all.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from gadfly.ops import Floats

__all__ = ["Pool", "Pooling", "declared_pooling"]

Pooling = Literal["mean", "first", "last"]

# Source: llama.cpp's llama.h, enum llama_pooling_type; 0 is none, 4 is for classifiers.
DECLARED: Mapping[int, Pooling] = {1: "mean", 2: "first", 3: "last"}


def declared_pooling(metadata: Mapping[str, Any]) -> Pooling:
    """What a file's metadata says, or the mean if it says nothing that is known."""
    declared = metadata.get(f"{metadata.get('general.architecture')}.pooling_type")
    return DECLARED.get(declared, "mean") if isinstance(declared, int) else "mean"


class Pool:
    """Of one sequence, whose tokens' states come in order and in chunks, the cuts between which change no bit."""

    def __init__(self, pooling: Pooling) -> None:
        self.count = 0  # tokens so far
        self._pooling = pooling
        self._pooled = np.zeros(1)

    def add(self, states: Floats) -> None:
        """States of the next tokens, float32 (tokens, dim)."""
        for state in states:
            if self.count == 0 or self._pooling == "last":
                self._pooled = state.astype(np.float64)
            elif self._pooling == "mean":
                self._pooled += state  # one by one; the sum has the direction of the mean
            self.count += 1

    @property
    def vector(self) -> Floats:
        """Float32 (dim,)."""
        length = float(np.sqrt((self._pooled * self._pooled).sum()))
        return np.asarray(self._pooled / length if length else self._pooled, np.float32)
