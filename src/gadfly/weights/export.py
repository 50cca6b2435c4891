"""From the weight tree to the tensors of a file, by the same table of names that `assemble` reads.

Nothing is computed and nothing copied here: a tensor is a list of matrices whose rows lie end to end. Whoever writes
takes them a stretch of rows at a time.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gadfly.arch import Dialect
from gadfly.spec import ModelSpec
from gadfly.weight import Joined, Matrix, Plain, Reordered, Stack, Weight, Weights

__all__ = ["OutTensor", "export", "stretches"]


@dataclass(frozen=True, eq=False)
class OutTensor:
    """`path` is that of the first weight in it, without the number of the expert."""

    name: str
    path: str
    shape: tuple[int, ...]
    parts: tuple[Matrix, ...]

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)

    @property
    def columns(self) -> int:
        return self.shape[-1]


def export(weights: Weights[Weight], spec: ModelSpec, dialect: Dialect) -> list[OutTensor]:
    """All tensors of a model, in the order of its paths. An output that is the embedding is left out."""
    tensors: list[OutTensor] = []
    done: set[str] = set()
    for path, shape in spec.shapes():
        if path in done or (path == "output" and weights["output"] is weights["embedding"]):
            continue
        entry = dialect.names.entry(path)
        assert entry is not None, path
        done.update(entry.paths)
        held = [dialect.restore(part, weights[part], spec) for part in entry.paths]
        if entry.per_expert:
            matrices = _matrices(held[0])
            tensors += [
                OutTensor(name, path, shape[1:], (matrix,))
                for name, matrix in zip(entry.names(shape[0]), matrices, strict=True)
            ]
        else:
            rows = sum(weight.shape[-len(shape)] for weight in held)
            parts = tuple(matrix for weight in held for matrix in _matrices(weight))
            tensors.append(OutTensor(entry.name, path, (rows, *shape[1:]), parts))
    return tensors


def stretches(tensor: OutTensor, most: int) -> Iterator[Matrix]:
    """The tensor's rows from first to last, at most so many at a time; a vector is one row."""
    for part in tensor.parts:
        if len(part.shape) == 1:
            assert isinstance(part, Plain)
            yield Plain(part.array.reshape(1, -1))
            continue
        for first in range(0, part.shape[0], most):
            yield part.rows(slice(first, min(first + most, part.shape[0])))


def _matrices(weight: Weight) -> tuple[Matrix, ...]:
    if isinstance(weight, Reordered | Joined):
        return (weight,)
    return weight.unstack() if isinstance(weight, Stack) or len(weight.shape) == 3 else (weight,)
