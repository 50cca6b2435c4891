"""A model's matrices in a file, packed as kernels multiply them, and mapped: made once, by whoever needs it first.

    header, one matrix after another, each from a multiple of PAGE on

The system reads what is used, shares it between processes and takes it back when it needs room. The file is made anew
when the model, or how this Gadfly packs, is no longer what it was made of. It is never believed: where a matrix lies
and how long it is follows from the model, and a file of another length or header is not opened. Its numbers are
not checked, as little as those of the model. Which files there are: `gadfly.weights.cache`.
"""

import fcntl
import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from gadfly._native import PackedMatrix, ThreadPool
from gadfly.errors import CapacityError, ModelFileError, NotFoundError, UnsupportedError
from gadfly.ops.native import Native, layout_of, packed_bytes
from gadfly.quant import FORMATS
from gadfly.weight import Matrix, Weight, is_stack, unstack
from gadfly.weights.cache import HEADER, header
from gadfly.weights.clinging import NAME as CLINGING
from gadfly.weights.disk import map_file, read_directly, replacing, uncache, writing
from gadfly.weights.model_file import ModelFile

__all__ = ["PAGE", "PackedFile", "bytes_packed", "layout_digest", "packed_size", "whole_pages"]

PAGE = 4096  # bytes: matrices begin where the system's pages and direct reads do
UNCACHED = 2**26  # bytes that are written before the system's cache is told to forget them
TAIL = 4096  # bytes of a model's files that are looked at

Advance = Callable[[int, int], None]  # bytes packed, of how many


class PackedFile:
    """The matrices of `file`, all but its vectors, at `path`. `open` or `make` comes before `place`.

    Raises UnsupportedError if the weights lie in no file, which alone can say whether it is still the same.
    """

    filed = False

    def __init__(self, file: ModelFile, path: Path) -> None:
        self.path = path
        self._file = file
        self._weights: list[Weight] = []  # kept, so that ids stay theirs
        self._starts: dict[int, int] = {}  # by the weight's id
        self.size = HEADER
        for weight in (file.weights[path] for path in file.weights):
            if len(weight.shape) > 1 and id(weight) not in self._starts:
                self._weights.append(weight)
                self._starts[id(weight)] = self.size
                self.size += sum(map(_pages, unstack(weight)))
        self._header = header(_identity(file, self._weights), file.path)
        self._map: mmap.mmap | None = None
        self._bytes = np.empty(0, np.uint8)

    def open(self) -> bool:
        """Whether the file is there, whole, and of this model; if so, it is mapped."""
        try:
            mapped = map_file(self.path, "packed weights")
        except (NotFoundError, ModelFileError):  # whatever is wrong with it also is when it cannot be replaced
            return False
        if len(mapped) != self.size or mapped[:HEADER] != self._header:
            return False
        with suppress(OSError):  # it may be somebody else's; then they say when it was used
            os.utime(self.path)
        self._map, self._bytes = mapped, np.frombuffer(mapped, np.uint8)
        return True

    def make(self, backend: Native, advance: Advance = lambda *_: None, uncached: bool = False) -> None:
        """Pack, unless somebody else just did: one process at a time, the others wait.

        `uncached` keeps what is read and written out of the system's cache, so that it takes nobody's memory. Raises
        CapacityError if the disk has no room for it, ModelFileError if it cannot be written.
        """
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path.parent):
                if not self.open():
                    self._write(backend, advance, uncached)
        if self._map is None and not self.open():
            raise ModelFileError(f"{self.path} was written and cannot be read back; check the disk")

    def free_room(self) -> int:
        """Bytes that the disk has for the file. Raises CapacityError if it takes more."""
        present = next(folder for folder in self.path.parents if folder.is_dir())
        # What lies there is of no use, but perhaps of the size that is needed.
        old = self.path.stat().st_size if self.path.is_file() else 0
        if self.size > (free := shutil.disk_usage(present).free + old):
            raise CapacityError(
                f"{self.path.parent} has {free / 1e9:.1f} GB free and packed weights take {self.size / 1e9:.1f} GB; "
                "make room, or set GADFLY_HOME to a larger disk"
            )
        return free

    def read_ahead(self) -> None:
        """Ask the system to read all of it now, rather than page by page as it is used."""
        if self._map is not None and hasattr(mmap, "MADV_WILLNEED"):
            self._map.madvise(mmap.MADV_WILLNEED)

    def place(self, weight: Weight, backend: Native) -> Any:
        """A matrix, or those of a stack, over the mapped bytes."""
        placed = [
            backend.adopt(part, self._bytes[start : start + size])
            for part, (_, start) in zip(unstack(weight), self.extents(weight), strict=True)
            for size in [_size(part)]
        ]
        return placed if is_stack(weight) else placed[0]

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    @property
    def note(self) -> str:
        return f"The file ({self.size / 1e9:.1f} GB) is a cache and may be deleted"

    def holds(self, weight: Weight) -> bool:
        return id(weight) in self._starts

    def extents(self, weight: Weight) -> list[tuple[int, int]]:
        """Of the matrix, or those of a stack: the number of the file, and the byte that it begins with."""
        start, found = self._starts[id(weight)], []
        for part in unstack(weight):
            found.append((0, start))
            start += _pages(part)
        return found

    def read(self, weight: Matrix, backend: Native) -> Any:
        """A matrix into memory of its own."""
        ((_, start),) = self.extents(weight)
        return backend.adopt(weight, read_directly(self.path, start, _size(weight)))

    def _write(self, backend: Native, advance: Advance, uncached: bool) -> None:
        for old in (self.path, self.path.with_name(CLINGING)):
            old.unlink(missing_ok=True)
        for left in self.path.parent.glob(f".{self.path.name}.*"):  # by who was killed
            left.unlink()
        self.free_room()
        advance(0, self.size)  # so that who wants to can say how much it will be
        with replacing(self.path) as out:
            out.write(self._header)
            cached = 0  # bytes
            for part in (part for weight in self._weights for part in unstack(weight)):
                out.write(backend.pack(part).packed.data)
                out.write(bytes(_pages(part) - _size(part)))
                self._file.release()
                cached += _pages(part)
                if uncached and cached > UNCACHED:
                    uncache(out.fileno(), *self._file.files)
                    cached = 0
                advance(out.tell(), self.size)


