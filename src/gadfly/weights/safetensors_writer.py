"""Writing safetensors, a chunk of a tensor at a time, however large the model: one file, or a folder of several.

What stands under a name is always whole: files and folders are written aside, synced and renamed. The layout is drawn
in `gadfly.weights.safetensors` and `safetensors_folder`, which read it back. In a file, tensors of wide elements come
first, so that each lies at a multiple of its element's size without gaps, which the format forbids.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import pack
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gadfly.weights.disk import new_file, replacing, replacing_folder
from gadfly.weights.safetensors import BITS, LONGEST_NAME
from gadfly.weights.safetensors_folder import INDEX

__all__ = [
    "LARGEST_FILE",
    "Chunks",
    "SafetensorsLayout",
    "safetensors_layout",
    "safetensors_parts",
    "write_safetensors",
    "write_safetensors_folder",
]

ALIGNMENT = 8  # bytes, of the data
LARGEST_FILE = 5 * 10**9  # bytes; what Hugging Face splits at

Chunks = NDArray[Any] | Iterable[NDArray[Any]]  # the whole tensor, or runs of it in C order; only their bytes matter
Tensors = Mapping[str, tuple[str, tuple[int, ...], Chunks]]


def write_safetensors(path: Path | str, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
    """Write one file; `tensors` are name -> (dtype, shape, chunks), `metadata` says by default that it is for PyTorch.

    Tensors are taken one after the other, in the order that they get in the file. Raises CapacityError if the disk is
    full, ModelFileError if the file cannot be written, and ValueError for what no file can hold.
    """
    with replacing(Path(path)) as file:
        _write(file, tensors, metadata)


def write_safetensors_folder(
    folder: Path | str,
    tensors: Tensors,
    others: Mapping[str, bytes] | None = None,
    largest: int = LARGEST_FILE,
) -> None:
    """Write a model's folder, which must not exist yet or be empty: `others` by file name, and the tensors.

    They go into files of at most `largest` bytes of data (a larger tensor gets one of its own) in the order given:
    model-00001-of-00002.safetensors and so on with an index, or model.safetensors if all fit in one. Raises as
    `write_safetensors`.
    """
    sizes = {name: _size(name, dtype, shape) for name, (dtype, shape, _) in tensors.items()}
    parts, index = safetensors_parts(sizes, largest)
    others = {**(others or {}), **index}
    total = sum(sizes.values()) + sum(map(len, others.values()))
    with replacing_folder(Path(folder).absolute(), total) as aside:
        for name, part in parts.items():
            with new_file(aside / name) as file:
                _write(file, {tensor: tensors[tensor] for tensor in part}, None)
        for name, content in others.items():
            with new_file(aside / name) as file:
                file.write(content)


def safetensors_parts(
    sizes: Mapping[str, int], largest: int = LARGEST_FILE
) -> tuple[dict[str, list[str]], dict[str, bytes]]:
    """Names of tensors by the file they go to, and the index by its own name, if there is more than one file."""
    parts = _parts(sizes, largest)
    if len(parts) == 1:
        return {"model.safetensors": parts[0]}, {}
    names = [f"model-{i + 1:05}-of-{len(parts):05}.safetensors" for i in range(len(parts))]
    weight_map = {name: file for file, part in zip(names, parts, strict=True) for name in part}
    index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
    text = json.dumps(index, ensure_ascii=False, indent=2) + "\n"
    return dict(zip(names, parts, strict=True)), {INDEX: text.encode()}


def _parts(sizes: Mapping[str, int], largest: int) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if parts[-1] and filled + size > largest:
            parts.append([])
            filled = 0
        parts[-1].append(name)
        filled += size
    return parts


@dataclass(frozen=True)
class SafetensorsLayout:
    """`header` is all before the first tensor; `offsets`, in their order, count from the begin of the file."""

    header: bytes
    offsets: Mapping[str, int]
    size: int  # of the file


def safetensors_layout(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
) -> SafetensorsLayout:
    """Where `write_safetensors` would put everything; `tensors` are name -> (dtype, shape). Raises as it does."""
    order = sorted(tensors, key=lambda name: -BITS.get(tensors[name][0], 0))  # stable
    header: dict[str, Any] = {"__metadata__": dict({"format": "pt"} if metadata is None else metadata)}
    starts: dict[str, int] = {}
    end = 0
    for name in order:
        dtype, shape = tensors[name]
        starts[name] = end
        end += _size(name, dtype, shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [starts[name], end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    data = 8 + len(text)
    return SafetensorsLayout(
        pack("<Q", len(text)) + text, {name: data + start for name, start in starts.items()}, data + end
    )


def _write(file: BinaryIO, tensors: Tensors, metadata: Mapping[str, str] | None) -> None:
    layout = safetensors_layout({name: (dtype, shape) for name, (dtype, shape, _) in tensors.items()}, metadata)
    file.write(layout.header)
    for name in layout.offsets:
        dtype, shape, chunks = tensors[name]
        written = sum(file.write(_bytes(chunk).data) for chunk in _chunks(chunks))
        if written != (size := _size(name, dtype, shape)):
            raise ValueError(f"tensor {name!r} has {written} bytes; {dtype} of shape {shape} takes {size}")


def _size(name: str, dtype: str, shape: tuple[int, ...]) -> int:
    if dtype not in BITS:
        raise ValueError(f"tensor {name!r} is of the dtype {dtype!r}; expected one of {', '.join(BITS)}")
    if not 0 < len(name) <= LONGEST_NAME or name == "__metadata__":
        raise ValueError(f"a tensor is called {name[:80]!r}; expected 1 to {LONGEST_NAME} characters, not __metadata__")
    bits = math.prod(shape) * BITS[dtype]
    if min(shape, default=0) < 0 or bits % 8:
        raise ValueError(f"tensor {name!r} is {dtype} of shape {shape}, which are no whole bytes")
    return bits // 8


def _chunks(chunks: Chunks) -> Iterable[NDArray[Any]]:
    return [chunks] if isinstance(chunks, np.ndarray) else chunks


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
