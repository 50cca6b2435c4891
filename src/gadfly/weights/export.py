"""From the weight tree to the tensors of a file, by the same table of names that `assemble` reads.

Nothing is computed and nothing copied here: a tensor is a list of matrices whose rows lie end to end. Whoever writes
takes them a stretch of rows at a time.
"""

import math
from dataclasses import dataclass

from gadfly.arch import Dialect
from gadfly.spec import ModelSpec
from gadfly.weight import Deferred, Joined, Matrix, Plain, Reordered, Stack, Stored, Weight, Weights, unstack

__all__ = ["OutTensor", "export"]


@dataclass(frozen=True, eq=False)
class OutTensor:
    """`path` is that of the first weight in it; `expert` which matrix of its stack this is, where it is one alone."""

    name: str
    path: str
    shape: tuple[int, ...]
    parts: tuple[Matrix, ...]
    expert: int | None = None

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)

    @property
    def columns(self) -> int:
        return self.shape[-1]

    def height(self, part: int) -> int:
        """Rows of a part; a vector is one row."""
        return self.parts[part].shape[0] if len(self.shape) > 1 else 1

    def rows(self, part: int, first: int, last: int) -> Stored:
        """Some rows of a part."""
        found: Weight = self.parts[part]
        if len(self.shape) > 1:
            while isinstance(found, Reordered | Joined | Deferred):
                found, first, last = found.rows(slice(first, last)), 0, last - first
            assert not isinstance(found, Stack)
            return found.rows(slice(first, last))
        vector = found.load() if isinstance(found, Deferred) else found
        assert isinstance(vector, Plain)
        return Plain(vector.array.reshape(1, -1))


def export(weights: Weights[Weight], spec: ModelSpec, dialect: Dialect) -> list[OutTensor]:
    """All tensors of a model, in the order of its paths; without an output that is the embedding, if it may be."""
    tensors: list[OutTensor] = []
    done: set[str] = set()
    for path, shape in spec.shapes():
        if path in done or (path == "output" and dialect.ties and weights["output"] is weights["embedding"]):
            continue
        entry = dialect.names.entry(path)
        assert entry is not None, path
        done.update(entry.paths)
        held = [restored(part, weights[part], spec, dialect) for part in entry.paths]
        if entry.per_expert:
            matrices = unstack(held[0])
            tensors += [
                OutTensor(name, path, shape[1:], (matrix,), expert)
                for expert, (name, matrix) in enumerate(zip(entry.names(shape[0]), matrices, strict=True))
            ]
        else:
            rows = sum(weight.shape[-len(shape)] for weight in held)
            parts = tuple(matrix for weight in held for matrix in unstack(weight))
            tensors.append(OutTensor(entry.name, path, (rows, *shape[1:]), parts))
    return tensors


def restored(path: str, weight: Weight, spec: ModelSpec, dialect: Dialect) -> Weight:
    if isinstance(weight, Deferred) and weight.load_rows is None:
        return Deferred(weight.shape, lambda: dialect.restore(path, weight.load(), spec))
    return dialect.restore(path, weight, spec)
