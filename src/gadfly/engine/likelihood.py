"""How likely a model held a token to be: natural logarithms of the softmax of its raw logits.

Of the raw ones: what sampling does to them afterwards (bias, penalties, temperature, the tail cut off, a constraint's
mask) changes what is drawn, and not what the model thought of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gadfly.ops import Floats

__all__ = ["Likelihood", "likelihood", "likelihoods"]


@dataclass(frozen=True)
class Likelihood:
    """Of `token`, and the likeliest tokens instead, best first; of equals the lowest id. None: nothing came before."""

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


def likelihood(logits: Floats, token: int, top: int) -> Likelihood:
    """Of a token under logits (vocab,), with the `top` likeliest."""
    (one,) = likelihoods(logits[None], [token], top)
    return one


def likelihoods(logits: Floats, tokens: list[int], top: int) -> list[Likelihood]:
    """Of a token under each row of logits (tokens, vocab)."""
    largest = logits.max(-1, keepdims=True)
    totals = largest[:, 0].astype(np.float64) + np.log(np.exp(logits - largest).sum(-1, dtype=np.float64))
    own = logits[np.arange(len(tokens)), tokens] - totals
    best = [_best(row, min(top, logits.shape[-1])) for row in logits]
    return [
        Likelihood(token, float(one), tuple((int(i), float(row[i] - total)) for i in ids))
        for token, one, row, ids, total in zip(tokens, own, logits, best, totals, strict=True)
    ]


def _best(row: Floats, count: int) -> NDArray[np.intp]:
    if not count:
        return np.empty(0, np.intp)
    edge = np.partition(row, -count)[-count]
    ids = np.flatnonzero(row >= edge)
    return ids[np.argsort(-row[ids], kind="stable")][:count]
