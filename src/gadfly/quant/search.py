"""Float32 to blocks with a search for the scales that lose least, in numpy: which format is fitted how.

`gadfly.quant.fit` is the search, `gadfly.quant.pack` puts the bytes together; plain rounding is
`gadfly.quant.encode`. The kernels compute the same bytes hundreds of times as fast: `gadfly.quant.native`.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gadfly.errors import UnsupportedError
from gadfly.quant.encode import unfit
from gadfly.quant.fit import Affine, Iq4, Scaled, Uniform
from gadfly.quant.formats import FORMATS
from gadfly.quant.importance import relative_importance
from gadfly.quant.layouts import LAYOUTS
from gadfly.quant.pack import PACKERS

__all__ = ["METHODS", "search"]

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

LARGEST = np.float32(1e9)  # no format's scales can hold such weights


def search(format: str, values: Floats, importance: ArrayLike | None = None) -> Bytes:  # noqa: A002
    """Encode float32 (rows, columns) as uint8 (rows, bytes per row); errors count by the importance of their column.

    Raises UnsupportedError for other formats than Q4_0 … IQ4_XS and columns that do not fill whole blocks,
    ModelFileError for weights that are NaN, infinite or too large and for importance that is none.
    """
    if format not in METHODS:
        raise UnsupportedError(f"there is no search for {format!r}; take one of {', '.join(METHODS)}")
    size, block_bytes = FORMATS[format].block_size, FORMATS[format].block_bytes
    rows, columns = values.shape
    row_bytes = FORMATS[format].row_bytes(columns)
    weights = np.ones(columns, np.float32) if importance is None else relative_importance(importance, columns)
    if not (np.abs(values) < LARGEST).all():
        raise unfit(format)
    x = np.ascontiguousarray(values, np.float32).reshape(-1, size)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        fit = METHODS[format].fit(x, np.tile(weights.reshape(-1, size), (rows, 1)))
    if not (np.isfinite(fit.d).all() and np.isfinite(fit.minimum).all()):
        raise unfit(format)
    blocks = np.zeros((len(x), block_bytes), np.uint8)
    PACKERS[format](fit, blocks.view(LAYOUTS[format])[:, 0])
    return blocks.reshape(rows, row_bytes)


def _steps(first: float, step: float, count: int) -> Floats:
    return (first + step * np.arange(count)).astype(np.float32)


def _both_ends(low: float, high: float, step: float, count: int) -> Floats:
    """Where levels are not symmetric, either end may take the weight farthest from zero."""
    return np.concatenate([_steps(low, step, count), _steps(high, step, count)])


# Guesses were chosen by trial: they surround the step at which everything just fits. Where there are many levels it
# takes more than a hair's breadth to meet a step that suits them better; importance asks for a wider choice.
_IQ4_GUESSES = _both_ends(-148, 88, 8, 7)

METHODS: Mapping[str, Scaled | Affine] = MappingProxyType(
    {
        "Q4_0": Scaled(32, Uniform(-8, 7), _both_ends(-10, 6, 0.5, 7)),
        "Q4_1": Affine(32, Uniform(0, 15), _steps(13, 0.375, 12)),
        "Q5_0": Scaled(32, Uniform(-16, 15), _both_ends(-20, 13, 1, 7)),
        "Q5_1": Affine(32, Uniform(0, 31), _steps(29, 0.375, 12)),
        "Q8_0": Scaled(32, Uniform(-127, 127, zero=0), _steps(121, 1, 9)),
        "Q2_K": Affine(16, Uniform(0, 3), _steps(1.75, 0.25, 11), Uniform(0, 15)),
        "Q3_K": Scaled(16, Uniform(-4, 3), _both_ends(-6, 2.5, 0.5, 6), Uniform(-32, 31)),
        "Q4_K": Affine(32, Uniform(0, 15), _steps(12.5, 0.25, 16), Uniform(0, 63)),
        "Q5_K": Affine(32, Uniform(0, 31), _steps(27.5, 0.5, 10), Uniform(0, 63)),
        "Q6_K": Scaled(16, Uniform(-32, 31), _both_ends(-33, 26, 1, 7), Uniform(-128, 127)),
        "IQ4_NL": Scaled(32, Iq4(), _IQ4_GUESSES),
        "IQ4_XS": Scaled(32, Iq4(), _IQ4_GUESSES, Uniform(-32, 31)),
    }
)
