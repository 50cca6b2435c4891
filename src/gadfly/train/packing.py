"""Samples laid end to end, without padding, as many as fit: one pass of the model over each pack.

A sample is one or more sequences, which stay together. The model computes logits only where the next token is learnt,
which is what `Batch.rows` is for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gadfly.batch import Batch, Ints, Span
from gadfly.ops import Floats
from gadfly.train.data.alphabet import Alternatives
from gadfly.train.data.sample import Sample

__all__ = ["Pack", "Sequences", "epoch_order", "pack", "pack_numbers", "packs"]

Sequences = tuple[Sample, ...]  # of one sample


@dataclass(frozen=True, eq=False)
class Pack:
    """`targets[i]` is the token that follows row `batch.rows[i]`, and counts with `weights[i]`.

    Where a teacher was asked, `targets` are (rows, n), of which each is learnt to its share of `shares` (rows, n).

    The rows of a sequence follow one another: `learnt` says how many each of the `sequences` has. `samples` are the
    numbers of those whose sequences these are, in their order.
    """

    batch: Batch
    targets: Ints
    weights: Floats
    learnt: tuple[int, ...]
    samples: NDArray[np.intp]
    sequences: Sequences
    shares: Floats | None = None


def pack(samples: Sequence[Sequences], numbers: Sequence[int]) -> Pack:
    """Of the samples of these numbers; the last token of each sequence is only ever a target."""
    sequences = [one for number in numbers for one in samples[number]]
    wanted = [np.flatnonzero(one.learnt[1:]) for one in sequences]
    targets = np.concatenate([one.ids[1:][rows] for one, rows in _zip(sequences, wanted)])
    shares = None
    if any(one.alternatives is not None for one in sequences):
        targets, shares = _shared(targets, sequences, wanted)
    return Pack(
        Batch.of(
            [
                Span(one.ids[:-1].tolist(), 0, (), rows.tolist(), (one.strength,))
                for one, rows in _zip(sequences, wanted)
            ]
        ),
        targets,
        np.concatenate([np.full(len(rows), one.weight, np.float32) for one, rows in _zip(sequences, wanted)]),
        tuple(map(len, wanted)),
        np.array(numbers, np.intp),
        tuple(sequences),
        shares,
    )


def _shared(own: Ints, sequences: Sequences | list[Sample], wanted: Sequence[NDArray[np.intp]]) -> tuple[Ints, Floats]:
    """Targets with their alternatives: the first column is what stands there, which has what those leave of one."""
    known = [one.alternatives or Alternatives.none(len(one)) for one in sequences]
    ids = np.concatenate([one.ids[1:][rows] for one, rows in zip(known, wanted, strict=True)])
    shares = np.concatenate([one.shares[1:][rows] for one, rows in zip(known, wanted, strict=True)])
    left = np.maximum(0, 1 - shares.sum(axis=1, keepdims=True))
    return np.concatenate([own[:, None], ids], axis=1), np.concatenate([left, shares], axis=1)


def packs(samples: Sequence[Sequences], order: Sequence[int] | NDArray[np.intp], tokens: int) -> Iterator[Pack]:
    """In that order, each pack of up to `tokens` tokens; a longer sample has one of its own."""
    return (pack(samples, numbers) for numbers in pack_numbers(samples, order, tokens))


def pack_numbers(
    samples: Sequence[Sequences], order: Sequence[int] | NDArray[np.intp], tokens: int
) -> Iterator[list[int]]:
    """Which samples the packs are of."""
    waiting: list[int] = []
    size = 0
    for number in order:
        length = sum(map(len, samples[number]))
        if waiting and size + length > tokens:
            yield waiting
            waiting, size = [], 0
        waiting.append(int(number))
        size += length
    if waiting:
        yield waiting


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.intp]:
    """The order of an epoch, which depends on nothing but these numbers: a resumed run finds its place."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def _zip(sequences: Sequence[Sample], wanted: Sequence[NDArray[np.intp]]) -> Iterator[tuple[Sample, NDArray[np.intp]]]:
    return zip(sequences, wanted, strict=True)
