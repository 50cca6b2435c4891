"""What is going to be written where, to the byte, before the first byte is.

A conversion is a list of files; a file is a header and pieces, one for every tensor, with zeros between them where the
format wants tensors aligned. Whoever has the plan can write any stretch of it at any time, which is what resuming is.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gadfly.quant import FORMATS
from gadfly.weight import Int8
from gadfly.weights.export import OutTensor
from gadfly.weights.packed import packed_size

__all__ = ["CODES", "SCALES", "STRIP", "FilePlan", "Piece", "digest", "groups", "piece_bytes"]

CODES, SCALES = "I8", "I8 scales"  # of an Int8 weight, (out, in) and (out, groups), kept as they are
STRIP = 8  # rows that are packed together


@dataclass(frozen=True, eq=False)
class Piece:
    """A tensor in a format: a key of FORMATS, CODES or SCALES. `offset` counts from the begin of the file.

    A `packed` one is a matrix in the layout of kernels, where only whole strips have a place of their own.
    """

    tensor: OutTensor
    format: str
    offset: int
    size: int
    packed: bool = False

    @property
    def row_bytes(self) -> int:
        if self.packed:
            return packed_size(self.format, STRIP, self.tensor.columns) // STRIP
        return row_bytes(self.tensor, self.format)


@dataclass(frozen=True, eq=False)
class FilePlan:
    name: str
    header: bytes
    pieces: tuple[Piece, ...]  # in the order of their offsets
    size: int


def row_bytes(tensor: OutTensor, format_name: str) -> int:
    if format_name == CODES:
        return tensor.columns
    if format_name == SCALES:
        return 2 * groups(tensor)
    return FORMATS[format_name].row_bytes(tensor.columns)


def groups(tensor: OutTensor) -> int:
    """Scales per row of a tensor that is Int8."""
    (part, *_) = tensor.parts
    assert isinstance(part, Int8)
    return int(part.scales.shape[0])


def piece_bytes(tensor: OutTensor, format_name: str) -> int:
    return math.prod(tensor.shape[:-1]) * row_bytes(tensor, format_name)


def digest(files: Sequence[FilePlan], source: str) -> str:
    """Equal for two plans whose files would be equal; `source` stands for what the weights are read from."""
    whole = hashlib.sha256(source.encode())
    for file in files:
        whole.update(f"{file.name} {file.size}".encode() + file.header)
        for piece in file.pieces:
            whole.update(f"{piece.tensor.name} {piece.format} {piece.offset}".encode())
    return whole.hexdigest()
