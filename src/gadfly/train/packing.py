"""Samples laid end to end, without padding, as many as fit: one pass of the model over each pack.

The model computes logits only where the next token is learnt, which is what `Batch.rows` is for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gadfly.batch import Batch, Ints, Span
from gadfly.ops import Floats
from gadfly.train.sample import Sample

__all__ = ["Pack", "epoch_order", "pack", "packs"]


@dataclass(frozen=True, eq=False)
class Pack:
    """`targets[i]` is the token that follows row `batch.rows[i]`, and counts with `weights[i]`."""

    batch: Batch
    targets: Ints
    weights: Floats

    @property
    def weight(self) -> float:
        """What a sum of losses over many packs is divided by, together: never one pack by its own."""
        return float(self.weights.sum(dtype=np.float64))


def pack(samples: Sequence[Sample]) -> Pack:
    """Of whole sequences; the last token of each is only ever a target."""
    spans = [
        Span(one.ids[:-1].tolist(), 0, (), np.flatnonzero(one.learnt[1:]).tolist(), (one.strength,))
        for one in samples
        if len(one) > 1
    ]
    learnt = [one.learnt[1:] for one in samples]
    return Pack(
        Batch.of(spans),
        np.concatenate([one.ids[1:][which] for one, which in zip(samples, learnt, strict=True)]),
        np.concatenate(
            [np.full(int(which.sum()), one.weight, np.float32) for one, which in zip(samples, learnt, strict=True)]
        ),
    )


def packs(samples: Sequence[Sample], order: NDArray[np.intp], tokens: int) -> Iterator[Pack]:
    """In that order, each pack of up to `tokens` tokens; a longer sample has one of its own."""
    waiting: list[Sample] = []
    size = 0
    for index in order:
        one = samples[index]
        if waiting and size + len(one) > tokens:
            yield pack(waiting)
            waiting, size = [], 0
        waiting.append(one)
        size += len(one)
    if waiting:
        yield pack(waiting)


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.intp]:
    """The order of an epoch, which depends on nothing but these numbers: a resumed run finds its place."""
    return np.random.default_rng([seed, epoch]).permutation(count)
