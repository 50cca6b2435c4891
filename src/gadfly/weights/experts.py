"""Where the experts of a mixture live: the only place that knows.

    Resident   in memory, like every other weight
    Mapped     in a file, packed as kernels multiply them and mapped: the system reads what is used and takes back what
               it needs room for, so that a mixture larger than memory runs, as fast as the system pages
    Unpacked   in the model's own files, decoded anew for every use: what Mapped is to the reference backend

Mapped's file is a cache: made when it is first needed, made anew when the model, or how this Gadfly packs, is no longer
what it was made of, and nobody's loss when it is deleted. Only its header is checked when it is opened.

    header, zeros · one matrix after another, each from a multiple of PAGE on
"""

import fcntl
import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from gadfly._native import PackedMatrix, packed_bytes
from gadfly.errors import CapacityError, ModelFileError, NotFoundError, RequestError, UnsupportedError
from gadfly.ops import Backend, Floats
from gadfly.ops.native import Native, layout_of
from gadfly.quant import FORMATS
from gadfly.weight import Matrix, Stack, Weight, unstack
from gadfly.weights.disk import map_file, replacing, writing
from gadfly.weights.model_file import ModelFile

__all__ = ["ExpertStore", "Mapped", "Place", "Resident", "Unpacked", "expert_store", "is_stack"]

Place = Literal["resident", "mapped"]

PAGE = 4096  # bytes: matrices begin where the system's pages and direct reads do
MAGIC = b"gadfly packed experts 1\n"  # another number when pages arrange experts otherwise
SHARE = 0.9  # of the room in memory that weights may take: the rest is for the context and for everybody else


class ExpertStore(Protocol):
    @property
    def note(self) -> str | None:
        """What a user should know about it."""

    def place(self, stack: Weight) -> Any:
        """The matrices of a stack as the backend's ops take them."""


def expert_store(
    file: ModelFile, backend: Backend[Any, Any, Any], place: str | None, room: int, folder: Path
) -> ExpertStore:
    """A store in that place; None is mapped for mixtures that leave too little of `room` bytes of memory.

    `folder` is for what is packed. Raises CapacityError if the disk has no room for it, ModelFileError if it cannot be
    written, RequestError for another place.
    """
    if place not in ("resident", "mapped", None):
        raise RequestError(f"there is no place {place!r} for experts; choose resident or mapped")
    stacks = [file.weights[path] for path in file.weights if is_stack(file.weights[path])]
    if not stacks:
        return Resident(backend)
    if place is None:
        wanted = sum(_bytes_in_memory(file.weights[path], backend) for path in file.weights)
        place = "mapped" if wanted > SHARE * room else "resident"
    if place == "resident":
        return Resident(backend)
    return Mapped(file, backend, folder) if isinstance(backend, Native) else Unpacked(backend)


def is_stack(weight: Weight) -> bool:
    return isinstance(weight, Stack) or len(weight.shape) == 3


class Resident:
    """In memory, where the backend puts them."""

    note = None

    def __init__(self, backend: Backend[Any, Any, Any]) -> None:
        self._backend = backend

    def place(self, stack: Weight) -> Any:
        return self._backend.place(stack)


class Unpacked:
    """In the model's own files: the backend decodes an expert each time that it is used."""

    note = "experts are decoded anew each time that they are used, which takes little memory and much time"

    def __init__(self, backend: Backend[Any, Any, Any]) -> None:
        self._backend = backend

    def place(self, stack: Weight) -> "DecodedOnUse":
        return DecodedOnUse(unstack(stack), self._backend)


class DecodedOnUse(Sequence[Floats]):
    def __init__(self, parts: Sequence[Matrix], backend: Backend[Any, Any, Any]) -> None:
        self._parts = parts
        self._backend = backend

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: Any) -> Any:
        return self._backend.place(self._parts[index])


