"""A number that was measured, and how sure one may be of it: 95 % intervals.

Shares have Wilson's interval, which stays within 0 and 1 and is honest for few; means that of the normal distribution.
Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Metric", "Z", "changed", "mean", "rate", "share"]

Z = 1.959964  # 95 % of a normal distribution lie within so many standard deviations


@dataclass(frozen=True)
class Metric:
    """`value` of `count` items; with 95 % certainty it is from `low` to `high`. NaN if there is nothing to measure."""

    value: float
    low: float
    high: float
    count: int


def share(hits: Sequence[bool]) -> Metric:
    """How many of them are true."""
    n = len(hits)
    if not n:
        return Metric(math.nan, math.nan, math.nan, 0)
    p = sum(hits) / n
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return Metric(p, min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half)), n)


def mean(values: Sequence[float]) -> Metric:
    """Of independent values; one alone says nothing of how sure it is."""
    n = len(values)
    if not n:
        return Metric(math.nan, math.nan, math.nan, 0)
    middle = math.fsum(values) / n
    if n == 1:
        return Metric(middle, -math.inf, math.inf, 1)
    half = Z * math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (n - 1) / n)
    return Metric(middle, middle - half, middle + half, n)


def rate(logprobs: Sequence[float], sizes: Sequence[int]) -> Metric:
    """Minus log p per token or byte, over passages that are taken to be independent; counts these tokens or bytes."""
    total, n = sum(sizes), len(sizes)
    if not total:
        return Metric(math.nan, math.nan, math.nan, 0)
    value = -math.fsum(logprobs) / total
    left = math.fsum((-logprob - value * size) ** 2 for logprob, size in zip(logprobs, sizes, strict=True))
    half = Z * math.sqrt(n / (n - 1) * left) / total if n > 1 else math.inf
    return Metric(value, value - half, value + half, total)


def changed(metric: Metric, change: Callable[[float], float]) -> Metric:
    """Another unit: `change` has to rise."""
    return Metric(change(metric.value), change(metric.low), change(metric.high), metric.count)
