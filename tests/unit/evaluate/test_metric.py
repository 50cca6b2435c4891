"""Intervals: those of textbooks, and what they promise."""

import math
import random

import pytest

from gadfly.evaluate.metric import Metric, changed, mean, rate, share


def test_wilsons_interval_is_that_of_the_tables() -> None:
    one = share([True] * 8 + [False] * 2)
    assert (one.value, one.count) == (0.8, 10)
    assert (one.low, one.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    for hits in ([True] * 20, [False] * 20):
        end = share(hits)
        assert 0 <= end.low <= end.value <= end.high <= 1 and end.high - end.low == pytest.approx(0.1611, abs=1e-3)
    assert math.isnan(share([]).value) and share([]).count == 0


def test_intervals_hold_nineteen_times_out_of_twenty() -> None:
    draw = random.Random(0)
    hits = sum(
        one.low <= 0.3 <= one.high for one in (share([draw.random() < 0.3 for _ in range(40)]) for _ in range(400))
    )
    means = sum(one.low <= 1 <= one.high for one in (mean([draw.gauss(1, 2) for _ in range(40)]) for _ in range(400)))
    assert 365 <= hits <= 395 and 365 <= means <= 395


def test_rates_weigh_passages_by_their_size() -> None:
    one = rate([-10.0, -60.0, -30.0], [10, 20, 10])
    assert one.value == 2.5 and one.count == 40 and one.low < 2.5 < one.high
    assert rate([-10.0], [10]).high == math.inf and math.isnan(rate([], []).value)
    assert changed(Metric(1, 0, 2, 3), math.exp) == Metric(math.e, 1, math.exp(2), 3)
    assert mean([1.0]).high == math.inf and math.isnan(mean([]).value)
