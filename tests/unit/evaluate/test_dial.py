"""Whether a number goes with the dial, told by ranks."""

import math

import pytest

from gadfly.evaluate.dial import spearman, steps_of


def test_steps_go_from_nothing_to_all() -> None:
    assert steps_of(5) == [0, 0.25, 0.5, 0.75, 1] and steps_of(2) == [0, 1] and len(steps_of(11)) == 11


@pytest.mark.parametrize(
    ("values", "rank"),
    [
        ([1, 2, 4, 8], 1.0),
        ([8, 4, 2, 1], -1.0),
        ([1, 3, 2, 4], 0.8),
        ([1, 2, 2, 3], 0.9487),  # scipy.stats.spearmanr
        ([5, 5, 5, 5], math.nan),
        ([1, math.nan, 2, 3], math.nan),
    ],
)
def test_ranks_are_those_of_the_textbook(values: list[float], rank: float) -> None:
    assert spearman(steps_of(4), values) == pytest.approx(rank, abs=1e-4, nan_ok=True)
