"""A weight, and the tree of weights that a model is run with.

Precision belongs to the weight: only what multiplies with one (`Ops.project`, `embed`, `logits`) looks inside. The data
may be a view of a memory-mapped file. `Plain`, `Quantised` and `Int8` are numbers as files hold them, `Packed` ones lie
there as kernels multiply them; `Stack`, `Joined` and `Reordered` are made of those and copy nothing until they are
asked for `rows`; `Deferred` is yet to be fetched. `LowRank` is a matrix that a backend has placed, and what adapters
add to it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Deferred",
    "Delta",
    "Int8",
    "Joined",
    "LowRank",
    "Matrix",
    "Packed",
    "Plain",
    "Quantised",
    "Reordered",
    "Stack",
    "Stored",
    "Weight",
    "Weights",
    "is_stack",
    "unstack",
]


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

    def rows(self, index: slice | NDArray[np.intp]) -> "Plain":
        return Plain(self.array[index])

    def unstack(self) -> "tuple[Plain, ...]":
        return tuple(map(Plain, self.array))


@dataclass(frozen=True, eq=False)
class Quantised:
    """A matrix (out, in), or a stack of them, whose rows are encoded block by block.

    `format` is a key of `gadfly.quant.FORMATS`; float16 and bfloat16 are formats with blocks of one. `blocks` is uint8
    of shape (rows, bytes per row), where the rows of a stack's matrices lie end to end.
    """

    format: str
    shape: tuple[int, ...]
    blocks: NDArray[np.uint8]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.blocks.nbytes

    def rows(self, index: slice | NDArray[np.intp]) -> "Quantised":
        """Of a matrix."""
        blocks = self.blocks[index]
        return Quantised(self.format, (len(blocks), self.shape[-1]), blocks)

    def unstack(self) -> "tuple[Quantised, ...]":
        parts = self.blocks.reshape(self.shape[0], -1, self.blocks.shape[-1])
        return tuple(Quantised(self.format, self.shape[1:], part) for part in parts)


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

    def rows(self, index: slice | NDArray[np.intp]) -> "Int8":
        return Int8(self.codes[..., index], self.scales[..., index])

    def unstack(self) -> "tuple[Int8, ...]":
        return tuple(Int8(codes, scales) for codes, scales in zip(self.codes, self.scales, strict=True))

    def decode(self) -> NDArray[np.float32]:
        """Float32 (…, out, in): exact, as the product of an int8 and a bfloat16 has 16 significant bits."""
        scales = (self.scales.astype(np.uint32) << 16).view(np.float32)
        spread = np.repeat(scales, self.codes.shape[-2] // scales.shape[-2], axis=-2)
        return np.ascontiguousarray(np.swapaxes(self.codes * spread, -1, -2))


Stored = Plain | Quantised | Int8


@dataclass(frozen=True, eq=False)
class Reordered:
    """A matrix whose row i is row index[i] of another: some of them, or all in a different order."""

    weight: "Stored | Joined | Deferred"
    index: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.index), *self.weight.shape[1:])

    @property
    def size(self) -> int:
        """Bytes."""
        return self.weight.size * len(self.index) // self.weight.shape[0]

    def rows(self, index: slice | NDArray[np.intp]) -> "Matrix":
        """A copy of these rows."""
        return self.weight.rows(self.index[index])


@dataclass(frozen=True, eq=False)
class Joined:
    """A matrix cut into pieces of the same kind: rows below one another (axis 0), or columns side by side (axis 1)."""

    parts: tuple[Plain | Quantised, ...]
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        rows, columns = self.parts[0].shape
        along = sum(part.shape[self.axis] for part in self.parts)
        return (along, columns) if self.axis == 0 else (rows, along)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.parts)

    def rows(self, index: slice | NDArray[np.intp]) -> Plain | Quantised:
        """A copy of these rows."""
        if self.axis == 1:
            return _joined([part.rows(index) for part in self.parts], axis=1)
        wanted = np.arange(self.shape[0])[index]
        starts = np.cumsum([0, *(part.shape[0] for part in self.parts)])
        of = np.searchsorted(starts, wanted, side="right") - 1
        cuts = [0, *(np.flatnonzero(np.diff(of)) + 1).tolist(), len(wanted)]  # runs of rows from the same part
        runs = [(int(of[first]), wanted[first:last]) for first, last in pairwise(cuts) if first < last]
        runs = runs or [(0, wanted)]
        return _joined([self.parts[part].rows(rows - starts[part]) for part, rows in runs], axis=0)


@dataclass(frozen=True, eq=False)
class Deferred:
    """A weight that is yet to be fetched or computed: whoever wants its numbers has `load` bring it.

    `load_rows`, if it is there, brings some rows of a matrix for less.
    """

    shape: tuple[int, ...]
    load: "Callable[[], Weight]"
    load_rows: "Callable[[slice | NDArray[np.intp]], Matrix] | None" = None

    @property
    def size(self) -> int:
        """Bytes, if it turned out to be bfloat16."""
        return 2 * math.prod(self.shape)

    def rows(self, index: slice | NDArray[np.intp]) -> "Matrix":
        if self.load_rows is not None:
            return self.load_rows(index)
        loaded = self.load()
        assert not isinstance(loaded, Stack)
        return loaded.rows(index)

    def unstack(self) -> "tuple[Deferred, ...]":
        def part(number: int) -> Deferred:
            return Deferred(self.shape[1:], lambda: unstack(self.load())[number])

        return tuple(part(number) for number in range(self.shape[0]))


@dataclass(frozen=True, eq=False, kw_only=True)
class Packed(Deferred):
    """A matrix in one of the kernels' layouts, `offset` bytes into its file: native code takes `packed`, the bytes, as
    they are; for everybody else `load` decodes it to float32.
    """

    layout: str
    packed: NDArray[np.uint8]
    offset: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.packed.nbytes


Matrix = Stored | Reordered | Joined | Deferred


@dataclass(frozen=True, eq=False)
class Stack:
    """Matrices of one shape, a file's tensor each: (count, out, in)."""

    parts: tuple[Matrix, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.parts), *self.parts[0].shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.parts)

    def unstack(self) -> tuple[Matrix, ...]:
        return self.parts


