"""The search for scales: what it writes decodes to nearly what was there, and it looks where it is told to."""

import numpy as np
import pytest

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.quant import decode, encode
from gadfly.quant.search import METHODS, search

# Root mean square errors of normally distributed weights, relative to their spread. The search finds about 2 % less.
BOUNDS = {
    "Q4_0": 0.082,
    "Q4_1": 0.075,
    "Q5_0": 0.041,
    "Q5_1": 0.037,
    "Q8_0": 0.0055,
    "Q2_K": 0.270,
    "Q3_K": 0.147,
    "Q4_K": 0.0715,
    "Q5_K": 0.0354,
    "Q6_K": 0.0173,
    "IQ4_NL": 0.075,
    "IQ4_XS": 0.0755,
}


def values(rows, columns=512):
    return np.random.default_rng(0).normal(0, 0.05, (rows, columns)).astype(np.float32)


def error(name, x, weight=None, importance=None):
    lost = (decode(name, search(name, x, importance)) - x) ** 2
    return np.sqrt((lost * (1 if weight is None else weight)).mean())


@pytest.mark.parametrize("name", METHODS)
def test_errors_are_as_small_as_the_format_allows(name):
    x = values(32)
    assert error(name, x) < BOUNDS[name] * x.std()
    assert error(name, 1000 * x) == pytest.approx(1000 * error(name, x), rel=0.02)


@pytest.mark.parametrize("name", METHODS)
def test_importance_moves_errors_to_where_they_matter_less(name):
    x = values(32)
    importance = np.random.default_rng(1).gamma(0.3, 1, 512)
    assert error(name, x, importance, importance) < 0.95 * error(name, x, importance)
    assert error(name, x, importance=importance) > error(name, x)
    twice = search(name, x, 2 * importance)
    assert (decode(name, twice) == decode(name, search(name, x, importance))).all()


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_searching_beats_rounding(name):
    x = values(32)
    rounded = decode(name, encode(name, x)) - x
    assert error(name, x) < np.sqrt((rounded**2).mean())


@pytest.mark.parametrize("name", METHODS)
def test_what_is_alike_stays_alike(name):
    levels = np.array([0, 0.5, -0.5, 3, -3, 1e-3], np.float32)
    x = np.repeat(levels, 256).reshape(len(levels), 256)
    back = decode(name, search(name, x))
    assert (back[0] == 0).all()
    assert (back == back[:, :1]).all()
    assert np.abs(back - x).max() <= 0.03 * np.abs(x).max()
    assert np.abs(back[1:] / x[1:] - 1).max() < 0.04


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("value", [1e-40, 1e-31, 1e-12, -1e-12])
def test_tiny_values_become_zero(name, value):
    assert (decode(name, search(name, np.full((1, 256), value, np.float32))) == 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_one_outlier_does_not_drown_the_other_groups(name):
    x = values(16, 256)
    x[:, 7] = 4
    lost = np.abs(decode(name, search(name, x)) - x)
    assert lost[:, 7].max() < 0.6
    assert lost[:, 32:].max() < 0.16


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e9, 3e38])
def test_refuses_what_scales_cannot_hold(name, value):
    x = np.zeros((2, 256), np.float32)
    x[1, 40] = value
    with pytest.raises(ModelFileError, match=f"cannot be {name}; store them as F32 or BF16"):
        search(name, x)


def test_wrong_arguments():
    with pytest.raises(UnsupportedError, match="there is no search for 'F16'; take one of Q4_0"):
        search("F16", values(1))
    with pytest.raises(UnsupportedError, match="a row of 288 elements cannot be Q4_K"):
        search("Q4_K", values(1, 288))
    with pytest.raises(ModelFileError, match="not one number for each of 512 columns"):
        search("Q4_K", values(1), np.ones(511))