class Mapped:
    """In a file of the folder `folder` / MODEL, which is made by the first who needs it; others wait for that."""

    def __init__(self, file: ModelFile, backend: Native, folder: Path) -> None:
        self._backend = backend
        stacks = [weight for weight in (file.weights[path] for path in file.weights) if is_stack(weight)]
        self._starts: dict[int, int] = {}  # by the stack's id
        size = PAGE
        for stack in stacks:
            self._starts[id(stack)] = size
            size += sum(map(_pages, unstack(stack)))
        self._stacks = stacks  # so that ids stay theirs
        self.path = folder / _name(file.path) / "packed"
        header = MAGIC + _identity(file, stacks)
        mapped = _open(self.path, header, size)
        if mapped is None:
            with writing(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with _locked(self.path.parent):
                    mapped = _open(self.path, header, size) or self._make(file, header, size)
        self._bytes = np.frombuffer(mapped, np.uint8)

    @property
    def note(self) -> str:
        return (
            f"experts ({len(self._bytes) / 1e9:.1f} GB) are read from {self.path} as they are needed; what does not "
            "fit into memory is read again and again, slowly. The file is a cache and may be deleted"
        )

    def place(self, stack: Weight) -> list[PackedMatrix]:
        start = self._starts[id(stack)]
        placed = []
        for part in unstack(stack):
            placed.append(self._backend.adopt(part, self._bytes[start : start + _size(part)]))
            start += _pages(part)
        return placed

    def _make(self, file: ModelFile, header: bytes, size: int) -> mmap.mmap:
        self.path.unlink(missing_ok=True)  # of no use, but perhaps of the size that is needed now
        for left in self.path.parent.glob(f".{self.path.name}.*"):  # by who was killed
            left.unlink()
        if size > (free := shutil.disk_usage(self.path.parent).free):
            raise CapacityError(
                f"{self.path.parent} has {free / 1e9:.1f} GB free and packed experts take {size / 1e9:.1f} GB; make "
                "room, set GADFLY_HOME to a larger disk, or keep experts resident in memory"
            )
        packer = Native(1)
        with replacing(self.path) as out:
            out.write(header.ljust(PAGE, b"\0"))
            for stack in self._stacks:
                for part in unstack(stack):
                    out.write(packer.pack(part).packed.data)
                    out.write(bytes(_pages(part) - _size(part)))
                    file.release()
        mapped = _open(self.path, header, size)
        if mapped is None:
            raise ModelFileError(f"{self.path} was written and cannot be read back; check the disk")
        return mapped


def _open(path: Path, header: bytes, size: int) -> mmap.mmap | None:
    """None if there is no file, or one that is not whole or not of this model."""
    try:
        mapped = map_file(path, "packed experts")
    except (NotFoundError, ModelFileError):  # whatever is wrong with it also is when it cannot be replaced
        return None
    return mapped if len(mapped) == size and mapped[: len(header)] == header else None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the system lets go of what a dead one held."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _size(matrix: Matrix) -> int:
    rows, columns = matrix.shape
    return packed_bytes(layout_of(matrix), rows, columns)


def _pages(matrix: Matrix) -> int:
    """Its bytes in whole pages."""
    return -(-_size(matrix) // PAGE) * PAGE


def _bytes_in_memory(weight: Weight, backend: Backend[Any, Any, Any]) -> int:
    if isinstance(backend, Native):
        return sum(_size(part) if len(part.shape) > 1 else part.size for part in unstack(weight))
    return 4 * int(np.prod(weight.shape))


def _name(model: Path) -> str:
    """Of a folder for a model: readable, and different for each path."""
    path = model.resolve()
    return f"{path.stem[:40]}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"


def _identity(file: ModelFile, stacks: Sequence[Weight]) -> bytes:
    """Digest of all that packed bytes depend on: the model's files, its matrices in order, how they are packed."""
    if not file.files:
        raise UnsupportedError(f"{file.path}: these weights lie in no file, so their experts cannot be mapped")
    parts = [part for stack in stacks for part in unstack(stack)]
    try:
        stats = [(str(path.resolve()), path.stat()) for path in file.files]
    except OSError as error:
        raise ModelFileError(f"{file.path} cannot be read: {error}; has it been moved?") from error
    facts = {
        "page": file.page.name,
        "files": [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats],
        "matrices": [(layout_of(part), part.shape) for part in parts],
        "layouts": {layout: _sample(layout) for layout in {layout_of(part) for part in parts}},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()


def _sample(layout: str) -> str:
    """Digest of a small matrix packed in this layout: another if a Gadfly packs otherwise."""
    rows, columns = 8, 256
    matrix = PackedMatrix(layout, rows, columns)
    if layout == "I8":
        codes = np.arange(rows * columns).astype(np.int8).reshape(columns, rows)
        matrix.fill_transposed(codes, np.arange(rows, dtype=np.uint16).reshape(1, rows))
    else:
        row_bytes = FORMATS[layout].row_bytes(columns)
        matrix.fill(0, (np.arange(rows * row_bytes) % 251).astype(np.uint8).reshape(rows, row_bytes))
    return hashlib.sha256(matrix.packed.data).hexdigest()