Weight = Matrix | Stack


def is_stack(weight: Weight) -> bool:
    """Whether it is the matrices of several experts."""
    return isinstance(weight, Stack) or len(weight.shape) == 3


def unstack(weight: Weight) -> "tuple[Matrix, ...]":
    """The matrices of a stack; a matrix is alone."""
    if isinstance(weight, Reordered | Joined) or (len(weight.shape) < 3 and not isinstance(weight, Stack)):
        return (weight,)
    return weight.unstack()


def _joined(parts: list[Plain | Quantised], axis: int) -> Plain | Quantised:
    if isinstance(parts[0], Plain):
        return Plain(np.concatenate([part.array for part in parts if isinstance(part, Plain)], axis=axis))
    blocks = np.concatenate([part.blocks for part in parts if isinstance(part, Quantised)], axis=axis)
    columns = sum(part.shape[1] for part in parts) if axis == 1 else parts[0].shape[1]
    return Quantised(parts[0].format, (len(blocks), columns), blocks)


W = TypeVar("W")
V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Delta(Generic[W]):
    """What adapter number `adapter` adds to a matrix (out, in): its strength · scale · up · down.

    `down` is (rank, in), `up` (out, rank) (Hu et al., arXiv 2106.09685); of a stack they are stacks, too.
    """

    adapter: int
    down: W
    up: W
    scale: float


@dataclass(frozen=True, eq=False)
class LowRank(Generic[W]):
    """A placed matrix with adapters, each of which a step uses at a strength of its own for every token."""

    base: W
    deltas: tuple[Delta[W], ...]


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
