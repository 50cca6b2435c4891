"""A low-rank adapter in memory, and how it comes out of tensors that are named after matrices of files.

What a file fuses has one `down` for all of it, and an `up` that is cut where the matrices are.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gadfly.arch import Dialect
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.quant import decode
from gadfly.spec import ModelSpec
from gadfly.weight import Deferred, Int8, Joined, Matrix, Plain, Quantised, Reordered, Stack, Weight

__all__ = ["Adapter", "Half", "Pair", "floats", "matrix_names", "paired"]

Half = Literal["down", "up"]


@dataclass(frozen=True, eq=False)
class Pair:
    """`down` is (rank, in), `up` (out, rank), float32; what they add to a matrix is scale · up · down.

    Of a stack of experts' matrices they are stacks, too: (experts, rank, in) and (experts, out, rank).
    """

    down: NDArray[np.float32]
    up: NDArray[np.float32]

    @property
    def rank(self) -> int:
        return int(self.down.shape[-2])


@dataclass(frozen=True, eq=False)
class Adapter:
    """`pairs` by the path of the matrix that they belong to. `facts` say where it came from."""

    pairs: Mapping[str, Pair]
    scale: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of its numbers, hexadecimal."""
        digest = hashlib.blake2b(repr(self.scale).encode(), digest_size=16)
        for path in sorted(self.pairs):
            digest.update(path.encode())
            for factor in (self.pairs[path].down, self.pairs[path].up):
                digest.update(np.ascontiguousarray(factor).data)
        return digest.hexdigest()

    @property
    def rank(self) -> int:
        return next(iter(self.pairs.values())).rank

    @property
    def changes_experts(self) -> bool:
        return any(pair.down.ndim == 3 for pair in self.pairs.values())


def paired(
    source: object, halves: Iterable[tuple[str, str, Half, Matrix]], dialect: Dialect, spec: ModelSpec
) -> dict[str, Pair]:
    """By path, from tensors: their own name, that of the matrix which they belong to, which half they are, the numbers.

    Raises ModelFileError or UnsupportedError naming `source` and the tensor.
    """
    shapes = dict(spec.shapes())
    found: dict[tuple[str, ...], dict[Half, NDArray[np.float32]]] = {}
    experts: dict[tuple[str, ...], dict[Half, dict[int, NDArray[np.float32]]]] = {}
    for own, matrix, half, weight in halves:
        entry = dialect.names.find(matrix)
        if entry is None or not set(entry.paths) <= shapes.keys():
            raise ModelFileError(f"{source}: {own!r:.100} is no adapter of a matrix of this model")
        shape = shapes[entry.paths[0]]
        if len(shape) < 2 or (len(shape) > 2 and len(entry.paths) > 1):
            raise UnsupportedError(f"{source}: {own!r:.100} adapts a vector or fused experts, which is not supported")
        if len(weight.shape) < 2:
            raise ModelFileError(f"{source}: {own!r:.100} has the shape {weight.shape}; expected a matrix")
        *stack, rows, inner = shape
        rows = rows if stack else sum(shapes[path][0] for path in entry.paths)
        rank = weight.shape[-2] if half == "down" else weight.shape[-1]
        expected: tuple[int, ...] = (rank, inner) if half == "down" else (rows, rank)
        if stack and not entry.per_expert:
            expected = (*stack, *expected)
        if weight.shape != expected:
            raise ModelFileError(f"{source}: {own!r:.100} has the shape {weight.shape}; expected {expected} here")
        numbers = np.array(floats(weight))
        if not np.isfinite(numbers).all():
            raise ModelFileError(f"{source}: {own!r:.100} has numbers in it that are none; fetch it again")
        if entry.per_expert:
            names = entry.names(stack[0])
            if matrix not in names:
                raise ModelFileError(f"{source}: {own!r:.100} is of an expert that this model does not have")
            experts.setdefault(entry.paths, {}).setdefault(half, {})[names.index(matrix)] = numbers
        else:
            found.setdefault(entry.paths, {})[half] = numbers
    found |= {paths: _stacked(source, one, shapes[paths[0]][0]) for paths, one in experts.items()}
    if not found or any(len(one) != 2 for one in found.values()):
        raise ModelFileError(f"{source}: expected both factors of one or more matrices; fetch it again")
    if len(ranks := {factor.shape[axis] for one in found.values() for factor, axis in _ranked(one)}) > 1:
        raise UnsupportedError(f"{source}: factors have ranks {sorted(ranks)}; only adapters of one rank are read")
    pairs = {}
    for paths, one in found.items():
        if one["down"].ndim == 3:
            pairs[paths[0]] = Pair(one["down"], one["up"])
            continue
        first = 0
        for path in paths:
            last = first + shapes[path][0]
            pairs[path] = Pair(one["down"], floats(dialect.arrange(path, Plain(one["up"][first:last]), spec)))
            first = last
    return pairs


def _stacked(
    source: object, halves: Mapping[Half, Mapping[int, NDArray[np.float32]]], experts: int
) -> dict[Half, NDArray[np.float32]]:
    """Of all experts, each of which has its own."""
    for one in halves.values():
        if len(one) != experts or len({numbers.shape for numbers in one.values()}) > 1:
            raise UnsupportedError(f"{source}: only adapters of all {experts} experts and of one rank are read")
    return {half: np.stack([one[expert] for expert in range(experts)]) for half, one in halves.items()}


def matrix_names(path: str, dialect: Dialect, page: str, experts: int | None = None) -> list[str]:
    """What files of this page call the matrix of a path, or each of its `experts`.

    Raises UnsupportedError where files of this architecture fuse matrices that were adapted one by one.
    """
    entry = dialect.names.entry(path)
    if entry is None or len(entry.paths) != 1:
        raise UnsupportedError(f"{page} files have no matrix of its own for {path}, so it has no adapter in this form")
    return entry.names(experts or 1)


def _ranked(one: Mapping[Half, NDArray[np.float32]]) -> list[tuple[NDArray[np.float32], int]]:
    return [(one["down"], -2), (one["up"], -1)]


def floats(weight: Weight) -> NDArray[np.float32]:
    """Decoded."""
    assert not isinstance(weight, Stack)
    match weight:
        case Plain(array):
            return array
        case Quantised(kind, shape, blocks):
            return decode(kind, blocks).reshape(shape)
        case Int8():
            return weight.decode()
        case Reordered() | Joined() | Deferred():
            return floats(weight.rows(slice(None)))
