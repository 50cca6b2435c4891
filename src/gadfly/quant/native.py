"""Weights into any format by the kernels in native/, with all threads: what `gadfly convert` encodes with.

The bytes are those of `gadfly.quant.search` and, where a format is rounded without importance, of
`gadfly.quant.encode`; they do not depend on the number of threads. The way back, of matrices as kernels read them, is
here, too: this is the only module of `quant` that needs the extension.
"""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gadfly._native import PackedMatrix, ThreadPool, kernel_names
from gadfly._native import encode as encode_rows
from gadfly.errors import UnsupportedError
from gadfly.quant.decode import decode
from gadfly.quant.encode import unfit
from gadfly.quant.formats import FORMATS
from gadfly.quant.importance import relative_importance
from gadfly.weight import Int8, Plain, Quantised, Stored

__all__ = ["Encoder", "decode_packed"]

Bytes = NDArray[np.uint8]
Scalar = TypeVar("Scalar", bound=np.generic)

DIRECT = frozenset({"F32", "F16", "BF16"})  # what kernels read as it is
LANES = 8  # rows of Grok-1's codes that have to share a scale for the kernels to read them
ROWS_AT_ONCE = 256  # of what has to be decoded first: bounds the memory that this takes


class Encoder:
    """Encodes with `threads` threads. `kernels` names an instruction set; by default the best this processor has."""

    def __init__(self, threads: int, kernels: str | None = None) -> None:
        self.kernels = kernels or kernel_names()[0]
        self._pool = ThreadPool(threads)

    def encode(
        self,
        format: str,  # noqa: A002
        weight: Stored,
        importance: ArrayLike | None = None,
        rows: range | None = None,
    ) -> Bytes:
        """Encode a matrix (out, in), or those of its rows, as uint8 (rows, bytes per row).

        `importance` (in) says how much an error in each column matters; without it all matter alike. What has the
        format already is returned as it is. Floats and Grok-1's codes are read where they lie, a tile at a time;
        other formats are decoded first, some rows at a time.

        Raises UnsupportedError for an unknown format or columns that do not fill whole blocks; ModelFileError for
        weights that the format cannot hold (NaN or infinite in a block format, too large), and for importance that
        is not one number per column, finite, not negative and not all zero.
        """
        if format not in FORMATS:
            raise UnsupportedError(f"{format!r} cannot be written; take one of {', '.join(FORMATS)}")
        height, width = weight.shape
        row_bytes = FORMATS[format].row_bytes(width)
        counts = None if importance is None else relative_importance(importance, width)
        rows = range(height) if rows is None else rows
        if rows.step != 1 or not 0 <= rows.start <= rows.stop <= height:
            raise ValueError(f"{rows} are not rows of a matrix of {height}")
        if isinstance(weight, Quantised) and weight.format == format:
            return weight.blocks[rows.start : rows.stop]
        blocks = np.empty((len(rows), row_bytes), np.uint8)
        for source, weights, scales, first, part in _parts(weight, rows, blocks):
            if not encode_rows(self.kernels, self._pool, source, weights, scales, first, format, counts, part):
                raise unfit(format)
        return blocks


def decode_packed(layout: str, shape: tuple[int, int], packed: Bytes, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Some rows, as float32, of a matrix that lies packed in `layout` in aligned bytes."""
    return PackedMatrix.over(layout, *shape, packed).decode(rows.astype(np.int32))


def _parts(
    weight: Stored, rows: range, blocks: Bytes
) -> Iterator[tuple[str, Bytes, NDArray[np.uint16] | None, int, Bytes]]:
    """What kernels can read: kind, bytes and scales of it, the first row wanted, and the blocks to fill from there."""
    match weight:
        case Plain(array):
            yield "F32", _readable(array).view(np.uint8), None, rows.start, blocks
        case Int8(codes, scales) if len(codes) // len(scales) % LANES == 0:
            yield "I8", _readable(codes).view(np.uint8), _readable(scales), rows.start, blocks
        case Quantised(name, _, stored) if name in DIRECT:
            yield name, _readable(stored), None, rows.start, blocks
        case Int8() | Quantised():
            for first in range(rows.start, rows.stop, ROWS_AT_ONCE):
                stop = min(first + ROWS_AT_ONCE, rows.stop)
                values = _decoded(weight, first, stop).view(np.uint8)
                yield "F32", values, None, 0, blocks[first - rows.start : stop - rows.start]


def _decoded(weight: Quantised | Int8, first: int, stop: int) -> NDArray[np.float32]:
    if isinstance(weight, Int8):
        return Int8(weight.codes[:, first:stop], weight.scales[:, first:stop]).decode()
    return decode(weight.format, weight.blocks[first:stop])


def _readable(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """The array, or a copy where rows do not lie end to end."""
    return np.require(array, requirements=["C", "A"])
