"""A weight, and the tree of weights that a model is run with.

Precision belongs to the weight: only what multiplies with one (`Ops.project`, `embed`, `logits`) looks inside.
The data may be a view of a memory-mapped file; nothing here copies it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Int8", "Plain", "Quantised", "Weight", "Weights"]


@dataclass(frozen=True, eq=False)
class Plain:
    """A float32 array of any shape; matrices are (out, in)."""

    array: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def size(self) -> int:
        """Bytes."""
        return self.array.nbytes

    def take_rows(self, index: NDArray[np.intp]) -> "Plain":
        return Plain(self.array[index])


@dataclass(frozen=True, eq=False)
class Quantised:
    """A matrix (out, in) whose rows are encoded block by block; `format` is a key of `gadfly.quant.FORMATS`.

    Float16 and bfloat16 are formats with blocks of one. `blocks` is uint8 of shape (out, bytes per row).
    """

    format: str
    shape: tuple[int, ...]
    blocks: NDArray[np.uint8]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.blocks.nbytes

    def take_rows(self, index: NDArray[np.intp]) -> "Quantised":
        return Quantised(self.format, (len(index), *self.shape[1:]), self.blocks[index])


@dataclass(frozen=True, eq=False)
class Int8:
    """A matrix, or a stack of them, as Grok-1 was released: codes (…, in, out), scales (…, groups, out).

    weight[…, o, i] = codes[…, i, o] · scales[…, i // (in / groups), o]. Scales are bfloat16, as raw uint16.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.uint16]

    @property
    def shape(self) -> tuple[int, ...]:
        """(…, out, in), as of every weight."""
        *stack, inputs, outputs = self.codes.shape
        return (*stack, outputs, inputs)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.codes.nbytes + self.scales.nbytes

    def take_rows(self, index: NDArray[np.intp]) -> "Int8":
        return Int8(self.codes[..., index], self.scales[..., index])

    def decode(self) -> NDArray[np.float32]:
        """Float32 (…, out, in): exact, as the product of an int8 and a bfloat16 has 16 significant bits."""
        scales = (self.scales.astype(np.uint32) << 16).view(np.float32)
        spread = np.repeat(scales, self.codes.shape[-2] // scales.shape[-2], axis=-2)
        return np.ascontiguousarray(np.swapaxes(self.codes * spread, -1, -2))


Weight = Plain | Quantised | Int8

W = TypeVar("W")
V = TypeVar("V")


class Weights(Generic[W]):
    """Weights by path ("blocks.3.mixer.query"); `at` descends. Two paths may share one weight (tied embeddings)."""

    def __init__(self, by_path: Mapping[str, W], prefix: str = "") -> None:
        self._by_path = by_path
        self._prefix = prefix

    def __getitem__(self, path: str) -> W:
        return self._by_path[self._prefix + path]

    def __iter__(self) -> Iterator[str]:
        return (path.removeprefix(self._prefix) for path in self._by_path if path.startswith(self._prefix))

    def at(self, path: str) -> "Weights[W]":
        return Weights(self._by_path, f"{self._prefix}{path}.")

    def map(self, place: Callable[[W], V]) -> "Weights[V]":
        """Apply `place` once to every distinct weight; what was shared stays shared."""
        placed: dict[int, V] = {}
        for path in self:
            if id(self[path]) not in placed:
                placed[id(self[path])] = place(self[path])
        return Weights({path: placed[id(self[path])] for path in self})
