"""Drawing the next token of one request from its logits, in the order that `gadfly.completion.Sampling` documents.

A sampler owns its random numbers, so nobody else's requests change what it draws. top_k, top_p and min_p all keep
the most likely tokens and drop a tail (of equally likely ones the lowest ids stay), so that a partition or a threshold
finds the tail and the vocabulary is never sorted. The slow obvious twin is in tests/unit/engine/test_sampling.py.
"""

from collections import Counter
from collections.abc import Sequence
from math import isfinite, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.completion import Sampling
from gadfly.engine.constraint import Constraint
from gadfly.errors import ModelFileError, RequestError

__all__ = ["Sampler", "distribution", "score"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Index = NDArray[np.intp]

ROUNDING = 1e-6  # of a weight's logarithm: more than it can be off


class Sampler:
    """Draws the tokens of one request: the same seed and the same logits give the same tokens."""

    def __init__(self, sampling: Sampling, constraint: Constraint | None = None) -> None:
        self.complete = False  # the constraint lets nothing follow
        self._sampling = sampling
        self._constraint = constraint
        self._random = np.random.default_rng(None if sampling.seed is None else sampling.seed % 2**64)
        penalties = sampling.repetition_penalty != 1 or sampling.presence_penalty or sampling.frequency_penalty
        self._greedy = sampling.temperature == 0 and not (sampling.logit_bias or penalties or constraint)

    def draw(self, logits: Floats, tokens: Sequence[int], prompt_length: int) -> int:
        """The token after `tokens`, of which the first `prompt_length` are the prompt, from logits (vocab,).

        Raises ModelFileError for logits that are no numbers, RequestError if logit_bias and constraint forbid them all.
        """
        if self._greedy:
            return likeliest(logits)
        scores = score(logits, self._sampling, tokens, prompt_length)
        if self._constraint:
            np.copyto(scores, -np.inf, where=self._constraint.forbidden())
            if scores.max() == -np.inf:
                raise RequestError("no token is left that format and logit_bias both allow; change one of them")
        token = self._drawn(scores)
        if self._constraint:
            self.complete = self._constraint.advance(token)
        return token

    def _drawn(self, scores: Doubles) -> int:
        if self._sampling.temperature == 0:
            return int(scores.argmax())  # the lowest id among equals
        ids, probabilities = distribution(scores, self._sampling)
        cumulative = probabilities.cumsum()
        return int(ids[cumulative.searchsorted(self._random.random() * cumulative[-1], side="right")])


def likeliest(logits: Floats) -> int:
    """The lowest id among those of the largest logit. Raises ModelFileError if that is no number."""
    best = int(logits.argmax())  # of a NaN, if there is one
    if not isfinite(logits[best]):
        raise ModelFileError(
            f"the model computes {logits[best]} as the best logit (token {best}): its weights are damaged or not what "
            "the file says; fetch the model again"
        )
    return best


def score(logits: Floats, sampling: Sampling, tokens: Sequence[int], prompt_length: int) -> Doubles:
    """Logits (vocab,) with bias and penalties applied, float64."""
    likeliest(logits)
    scores = logits.astype(np.float64)
    if sampling.logit_bias:
        scores[list(sampling.logit_bias)] += list(sampling.logit_bias.values())
        if scores.max() == -np.inf:
            raise RequestError("logit_bias forbids every token that the model could choose; leave it at least one")
    oldest = max(0, len(tokens) - sampling.penalty_window)
    if sampling.repetition_penalty != 1:
        seen, _ = occurrences(tokens[oldest:])
        there = scores[seen]
        scores[seen] = np.where(there > 0, there / sampling.repetition_penalty, there * sampling.repetition_penalty)
    if sampling.presence_penalty or sampling.frequency_penalty:
        seen, counts = occurrences(tokens[max(oldest, prompt_length) :])
        scores[seen] -= sampling.presence_penalty + sampling.frequency_penalty * counts
    return scores


def occurrences(tokens: Sequence[int]) -> tuple[Index, Index]:
    """Ids, and how often each occurs. (`np.unique` would import masked arrays at its first call, while people wait.)"""
    counts = Counter(tokens)
    return np.fromiter(counts.keys(), np.intp), np.fromiter(counts.values(), np.intp)


def distribution(scores: Doubles, sampling: Sampling) -> tuple[Index, Doubles]:
    """The tokens that may be drawn, in ascending order, and their probabilities up to a common factor.

    `temperature` is above 0, and at least one score (vocab,) is above -inf.
    """
    best = scores.max()
    if sampling.top_p == 1 and sampling.min_p and not sampling.top_k:  # most need no weight: min_p drops them
        ids = np.flatnonzero(scores >= best + sampling.temperature * (log(sampling.min_p) - ROUNDING))
    else:
        ids = largest(scores, sampling.top_k or len(scores))
    kept = scores[ids] if len(ids) < len(scores) else scores
    with np.errstate(over="ignore", under="ignore"):  # a tiny temperature: all but the best get probability 0
        weights = kept - best
        weights /= sampling.temperature
        np.exp(weights, out=weights)  # the best has weight 1
    total = weights.sum()
    # All weights below (1 - top_p) · total / n together are less than the (1 - top_p) · total that top_p drops at
    # most, so only the few above it need sorting.
    floor = max(sampling.min_p, (1 - sampling.top_p) * total / len(weights))
    if floor:
        likely = np.flatnonzero(weights >= floor)
        ids, kept, weights = ids[likely], kept[likely], weights[likely]
    if sampling.top_p < 1:
        reached = np.sort(weights)[::-1].cumsum().searchsorted(sampling.top_p * total)
        nucleus = largest(kept, int(reached) + 1)  # by score: of different ones, weights may round to the same
        ids, weights = ids[nucleus], weights[nucleus]
    return ids, weights


def largest(values: NDArray[Any], count: int) -> Index:
    """Ascending indices of the `count` largest values; of equal ones the first."""
    if count >= len(values):
        return np.arange(len(values))
    edge = np.partition(values, -count)[-count]
    above = np.flatnonzero(values > edge)
    level = np.flatnonzero(values == edge)[: count - len(above)]
    return np.sort(np.concatenate([above, level]))
