"""How much an error in each column of a matrix matters: the mean square of what the column is multiplied with, say."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gadfly.errors import ModelFileError

__all__ = ["relative_importance"]

LEAST = 1e-6  # of the mean: a column that was never active still counts, as another text may need it


def relative_importance(importance: ArrayLike, columns: int) -> NDArray[np.float32]:
    """Importance (columns) as encoders want it: float32 of mean 1, all positive.

    Raises ModelFileError unless there is one finite number for each column, none negative and not all zero.
    """
    given = np.asarray(importance, np.float64)
    if given.shape != (columns,):
        raise ModelFileError(f"importance of shape {given.shape} is not one number for each of {columns} columns")
    if not (np.isfinite(given).all() and (given >= 0).all() and (given > 0).any()):
        raise ModelFileError("importance has to be finite and not negative, nor zero throughout; gather it anew")
    shares = given / given.max()  # first, so that no sum is too large
    relative: NDArray[np.float64] = np.maximum(shares / shares.mean(), LEAST)
    return relative.astype(np.float32)
