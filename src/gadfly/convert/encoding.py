"""Bytes of weights: the native encoders for block formats, a copy where nothing changes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gadfly.convert.plan import CODES, SCALES, Piece
from gadfly.quant.native import Encoder
from gadfly.weight import Int8, Matrix

__all__ = ["Encoding"]


class Encoding:
    """`importance` are mean squares of activations by path, (matrices, in)."""

    def __init__(self, threads: int, importance: Mapping[str, NDArray[np.float32]]) -> None:
        self._encoder = Encoder(threads)
        self._importance = importance

    def encode(self, piece: Piece, part: int, rows: Matrix) -> NDArray[np.uint8]:
        """Some rows of part `part` of a piece: uint8 (rows, bytes per row)."""
        if piece.format in (CODES, SCALES):
            assert isinstance(rows, Int8)
            kept = rows.codes if piece.format == CODES else rows.scales
            return np.ascontiguousarray(kept.T).view(np.uint8)
        return self._encoder.encode(piece.format, rows, self._weights(piece, part))

    def encode_matrix(self, format_name: str, rows: Matrix) -> NDArray[np.uint8]:
        return self._encoder.encode(format_name, rows)

    def _weights(self, piece: Piece, part: int) -> NDArray[np.float32] | None:
        found = self._importance.get(piece.tensor.path)
        if found is None:
            return None
        matrix = part if piece.tensor.expert is None else piece.tensor.expert
        return found[matrix if len(found) > 1 else 0]
