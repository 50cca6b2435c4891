"""From a file's tensors to the weight tree: every tensor accounted for, none copied, whatever the kind of file.

Which tensor belongs where is the business of a page's names (`gadfly.arch`); here tensors are cut where a file fuses
several weights, stacked where it keeps every expert apart, and joined where it keeps slices. `export` is the way back.
"""

from collections.abc import Iterable
from typing import Protocol

from gadfly.arch import Dialect
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.names import Entry
from gadfly.quant import decode
from gadfly.spec import ModelSpec
from gadfly.weight import Deferred, Joined, Matrix, Plain, Quantised, Stack, Stored, Weight, Weights

__all__ = ["Tensors", "assemble"]


class Tensors(Protocol):
    """A model's files, as far as tensors are concerned."""

    @property
    def source(self) -> str:
        """Names the files in errors."""

    def names(self) -> Iterable[str]: ...

    def weight(self, name: str) -> Stored | Joined | Deferred: ...


def assemble(tensors: Tensors, dialect: Dialect, spec: ModelSpec) -> Weights[Weight]:
    """Weights by path, as the runtime wants them. A missing output is the embedding.

    Raises ModelFileError for any other gap, a surplus or a wrong shape, UnsupportedError for names unknown here.
    """
    shapes = dict(spec.shapes())
    reader = _Reader(tensors, dialect, shapes, len(spec.blocks))
    weights: dict[str, Weight] = {}
    for path, shape in shapes.items():
        if path == "output" and not reader.has(path):
            continue
        weights[path] = arranged(path, reader.read(path, shapes, shape), spec, dialect)
    weights.setdefault("output", weights["embedding"])
    if surplus := reader.unread():
        raise ModelFileError(f"{tensors.source}: the tensor {surplus!r} belongs to no part of this model")
    return Weights(weights)


def arranged(path: str, weight: Weight, spec: ModelSpec, dialect: Dialect) -> Weight:
    if isinstance(weight, Deferred):
        return Deferred(weight.shape, lambda: dialect.arrange(path, weight.load(), spec))
    return dialect.arrange(path, weight, spec)


class _Reader:
    def __init__(self, tensors: Tensors, dialect: Dialect, shapes: dict[str, tuple[int, ...]], layers: int) -> None:
        self.tensors = tensors
        self.dialect = dialect
        self.present = set(tensors.names())
        self.entries: dict[str, Entry] = {}
        for name in tensors.names():
            entry = dialect.names.find(name)
            if entry is not None:
                if not entry.paths[0].startswith("spec.") and not set(entry.paths) <= shapes.keys():
                    raise ModelFileError(
                        f"{tensors.source}: the tensor {name[:60]!r} belongs to no layer of a model of {layers}"
                    )
                self.entries[name] = entry
            elif dialect.ignored.find(name) is None:
                raise UnsupportedError(
                    f"{tensors.source}: Gadfly does not know what the tensor {name[:60]!r} is for, so it cannot run "
                    "the model faithfully"
                )
        self.held = {path: entry for entry in self.entries.values() for path in entry.paths}
        self.written = {entry.name: name for name, entry in self.entries.items() if not entry.per_expert}
        self.read_names: set[str] = set()

    def has(self, path: str) -> bool:
        return path in self.held

    def read(self, path: str, shapes: dict[str, tuple[int, ...]], shape: tuple[int, ...]) -> Weight:
        entry = self.held.get(path) or self.dialect.names.entry(path)
        assert entry is not None, path
        if entry.per_expert:
            return Stack(tuple(self.take(name, shape[1:]) for name in entry.names(shape[0])))
        name = self.written.get(entry.name, entry.name)
        if len(entry.paths) == 1:
            return self.take(name, shape)
        rows = [shapes[part][0] for part in entry.paths]
        first = sum(rows[: entry.paths.index(path)])
        fused, own = self.take(name, (sum(rows), *shape[1:])), slice(first, first + shape[0])
        return Deferred(shape, lambda: fused.rows(own)) if isinstance(fused, Deferred) else fused.rows(own)

    def take(self, name: str, shape: tuple[int, ...]) -> Matrix:
        """A tensor of this shape; vectors as float32."""
        if name not in self.present:
            raise ModelFileError(
                f"{self.tensors.source}: the tensor {name!r} is missing; the file is incomplete, fetch it again"
            )
        self.read_names.add(name)
        weight = self.tensors.weight(name)
        if isinstance(weight, Joined):
            weight = _along(weight, shape)
        if weight.shape != shape:
            raise ModelFileError(
                f"{self.tensors.source}: the tensor {name!r} has shape {weight.shape}; expected {shape}"
            )
        if len(shape) > 1:
            return weight
        return Deferred(shape, lambda: _vector(weight.load())) if isinstance(weight, Deferred) else _vector(weight)

    def unread(self) -> str | None:
        spec = {name for name, entry in self.entries.items() if entry.paths[0].startswith("spec.")}
        return min(self.entries.keys() - self.read_names - spec, default=None)


def _vector(weight: Weight) -> Plain:
    """As float32."""
    if isinstance(weight, Quantised):
        return Plain(decode(weight.format, weight.blocks.reshape(1, -1)).reshape(weight.shape))
    assert isinstance(weight, Plain)
    return weight


def _along(pieces: Joined, shape: tuple[int, ...]) -> Joined:
    """Pieces are joined along the axis that makes them the shape that is expected."""
    other = Joined(pieces.parts, 1 - pieces.axis)
    return other if other.shape == shape else pieces
