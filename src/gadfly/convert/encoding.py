"""Bytes of weights: native encoders for block formats, a copy where nothing changes, packed for kernels if wanted."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gadfly.convert.plan import CODES, SCALES, Piece
from gadfly.errors import ModelFileError
from gadfly.ops.native import Native
from gadfly.quant.native import Encoder
from gadfly.weight import Deferred, Int8, Quantised, Stored, Weight

__all__ = ["Encoding"]


class Encoding:
    """`importance` are mean squares of activations by path, (matrices, in)."""

    def __init__(self, threads: int, importance: Mapping[str, NDArray[np.float32]]) -> None:
        self._encoder = Encoder(threads)
        self._packer = Native(threads)
        self._importance = importance

    def encode(self, piece: Piece, part: int, rows: range) -> NDArray[np.uint8]:
        """Some rows of part `part` of a piece: uint8 (rows, bytes per row), or packed whole strips end to end."""
        if piece.format in (CODES, SCALES):
            kept = piece.tensor.rows(part, rows.start, rows.stop)
            assert isinstance(kept, Int8)
            if piece.packed:
                return self._packer.pack(kept).packed
            array = kept.codes if piece.format == CODES else kept.scales
            return np.ascontiguousarray(array.T).view(np.uint8)
        blocks = self._blocks(piece, part, rows)
        if piece.packed:
            shape = len(rows), piece.tensor.columns
            return self._packer.pack(Quantised(piece.format, shape, blocks)).packed
        return blocks

    def _blocks(self, piece: Piece, part: int, rows: range) -> NDArray[np.uint8]:
        tensor = piece.tensor
        whole: Weight = tensor.parts[part]
        while isinstance(whole, Deferred) and whole.load_rows is None:
            whole = whole.load()
        importance = self._importance_of(piece, part)
        if isinstance(whole, Int8) and whole.codes.flags.c_contiguous:  # rows are columns there: no slice is a view
            return self._encoder.encode(piece.format, whole, importance, rows)
        return self._encoder.encode(piece.format, tensor.rows(part, rows.start, rows.stop), importance)

    def encode_matrix(self, format_name: str, rows: Stored) -> NDArray[np.uint8]:
        return self._encoder.encode(format_name, rows)

    def _importance_of(self, piece: Piece, part: int) -> NDArray[np.float32] | None:
        found = self._importance.get(piece.tensor.path)
        if found is None:
            return None
        matrix = part if piece.tensor.expert is None else piece.tensor.expert
        if 1 < len(found) <= matrix:
            raise ModelFileError(
                f"the importance matrix has {len(found)} experts for {piece.tensor.name!r}, the model more; measure it "
                "with this model"
            )
        return np.asarray(found[matrix if len(found) > 1 else 0], np.float32)
