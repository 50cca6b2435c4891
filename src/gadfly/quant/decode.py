"""Blocks to float32, in numpy: the executable meaning of every format.

Bit for bit what the `gguf` package computes, so the order of float operations below is part of the format. It is
done a cache-sized chunk at a time: temporaries stay small however large the tensor. Layouts: `gadfly.quant.layouts`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import UnsupportedError
from gadfly.quant.formats import FORMATS
from gadfly.quant.layouts import IQ4_VALUES, LAYOUTS

__all__ = ["decode"]

CHUNK = 2**16  # elements

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Record = NDArray[Any]  # (blocks,) of the format's record type


def decode(format: str, blocks: Bytes) -> Floats:  # noqa: A002
    """Decode `blocks`, uint8 of shape (rows, bytes per row), into a new float32 array (rows, columns).

    Any bytes decode to something; scales may be infinite or NaN. Raises UnsupportedError for an unknown format and
    ValueError if the rows are not whole blocks. Extra memory: about 2 MB, and a copy of `blocks` where the rows do not
    lie end to end.
    """
    if format not in FORMATS:
        raise UnsupportedError(f"the format {format!r} cannot be decoded; known are {', '.join(FORMATS)}")
    size, block_bytes = FORMATS[format].block_size, FORMATS[format].block_bytes
    rows, row_bytes = blocks.shape
    if row_bytes % block_bytes:
        raise ValueError(f"rows of {row_bytes} bytes are not whole {format} blocks of {block_bytes}")
    flat = np.ascontiguousarray(blocks).reshape(-1, block_bytes)
    values = np.empty((len(flat), size), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(flat), CHUNK // size):
            stop = start + CHUNK // size
            values[start:stop] = _DECODERS[format](flat[start:stop])
    return values.reshape(rows, row_bytes // block_bytes * size)


def _f32(blocks: Bytes) -> Floats:
    return blocks.view("<f4")


def _f16(blocks: Bytes) -> Floats:
    return blocks.view("<f2").astype(np.float32)


def _bf16(blocks: Bytes) -> Floats:
    return (blocks.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _q4_0(block: Record) -> Floats:
    return _scale(block["d"]) * (_codes(block["qs"], 4, 16).astype(np.float32) - 8)


def _q4_1(block: Record) -> Floats:
    return _scale(block["d"]) * _codes(block["qs"], 4, 16) + _scale(block["m"])


def _q5_0(block: Record) -> Floats:
    return _scale(block["d"]) * (_five_bits(block).astype(np.float32) - 16)


def _q5_1(block: Record) -> Floats:
    return _scale(block["d"]) * _five_bits(block) + _scale(block["m"])


def _q8_0(block: Record) -> Floats:
    return _scale(block["d"]) * block["qs"].astype(np.float32)


def _q2_k(block: Record) -> Floats:
    scale = _scale(block["d"]) * (block["scales"] & 15)
    minimum = _scale(block["dmin"]) * (block["scales"] >> 4)
    return _apply(scale, _codes(block["qs"], 2, 32)) - _spread(minimum)


def _q3_k(block: Record) -> Floats:
    low, high = _codes(block["scales"][:, :8], 4, 8), _codes(block["scales"][:, 8:], 2, 4)
    scale = _scale(block["d"]) * ((low | high << 4).astype(np.float32) - 32)
    codes = _codes(block["qs"], 2, 32) | _codes(block["hmask"], 1, 32) << 2
    return _apply(scale, codes.astype(np.float32) - 4)


def _q4_k(block: Record) -> Floats:
    scale, minimum = _scales_and_minima(block)
    return _apply(scale, _codes(block["qs"], 4, 32)) - _spread(minimum)


def _q5_k(block: Record) -> Floats:
    scale, minimum = _scales_and_minima(block)
    codes = _codes(block["qs"], 4, 32) | _codes(block["qh"], 1, 32) << 4
    return _apply(scale, codes) - _spread(minimum)


def _q6_k(block: Record) -> Floats:
    codes = _codes(block["ql"], 4, 64) | _codes(block["qh"], 2, 32) << 4
    return _apply(_scale(block["d"]) * block["scales"], codes.astype(np.float32) - 32)


def _iq4_nl(block: Record) -> Floats:
    return _scale(block["d"]) * IQ4_VALUES[_codes(block["qs"], 4, 16)]


def _iq4_xs(block: Record) -> Floats:
    high = block["scales_h"][:, None] >> np.arange(0, 16, 2, dtype=np.uint16) & 3
    scale = _scale(block["d"]) * ((_codes(block["scales_l"], 4, 1) | high << 4).astype(np.float32) - 32)
    return _apply(scale, IQ4_VALUES[_codes(block["qs"], 4, 16)])


def _scale(halves: NDArray[Any]) -> Floats:
    return halves.astype(np.float32)[:, None]  # (blocks, 1)


def _codes(packed: Bytes, bits: int, group: int) -> Bytes:
    """Unpack (blocks, bytes): of every `group` bytes first all the lowest `bits`, then all the next, and so on."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    planes = packed.reshape(len(packed), -1, 1, group) >> shifts & np.uint8(2**bits - 1)
    return planes.reshape(len(packed), -1)


def _five_bits(block: Record) -> Bytes:
    return _codes(block["qs"], 4, 16) | np.unpackbits(block["qh"], axis=1, bitorder="little") << np.uint8(4)


def _scales_and_minima(block: Record) -> tuple[Floats, Floats]:
    """The eight scales and eight minima of a Q4_K or Q5_K block, 6 bits each."""
    a, b, c = (block["scales"][:, i : i + 4] for i in (0, 4, 8))
    scale = np.concatenate([a & 63, c & 15 | a >> 2 & 48], axis=1)
    minimum = np.concatenate([b & 63, c >> 4 | b >> 2 & 48], axis=1)
    return _scale(block["d"]) * scale, _scale(block["dmin"]) * minimum


def _apply(scale: Floats, codes: NDArray[Any]) -> Floats:
    """Multiply each sub-block's codes with its scale: (blocks, groups) and (blocks, 256)."""
    groups = codes.reshape(*scale.shape, -1).astype(np.float32)
    return (scale[:, :, None] * groups).reshape(codes.shape)


def _spread(minimum: Floats) -> Floats:
    return np.repeat(minimum, 256 // minimum.shape[1], axis=1)


def _records(name: str, decoder: Callable[[Record], Floats]) -> Callable[[Bytes], Floats]:
    return lambda blocks: decoder(blocks.view(LAYOUTS[name])[:, 0])


_DECODERS: dict[str, Callable[[Bytes], Floats]] = {
    "F32": _f32,
    "F16": _f16,
    "BF16": _bf16,
    "Q4_0": _records("Q4_0", _q4_0),
    "Q4_1": _records("Q4_1", _q4_1),
    "Q5_0": _records("Q5_0", _q5_0),
    "Q5_1": _records("Q5_1", _q5_1),
    "Q8_0": _records("Q8_0", _q8_0),
    "Q2_K": _records("Q2_K", _q2_k),
    "Q3_K": _records("Q3_K", _q3_k),
    "Q4_K": _records("Q4_K", _q4_k),
    "Q5_K": _records("Q5_K", _q5_k),
    "Q6_K": _records("Q6_K", _q6_k),
    "IQ4_NL": _records("IQ4_NL", _iq4_nl),
    "IQ4_XS": _records("IQ4_XS", _iq4_xs),
}
