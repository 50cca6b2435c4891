"""Importance matrices: how large the numbers are that each column of a matrix is multiplied with.

Rounding errors in a column count by the square of what meets them, so `encode` minimises errors weighted by the mean
squares of activations, measured on some text (`gadfly calibrate`). The file is llama.cpp's, so either program reads
what the other has measured: a GGUF with two tensors for every matrix,

    NAME.in_sum2  float32 (matrices, in): sums of squares;  matrices: 1, or the experts of a stack
    NAME.counts   float32 (matrices, 1): of how many activations

Source: llama.cpp, tools/imatrix. Names are those of the tensors in GGUF files.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import ModelFileError
from gadfly.names import NameTable
from gadfly.weight import Plain
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_metadata import Value
from gadfly.weights.gguf_writer import write_gguf

__all__ = ["Importance", "by_path", "read_importance", "write_importance"]

Importance = Mapping[str, NDArray[np.float32]]  # name of a tensor -> mean squares (matrices, in)

SUMS, COUNTS = ".in_sum2", ".counts"


def read_importance(path: Path) -> dict[str, NDArray[np.float32]]:
    """Mean squares by the tensor's name. Raises ModelFileError for a file that is something else."""
    with GGUF.open(path) as file:
        names = [name.removesuffix(SUMS) for name in file.tensors if name.endswith(SUMS)]
        if not names:
            raise ModelFileError(f"{path} holds no importance matrix; make one with gadfly calibrate")
        return {name: _means(file, name, path) for name in names}


def write_importance(path: Path, sums: Importance, counts: Mapping[str, NDArray[np.float32]], text: str) -> None:
    """`sums` are sums of squares (matrices, in) by tensor, `counts` (matrices,); `text` names what was read."""
    metadata: dict[str, Value | np.generic] = {
        "general.type": "imatrix",
        "general.architecture": "imatrix",
        "imatrix.datasets": [text],
        "imatrix.chunk_count": np.uint32(1),
        "imatrix.chunk_size": np.uint32(max((int(count.max()) for count in counts.values()), default=1)),
    }
    tensors = {}
    for name, values in sums.items():
        tensors[name + SUMS] = ("F32", values.shape, np.asarray(values, np.float32))
        tensors[name + COUNTS] = ("F32", (len(values), 1), np.asarray(counts[name], np.float32).reshape(-1, 1))
    write_gguf(path, metadata, tensors)


def by_path(importance: Importance, names: NameTable) -> dict[str, NDArray[np.float32]]:
    """By path in the weight tree, for a page's GGUF names; of tensors that the page does not know nothing is said."""
    found = {name: names.find(name) for name in importance}
    return {path: importance[name] for name, entry in found.items() if entry is not None for path in entry.paths}


def _means(file: GGUF, name: str, path: Path) -> NDArray[np.float32]:
    sums, counts = (file.weight(name + suffix) for suffix in (SUMS, COUNTS))
    if not isinstance(sums, Plain) or not isinstance(counts, Plain) or counts.array.size != _matrices(sums):
        raise ModelFileError(
            f"{path}: the importance of {name[:60]!r} is not float32 sums and counts; measure it again"
        )
    squares = sums.array.reshape(counts.array.size, -1)
    seen = np.maximum(counts.array.reshape(-1, 1), 1)
    means = np.asarray(squares / seen, np.float32)
    if not np.isfinite(means).all() or (means < 0).any():
        raise ModelFileError(f"{path}: the importance of {name[:60]!r} is not made of finite squares; measure it again")
    unseen = means.max(axis=1) == 0  # an expert that no text went to: all its columns count alike
    means[unseen] = 1
    return means


def _matrices(sums: Plain) -> int:
    return sums.shape[0] if len(sums.shape) > 1 else 1
