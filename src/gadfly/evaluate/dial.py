"""Sweeping the dial: how numbers change while adapters are turned up from nothing to their strength.

Strength 0 is the base, with which the others are compared. Whether a number goes with the dial is told by Spearman's
rank correlation: 1 if it rises at every step, -1 if it falls at every one.
"""

import math
from collections.abc import Sequence

__all__ = ["spearman", "steps_of"]


def steps_of(count: int) -> list[float]:
    """From 0 to 1."""
    return [round(step / (count - 1), 4) for step in range(count)]


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of pairs of values; equal ones share their rank. NaN if all of one side are equal, or one is NaN."""
    if any(map(math.isnan, (*xs, *ys))):
        return math.nan
    a, b = _ranks(xs), _ranks(ys)
    size = math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / size if size else math.nan


def _ranks(values: Sequence[float]) -> list[float]:
    """Less their mean."""
    ranks = [sum(other < value for other in values) + sum(other == value for other in values) / 2 for value in values]
    return [rank - math.fsum(ranks) / len(ranks) for rank in ranks]
