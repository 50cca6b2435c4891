"""Importance as encoders want it: relative, positive, and refused where it is none."""

import numpy as np
import pytest

from gadfly.errors import ModelFileError
from gadfly.quant.importance import relative_importance


def test_shares_have_mean_one_whatever_the_unit():
    found = relative_importance([1, 2, 3], 3)
    assert found.dtype == np.float32
    assert found == pytest.approx([0.5, 1, 1.5])
    assert relative_importance([1e300, 2e300, 3e300], 3) == pytest.approx([0.5, 1, 1.5])
    assert relative_importance([1e-300, 2e-300, 3e-300], 3) == pytest.approx([0.5, 1, 1.5])


def test_what_was_never_active_counts_a_little():
    assert relative_importance([0, 1, 1], 3) == pytest.approx([1e-6, 1.5, 1.5])


@pytest.mark.parametrize("wrong", [[1, -1, 1], [1, np.nan, 1], [1, np.inf, 1], [0, 0, 0]])
def test_what_is_no_importance(wrong):
    with pytest.raises(ModelFileError, match="finite and not negative, nor zero throughout"):
        relative_importance(wrong, 3)


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), ()])
def test_wrong_shapes(shape):
    with pytest.raises(ModelFileError, match="not one number for each of 3 columns"):
        relative_importance(np.ones(shape), 3)
