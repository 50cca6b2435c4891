"""Float32 to blocks, in numpy: rounding to nearest, one block at a time, without looking at what the weights do.

Bit for bit what the `gguf` package computes. The K formats need a search for good scales: `gadfly.quant.search`, or
many times as fast `gadfly.quant.native`. Layouts: `gadfly.quant.layouts`; the way back: `gadfly.quant.decode`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.quant.formats import FORMATS
from gadfly.quant.layouts import LAYOUTS

__all__ = ["encode", "unfit"]

CHUNK = 2**16  # elements

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Record = NDArray[Any]  # (blocks,) of the format's record type


def encode(format: str, values: Floats) -> Bytes:  # noqa: A002
    """Encode float32 (rows, columns) as uint8 (rows, bytes per row).

    Raises UnsupportedError for a format without an encoder or columns that do not fill whole blocks, ModelFileError
    for values that the scales of a block format cannot hold (NaN, infinite, too large).
    """
    if format not in _ENCODERS:
        raise UnsupportedError(f"{format!r} cannot be written; take one of {', '.join(_ENCODERS)}")
    size, block_bytes = FORMATS[format].block_size, FORMATS[format].block_bytes
    rows, columns = values.shape
    row_bytes = FORMATS[format].row_bytes(columns)
    flat = np.ascontiguousarray(values, np.float32).reshape(-1, size)
    blocks = np.empty((len(flat), block_bytes), np.uint8)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for start in range(0, len(flat), CHUNK // size):
            stop = start + CHUNK // size
            _ENCODERS[format](flat[start:stop], blocks[start:stop])
    return blocks.reshape(rows, row_bytes)


def unfit(name: str) -> ModelFileError:
    """What is raised for weights that a format cannot hold."""
    wider = "F32" if name == "BF16" else "F32 or BF16"
    return ModelFileError(f"weights that are NaN, infinite or too large cannot be {name}; store them as {wider}")


def _f32(x: Floats, blocks: Bytes) -> None:
    blocks.view("<f4")[:] = x


def _f16(x: Floats, blocks: Bytes) -> None:
    blocks.view("<f2")[:] = x


def _bf16(x: Floats, blocks: Bytes) -> None:
    bits = x.view(np.uint32)
    rounded = bits + (0x7FFF + (bits >> 16 & 1)) >> 16  # to nearest, ties to even
    quiet = bits >> 16 | 0x40  # rounding could turn a NaN into an infinity
    blocks.view("<u2")[:] = np.where(np.isnan(x), quiet, rounded)


def _q4_0(x: Floats, block: Record) -> None:
    d = _farthest_from_zero(x) / np.float32(-8)
    block["d"] = _half(d, "Q4_0")
    block["qs"] = _pair(_round(x * _inverse(d) + np.float32(8.5), 15))


def _q4_1(x: Floats, block: Record) -> None:
    d, m = _range(x, 15)
    block["d"], block["m"] = _half(d, "Q4_1"), _half(m, "Q4_1")
    block["qs"] = _pair(_round((x - m) * _inverse(d) + np.float32(0.5), 15))


def _q5_0(x: Floats, block: Record) -> None:
    d = _farthest_from_zero(x) / np.float32(-16)
    block["d"] = _half(d, "Q5_0")
    codes = _round(x * _inverse(d) + np.float32(16.5), 31)
    block["qs"], block["qh"] = _pair(codes), np.packbits(codes >> 4, axis=1, bitorder="little")


def _q5_1(x: Floats, block: Record) -> None:
    d, m = _range(x, 31)
    block["d"], block["m"] = _half(d, "Q5_1"), _half(m, "Q5_1")
    codes = _round((x - m) * _inverse(d) + np.float32(0.5), 31)
    block["qs"], block["qh"] = _pair(codes), np.packbits(codes >> 4, axis=1, bitorder="little")


def _q8_0(x: Floats, block: Record) -> None:
    d = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    block["d"] = _half(d, "Q8_0")
    scaled = x * _inverse(d)
    magnitude = np.floor(np.abs(scaled))
    magnitude += np.floor(2 * (np.abs(scaled) - magnitude))  # halves away from zero
    block["qs"] = np.copysign(magnitude, scaled)


def _farthest_from_zero(x: Floats) -> Floats:
    return np.take_along_axis(x, np.abs(x).argmax(axis=1, keepdims=True), axis=1)  # (blocks, 1), with its sign


def _range(x: Floats, steps: int) -> tuple[Floats, Floats]:
    low = x.min(axis=1, keepdims=True)
    return (x.max(axis=1, keepdims=True) - low) / np.float32(steps), low


def _inverse(d: Floats) -> Floats:
    inverse = 1 / d
    return np.where(np.isfinite(inverse), inverse, np.float32(0))  # where it is not, d rounds to a float16 of zero


def _half(values: Floats, name: str) -> NDArray[np.float16]:
    halves = values[:, 0].astype(np.float16)
    if not np.isfinite(halves).all():
        raise unfit(name)
    return halves


def _round(x: Floats, top: int) -> Bytes:
    return x.astype(np.uint8).clip(0, top)  # what comes in is half a step too high and never negative


def _pair(codes: Bytes) -> Bytes:
    return codes[:, :16] & np.uint8(15) | codes[:, 16:] << np.uint8(4)


def _records(name: str, encoder: Callable[[Floats, Record], None]) -> Callable[[Floats, Bytes], None]:
    return lambda x, blocks: encoder(x, blocks.view(LAYOUTS[name])[:, 0])


_ENCODERS: dict[str, Callable[[Floats, Bytes], None]] = {
    "F32": _f32,
    "F16": _f16,
    "BF16": _bf16,
    "Q4_0": _records("Q4_0", _q4_0),
    "Q4_1": _records("Q4_1", _q4_1),
    "Q5_0": _records("Q5_0", _q5_0),
    "Q5_1": _records("Q5_1", _q5_1),
    "Q8_0": _records("Q8_0", _q8_0),
}