def bytes_packed(weight: Weight) -> int:
    """Bytes that a weight takes in memory; vectors stay as they are."""
    return sum(_size(part) if len(part.shape) > 1 else part.size for part in unstack(weight))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the system lets go of what a dead one held."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def packed_size(layout: str, rows: int, columns: int) -> int:
    """Bytes. Raises ValueError if columns are not whole blocks of the layout, MemoryError for more than can be."""
    return packed_bytes(layout, rows, columns)


def whole_pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _size(matrix: Matrix) -> int:
    rows, columns = matrix.shape
    return packed_size(layout_of(matrix), rows, columns)


def _pages(matrix: Matrix) -> int:
    """Its bytes in whole pages."""
    return whole_pages(_size(matrix))


def _identity(file: ModelFile, weights: Sequence[Weight]) -> bytes:
    """Digest of all that packed bytes depend on: the model's files, its matrices in order, how they are packed."""
    if not file.files:
        raise UnsupportedError(f"{file.path}: these weights lie in no file, so they cannot be mapped")
    parts = [part for weight in weights for part in unstack(weight)]
    facts = {
        "page": file.page.name,
        "files": [_fingerprint(path) for path in file.files],
        "matrices": [(layout_of(part), part.shape) for part in parts],
        "layouts": {layout: layout_digest(layout) for layout in {layout_of(part) for part in parts}},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()


def _fingerprint(path: Path) -> tuple[str, int, int, str]:
    """Place, size, time and last bytes of a file. The last bytes are weights: a model trained further has others."""
    try:
        status = path.stat()
        with path.open("rb") as opened:
            opened.seek(max(0, status.st_size - TAIL))
            tail = hashlib.sha256(opened.read(TAIL)).hexdigest()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error}; has it been moved?") from error
    return str(path.resolve()), status.st_size, status.st_mtime_ns, tail


def layout_digest(layout: str) -> str:
    """Digest of a small matrix packed in this layout: another if a Gadfly packs otherwise."""
    rows, columns, pool = 24, 512, ThreadPool(1)
    matrix = PackedMatrix(layout, rows, columns)
    if layout == "I8":
        codes = np.arange(rows * columns).astype(np.int8).reshape(columns, rows)
        matrix.fill_transposed(pool, codes, np.arange(rows, dtype=np.uint16).reshape(1, rows))
    else:
        row_bytes = FORMATS[layout].row_bytes(columns)
        matrix.fill(pool, 0, (np.arange(rows * row_bytes) % 251).astype(np.uint8).reshape(rows, row_bytes))
    return hashlib.sha256(matrix.packed.data).hexdigest()
