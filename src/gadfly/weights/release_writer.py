"""Writing a checkpoint in the format of xAI's Grok-1 release, a piece of a tensor at a time, whatever the size.

The folder is written aside, synced and renamed: what stands under its name is whole. `grok_release` reads it back;
the bytes around the tensors come from `release_pickler`.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.arch.grok1_release import Hyperparameters, Layout, config_json, release_layout
from gadfly.weights.disk import new_file, replacing_folder
from gadfly.weights.release_opcodes import ITEM_BYTES
from gadfly.weights.release_pickler import pickled

__all__ = ["Pieces", "write_release"]

Pieces = NDArray[Any] | Iterable[NDArray[Any]]  # a whole array, or runs of it in C order


def write_release(
    folder: Path | str,
    hyperparameters: Hyperparameters,
    tensors: Iterable[tuple[str, Pieces | tuple[Pieces, NDArray[np.uint16]]]],
) -> None:
    """Write `folder`, which must not exist yet or be empty.

    `tensors` are the names of `release_layout` in any order, each with its float32 array or with int8 codes and
    bfloat16 scales (raw bits; (..., groups, out)). They are taken one after the other and not kept, and may come as
    pieces. Raises CapacityError if the disk is too small, ModelFileError for hyperparameters out of range or a folder
    that cannot be written, and ValueError for tensors of wrong names, types or shapes.
    """
    folder = Path(folder).absolute()
    hyperparameters.check(folder)
    missing = {tensor.name: tensor for tensor in release_layout(hyperparameters)}
    with replacing_folder(folder, sum(map(_payload, missing.values()))) as aside:
        with new_file(aside / "config.json") as file:
            file.write(config_json(hyperparameters).encode())
        (aside / "ckpt-0").mkdir()
        for name, value in tensors:
            if name not in missing:
                raise ValueError(f"{name!r} is no tensor of this model, or it came before")
            tensor = missing.pop(name)
            _write(aside / "ckpt-0" / tensor.file_name, tensor, value)
        if missing:
            raise ValueError(f"{len(missing)} tensors are missing, first {next(iter(missing))!r}")


def _payload(tensor: Layout) -> int:
    return math.prod(tensor.shape) * ITEM_BYTES[tensor.kind]


def _write(path: Path, tensor: Layout, value: Pieces | tuple[Pieces, NDArray[np.uint16]]) -> None:
    if isinstance(value, tuple) != (tensor.kind == "int8"):
        raise ValueError(f"{tensor.name!r} is {tensor.kind}; expected scales with int8, and only with int8")
    if isinstance(value, tuple):
        codes, scales = value
        *experts, rows, columns = tensor.shape
        groups = scales.shape[-2] if scales.ndim > 1 else 0
        if scales.shape != (*experts, groups, columns) or groups == 0 or rows % groups:
            raise ValueError(f"{tensor.name!r} has scales of shape {scales.shape} for a weight of {tensor.shape}")
        parts = pickled((tensor.kind, tensor.shape), ("bfloat16", scales.shape))
        payloads = iter([_pieces(codes, "i1", tensor.shape), _pieces(scales, "<u2", scales.shape)])
    else:
        parts = pickled((tensor.kind, tensor.shape))
        payloads = iter([_pieces(value, "<f4", tensor.shape)])
    with new_file(path) as file:
        for part in parts:
            if isinstance(part, bytes):
                file.write(part)
            elif (written := sum(map(file.write, next(payloads)))) != part:
                raise ValueError(f"{tensor.name!r} has {written} bytes; expected {part}")


def _pieces(value: Pieces, dtype: str, shape: tuple[int, ...]) -> Iterator[memoryview]:
    if isinstance(value, np.ndarray) and value.shape != shape:
        raise ValueError(f"an array is of shape {value.shape}; expected {shape}")
    for piece in [value] if isinstance(value, np.ndarray) else value:
        if piece.dtype != dtype:
            raise ValueError(f"an array is {piece.dtype}; expected {np.dtype(dtype)}")
        yield np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data
