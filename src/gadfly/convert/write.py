"""Writes a plan, going on where an earlier attempt stopped, and checks in the end that the disk holds what was written.

Weights are read, encoded and written a stretch of rows at a time, so memory does not depend on the size of anything.
While one stretch is encoded, the one before is being written. What makes bytes of weights is somebody else's business:
`Encode`.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gadfly.convert.journal import Journal, Mark
from gadfly.convert.plan import STRIP, FilePlan, Piece
from gadfly.errors import ModelFileError
from gadfly.hub.progress import Progress
from gadfly.weights.disk import writing

__all__ = ["Encode", "verify", "write"]

STRETCH = 2**22  # weights that are encoded together
CHECKPOINT = 2**28  # bytes after which the disk is made to hold what was written
BLOCK = 2**22  # bytes that are read together when checking

Encode = Callable[[Piece, int, range], NDArray[np.uint8]]  # of the piece's part of this number, these rows


def write(
    folder: Path,
    files: Sequence[FilePlan],
    journal: Journal,
    encode: Encode,
    progress: Progress,
    finished: Callable[[Sequence[Piece]], None] = lambda _: None,
) -> None:
    """Write all files of a plan into `folder`; `finished` is told of pieces once all their bytes are on disk.

    Raises CapacityError if the disk is full, and what `encode` raises; the next call with the same plan and journal
    goes on there, or from the last checkpoint if the process died.
    """
    with writing(folder), ThreadPoolExecutor(1) as writer:
        output = _Output(folder, files, journal, progress, writer, finished)
        try:
            for f, file in enumerate(files):
                for p, piece in enumerate(file.pieces):
                    output.write(f, p, piece, encode)
            output.checkpoint()
        except BaseException:
            with suppress(OSError):  # whoever stopped this may want to go on later
                output.sync()
            raise
        finally:
            output.close()


def verify(folder: Path, files: Sequence[FilePlan], journal: Journal, progress: Progress) -> dict[str, str]:
    """Read everything back: the sha256 of every file.

    Raises ModelFileError if it is not what was written; then the next attempt writes that tensor once more.
    """
    progress.note("reading it back")
    done, total = 0, sum(piece.size for file in files for piece in file.pieces)
    digests = {}
    for f, file in enumerate(files):
        path, whole = folder / file.name, hashlib.sha256()
        with path.open("rb") as opened:
            if os.fstat(opened.fileno()).st_size != file.size or opened.read(len(file.header)) != file.header:
                raise ModelFileError(f"{path} is not what was written; is the disk sound? Convert again")
            whole.update(file.header)
            end = len(file.header)
            for p, piece in enumerate(file.pieces):
                whole.update(opened.read(piece.offset - end))
                end, crc = piece.offset + piece.size, 0
                for block in _blocks(opened, piece.size):
                    whole.update(block)
                    crc = zlib.crc32(block, crc)
                    done += len(block)
                    progress.advance(done, total)
                if crc != journal.marks[f, p].crc:
                    journal.note(Mark(f, p, 0, 0))
                    raise ModelFileError(
                        f"{path}: the tensor {piece.tensor.name!r} does not read back as it was written; is the disk "
                        "sound? Convert again"
                    )
            whole.update(opened.read())
        digests[file.name] = whole.hexdigest()
    return digests


class _Output:
    """The files of a plan, with everything written so far and not yet known to be on disk."""

    def __init__(
        self,
        folder: Path,
        files: Sequence[FilePlan],
        journal: Journal,
        progress: Progress,
        writer: ThreadPoolExecutor,
        finished: Callable[[Sequence[Piece]], None],
    ) -> None:
        self.finished = finished
        self.whole: list[Piece] = []  # of which all is written
        self.journal = journal
        self.progress = progress
        self.writer = writer
        self.pending: tuple[Future[None], Mark] | None = None
        self.marks: dict[tuple[int, int], Mark] = {}
        self.dirty = 0  # bytes written since the last checkpoint
        self.total = sum(piece.size for file in files for piece in file.pieces)
        self.done = sum(mark.rows * files[f].pieces[p].row_bytes for (f, p), mark in journal.marks.items())
        self.opened: list[int] = []
        for file in files:
            opened = os.open(folder / file.name, os.O_RDWR | os.O_CREAT, 0o644)
            self.opened.append(opened)
            os.truncate(opened, file.size)
            os.pwrite(opened, file.header, 0)

    def write(self, f: int, p: int, piece: Piece, encode: Encode) -> None:
        mark = self.journal.marks.get((f, p), Mark(f, p, 0, 0))
        row, crc = mark.rows, mark.crc
        most = max(STRIP, STRETCH // piece.tensor.columns // STRIP * STRIP)
        for part, rows in _stretches(piece, row, most):
            data = np.ascontiguousarray(encode(piece, part, rows))
            crc = zlib.crc32(data.data, crc)
            self._wait()
            put = self.writer.submit(self._put, f, piece.offset + row * piece.row_bytes, data)
            row += len(rows)
            self.pending = put, Mark(f, p, row, crc)
            self.dirty += data.nbytes
            self._advance(data.nbytes)
            if self.dirty >= CHECKPOINT:
                self.checkpoint()
        self.whole.append(piece)

    def checkpoint(self) -> None:
        self.sync()
        self.finished(self.whole)
        self.whole.clear()

    def sync(self) -> None:
        self._wait()
        for opened in self.opened:
            os.fdatasync(opened)
            os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
        self.journal.note(*self.marks.values())
        self.marks.clear()
        self.dirty = 0

    def close(self) -> None:
        for opened in self.opened:
            os.close(opened)

    def _put(self, f: int, offset: int, data: NDArray[np.uint8]) -> None:
        view = data.reshape(-1).data
        while view:
            written = os.pwrite(self.opened[f], view, offset)
            view, offset = view[written:], offset + written

    def _wait(self) -> None:
        if self.pending is not None:
            (put, mark), self.pending = self.pending, None
            put.result()
            self.marks[mark.file, mark.piece] = mark

    def _advance(self, size: int) -> None:
        self.done += size
        self.progress.advance(self.done, self.total)


def _stretches(piece: Piece, start: int, most: int) -> Iterator[tuple[int, range]]:
    """Rows from `start` on, at most so many at a time, with the number of the part that they are of."""
    begin = 0
    for part in range(len(piece.tensor.parts)):
        height = piece.tensor.height(part)
        for first in range(max(start - begin, 0), height, most):
            yield part, range(first, min(first + most, height))
        begin += height


def _blocks(opened: BinaryIO, size: int) -> Iterator[bytes]:
    for first in range(0, size, BLOCK):
        yield opened.read(min(BLOCK, size - first))
        os.posix_fadvise(opened.fileno(), 0, opened.tell(), os.POSIX_FADV_DONTNEED)
