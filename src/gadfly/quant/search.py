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


def _quarters(first: float, count: int) -> Floats:
    return (first + np.arange(count) / 4).astype(np.float32)


# Guesses surround the step at which the peak, or the range, just fits: larger steps clip nothing, smaller ones do.
# Where levels are not symmetric, either end may take the peak.
_IQ4_GUESSES = np.concatenate([np.arange(-136, -111, 4), np.arange(100, 125, 4)]).astype(np.float32)

METHODS: Mapping[str, Scaled | Affine] = MappingProxyType(
    {
        "Q4_0": Scaled(32, Uniform(-8, 7), np.concatenate([_quarters(-9, 9), _quarters(6, 9)])),
        "Q4_1": Affine(32, Uniform(0, 15), _quarters(13, 12)),
        "Q5_0": Scaled(32, Uniform(-16, 15), np.concatenate([_quarters(-17, 9), _quarters(14, 9)])),
        "Q5_1": Affine(32, Uniform(0, 31), _quarters(29, 12)),
        "Q8_0": Scaled(32, Uniform(-127, 127, zero=0), _quarters(125, 12)),
        "Q2_K": Affine(16, Uniform(0, 3), _quarters(1.5, 9), Uniform(0, 15)),
        "Q3_K": Scaled(16, Uniform(-4, 3), np.concatenate([_quarters(-5, 9), _quarters(2, 9)]), Uniform(-32, 31)),
        "Q4_K": Affine(32, Uniform(0, 15), _quarters(12.5, 14), Uniform(0, 63)),
        "Q5_K": Affine(32, Uniform(0, 31), _quarters(28.5, 14), Uniform(0, 63)),
        "Q6_K": Scaled(16, Uniform(-32, 31), np.concatenate([_quarters(-33, 9), _quarters(30, 9)]), Uniform(-128, 127)),
        "IQ4_NL": Scaled(32, Iq4(), _IQ4_GUESSES),
        "IQ4_XS": Scaled(32, Iq4(), _IQ4_GUESSES, Uniform(-32, 31)),
    }
)
