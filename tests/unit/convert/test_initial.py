"""The numbers a model begins with: reproducible, the same in any pieces, of the deviation that is stated."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.convert.initial import BLOCK, deviation, normal, vector

LENGTH = 2 * BLOCK + 1000
WHOLE = normal(7, "a", 0, LENGTH)


@given(st.lists(st.integers(0, LENGTH), max_size=3))
def test_any_pieces_make_the_same_whole(cuts):
    bounds = [0, *sorted(cuts), LENGTH]
    pieces = [normal(7, "a", first, last) for first, last in pairwise(bounds) if first < last]
    np.testing.assert_array_equal(np.concatenate(pieces), WHOLE)


def test_names_seeds_and_places_differ():
    streams = [WHOLE[:BLOCK], WHOLE[BLOCK : 2 * BLOCK], normal(8, "a", 0, BLOCK), normal(7, "b", 0, BLOCK)]
    for i, one in enumerate(streams):
        for other in streams[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.01


def test_they_are_normal():
    assert abs(WHOLE.mean()) < 0.01 and abs(WHOLE.std() - 1) < 0.01
    assert abs((np.abs(WHOLE) < 1).mean() - 0.6827) < 0.005
    assert WHOLE.dtype == np.float32 and len(np.unique(WHOLE)) > 0.9 * LENGTH


@pytest.mark.parametrize(
    ("path", "shape", "expected"),
    [
        ("embedding", (1000, 64), 1 / 8),
        ("blocks.0.mixer.query", (32, 64), 1 / 8),
        ("blocks.0.mixer.output", (64, 256), 1 / 16 / 4),
        ("blocks.0.ffn.down", (4, 64, 256), 1 / 16 / 4),
        ("blocks.0.ffn.moe.down", (4, 64, 256), 1 / 16 / 4),
        ("blocks.0.ffn.gate", (4, 64, 256), 1 / 16),
        ("output", (1000, 64), 1 / 8),
    ],
)
def test_deviations(path, shape, expected):
    assert deviation(path, shape, layers=8) == pytest.approx(expected)


def test_vectors_are_one_and_biases_nothing():
    assert vector("blocks.0.mixer_norm", 3).tolist() == [1, 1, 1]
    assert vector("blocks.0.mixer.query_bias", 2).tolist() == [0, 0]
    assert vector("norm", 2).dtype == np.float32


def test_the_same_numbers_on_every_machine():
    """A change here gives everybody other models for the same seed."""
    assert normal(0, "model.norm.weight", 0, 3) == pytest.approx(EXPECTED, abs=1e-6)


EXPECTED = [-3.1818378, -0.9453343, 1.5325485]
