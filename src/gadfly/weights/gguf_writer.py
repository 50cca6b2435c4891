"""Writing GGUF files (version 3), a chunk of a tensor at a time, however large the model.

The file is written aside, synced and renamed: what stands under its name is always whole. The layout is drawn in
`gadfly.weights.gguf` and `gguf_metadata`, which read it back.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.quant import BYTES, FORMATS
from gadfly.weights.disk import replacing
from gadfly.weights.gguf_metadata import ARRAY, SCALARS, STRING, Value

__all__ = ["ALIGNMENT", "Blocks", "GGUFLayout", "gguf_layout", "write_gguf"]

ALIGNMENT = 32  # bytes, where metadata do not say otherwise
TYPES = {**FORMATS, BYTES.name: BYTES}

Blocks = NDArray[Any] | Iterable[NDArray[Any]]  # all rows, or chunks of them in order; only their bytes matter

_TYPES = {dtype: number for number, dtype in SCALARS.items()}


def write_gguf(
    path: Path | str,
    metadata: Mapping[str, Value | np.generic],
    tensors: Mapping[str, tuple[str, tuple[int, ...], Blocks]],
) -> None:
    """Write a model file; `tensors` are name -> (format, shape, blocks), and lie in the file in that order.

    Shapes are numpy's, (out, in) for a matrix; blocks hold exactly the bytes that format and shape ask for. Python's
    integers become u32, or the first of i32, u64, i64 that holds them, and floats f32; numpy's scalars and arrays keep
    their type. Raises CapacityError if the disk is full, ModelFileError if the file cannot be written, UnsupportedError
    if rows do not fill whole blocks, and ValueError for blocks, shapes or values that no file can hold.
    """
    layout = gguf_layout(metadata, {name: (format_name, shape) for name, (format_name, shape, _) in tensors.items()})
    with replacing(Path(path)) as file:
        file.write(layout.header)
        for name, (format_name, shape, blocks) in tensors.items():
            file.write(bytes(layout.offsets[name] - file.tell()))
            size = _size(name, format_name, shape)
            written = sum(file.write(_bytes(chunk).data) for chunk in _chunks(blocks))
            if written != size:
                raise ValueError(f"tensor {name!r} has {written} bytes; {format_name} of shape {shape} takes {size}")
        file.write(bytes(layout.size - file.tell()))


@dataclass(frozen=True)
class GGUFLayout:
    """`header` is all before the first tensor; `offsets` count from the begin of the file; `size` is the file's."""

    header: bytes
    offsets: Mapping[str, int]
    size: int


def gguf_layout(
    metadata: Mapping[str, Value | np.generic], tensors: Mapping[str, tuple[str, tuple[int, ...]]]
) -> GGUFLayout:
    """Where `write_gguf` would put everything; `tensors` are name -> (format, shape). Raises as it does."""
    header = bytearray(b"GGUF" + pack("<IQQ", 3, len(tensors), len(metadata)))
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int | np.integer) or alignment < 8 or alignment & alignment - 1:
        raise ValueError(f"general.alignment is {alignment}; expected a power of two from 8")
    alignment = int(alignment)
    for key, value in metadata.items():
        header += _string(key) + _value(key, value)
    offsets: dict[str, int] = {}
    end = 0
    for name, (format_name, shape) in tensors.items():
        header += _string(name) + pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        header += pack("<IQ", TYPES[format_name].ggml_id, end)
        offsets[name] = end
        end += _aligned(_size(name, format_name, shape), alignment)
    data = _aligned(len(header), alignment)
    return GGUFLayout(bytes(header), {name: data + offset for name, offset in offsets.items()}, data + end)


def _size(name: str, format_name: str, shape: tuple[int, ...]) -> int:
    if not 1 <= len(shape) <= 4 or min(shape) < 1:
        raise ValueError(f"tensor {name!r} has the shape {shape}; expected one to four dimensions, none empty")
    return math.prod(shape[:-1]) * TYPES[format_name].row_bytes(shape[-1])


def _chunks(blocks: Blocks) -> Iterable[NDArray[Any]]:
    return [blocks] if isinstance(blocks, np.ndarray) else blocks


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _string(text: str) -> bytes:
    encoded = text.encode()
    return pack("<Q", len(encoded)) + encoded


def _value(key: str, value: Value | np.generic) -> bytes:
    """Type and value, as they follow a key."""
    match value:
        case str():
            return pack("<I", STRING) + _string(value)
        case list():
            return pack("<IIQ", ARRAY, STRING, len(value)) + b"".join(map(_string, value))
        case np.ndarray() if value.ndim == 1:
            return pack("<IIQ", ARRAY, _type(key, value.dtype), len(value)) + value.tobytes()
    scalar = _typed(key, value)
    return pack("<I", _type(key, scalar.dtype)) + scalar.tobytes()


def _type(key: str, dtype: np.dtype[Any]) -> int:
    if dtype not in _TYPES:
        raise ValueError(f"metadata {key!r} is of type {dtype}, which GGUF does not have")
    return _TYPES[dtype]


def _typed(key: str, value: Value | np.generic) -> np.generic:
    match value:
        case np.generic():
            return value
        case bool():
            return np.bool_(value)
        case int():
            for kind in (np.uint32, np.int32, np.uint64, np.int64):
                if np.iinfo(kind).min <= value <= np.iinfo(kind).max:
                    return kind(value)
        case float():
            return np.float32(value)
    raise ValueError(f"metadata {key!r} is {value!r}; expected a number, str, list of str or 1-D array")
