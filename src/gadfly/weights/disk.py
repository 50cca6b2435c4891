"""Model files as the disk gives and takes them: mapped for reading, whole or not there, refusals as one-line errors.

What the bytes mean is the business of the formats beside this page (`gguf`, `grok_release` and so on).
"""

import mmap
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, EMFILE, ENOSPC
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import CapacityError, ModelFileError, NotFoundError
from gadfly.weights.gguf_cursor import quoted

__all__ = [
    "held_bytes",
    "inside",
    "map_file",
    "new_file",
    "optional_file",
    "place_in_file",
    "read_directly",
    "release_pages",
    "replacing",
    "replacing_folder",
    "small_files",
    "sync_folder",
    "uncache",
    "writing",
]

LARGEST_SMALL = 2**28  # bytes


def map_file(path: Path, what: str) -> "FileMap":
    """Map a file read-only. `what` is what it should be, for errors: "a GGUF file".

    Raises NotFoundError, or ModelFileError for whatever else is no readable file. Before Python 3.13 each map holds
    one of the process's open files: CapacityError if they run out.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
            raise ModelFileError(f"{path} is not a file; give the path of {what}")
        if status.st_size == 0:
            raise ModelFileError(f"{path} is empty; expected {what}, fetch it again")
        with path.open("rb") as file:
            options = {"trackfd": False} if sys.version_info >= (3, 13) else {}
            mapped = FileMap(file.fileno(), 0, access=mmap.ACCESS_READ, **options)
            mapped.path = path
            return mapped
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist; give the path of {what}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == EMFILE:
            raise CapacityError(f"{path} is one open file too many; allow more with `ulimit -n 4096`") from error
        raise ModelFileError(f"{path} cannot be read: {error}; check the path and its permissions") from error


class FileMap(mmap.mmap):
    """A file, mapped for reading, that knows its path."""

    path: Path


def place_in_file(array: NDArray[Any]) -> tuple[Path, int] | None:
    """The file that an array is a view of, byte after byte, and where it begins there; None if it is no such view."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    owner = owner.obj if isinstance(owner, memoryview) else owner
    if not isinstance(owner, FileMap) or not array.flags.c_contiguous:
        return None
    return owner.path, array.ctypes.data - np.frombuffer(owner, np.uint8, 1).ctypes.data


def read_directly(path: Path, start: int, size: int) -> NDArray[np.uint8]:
    """Bytes of a file from a page on, past the system's cache where that is possible. Raises ModelFileError."""
    room = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, room)  # aligned to a page, as direct reads want it
    try:
        opened = _open_directly(path)
        try:
            done = 0
            while done < size:
                got = os.preadv(opened, [memoryview(memory)[done:]], start + done)
                if not got:
                    raise ModelFileError(f"{path} has become shorter while it was read; start again")
                done += got
        finally:
            os.close(opened)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error}; check the disk") from error
    return np.frombuffer(memory, np.uint8)[:size]


def _open_directly(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_DIRECT", 0))
    except OSError:  # a file's system without direct reads
        return os.open(path, os.O_RDONLY)


def inside(folder: Path, path: Path) -> Path:
    """Where `path` really lies; links that lead out of the folder are refused."""
    try:
        real = path.resolve(strict=True)
        if real.is_relative_to(folder.resolve()):
            return real
    except FileNotFoundError:
        raise ModelFileError(f"{path} is missing or a link to nothing; fetch it again") from None
    except (OSError, RuntimeError) as error:  # before Python 3.13, a loop of links is a RuntimeError
        raise ModelFileError(f"{path} cannot be read: {error}; check the links it is made of") from error
    raise ModelFileError(
        f"{path} leads to {quoted(str(real))}, outside of the model's folder; put the file itself there"
    )


def optional_file(folder: Path, name: str) -> Path | None:
    """The path of a file in the folder, if there is one. Raises ModelFileError if it is no file or leads outside."""
    path = folder / name
    try:
        if not path.exists() and not path.is_symlink():
            return None
        if not inside(folder, path).is_file():
            raise ModelFileError(f"{path} is not a file; remove it or fetch it again")
        return path
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error}; check its permissions") from error


def release_pages(maps: Iterable[mmap.mmap]) -> None:
    """Give the pages read so far back to the system, which keeps them cached as long as it has room.

    They no longer count as this process's memory; views stay valid, and reading them again maps the pages again.
    """
    if sys.platform == "linux":
        for mapped in maps:
            mapped.madvise(mmap.MADV_DONTNEED)


def uncache(*files: int | Path) -> None:
    """Have what was written on disk, and keep none of it nor of what was read in the system's cache.

    Files that were opened for writing go first, as numbers.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for file in files:
        opened = os.open(file, os.O_RDONLY) if isinstance(file, Path) else file
        try:
            if opened == file:
                os.fdatasync(opened)
            os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            if opened != file:
                os.close(opened)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses inside into errors about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT, EFBIG):
            raise CapacityError(f"{path} cannot be written: {error.strerror}; make room and try again") from error
        raise ModelFileError(f"{path} cannot be written: {error.strerror}; take a folder you may write to") from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once it is whole and on disk; until then nothing there changes."""
    aside = path.with_name(f".{path.name}.{token_hex(4)}")
    with writing(path):
        try:
            with aside.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
            sync_folder(path.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path, size: int) -> Iterator[Path]:
    """A new folder that takes the name of `folder`, which must not exist or be empty, once all in it is on disk.

    `size` bytes have to fit. Files in it are synced by who writes them: see `new_file`.
    """
    with writing(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ModelFileError(f"{folder} exists and is not empty; remove it or choose another folder")
        aside = folder.with_name(f".{folder.name}.{token_hex(4)}")
        aside.mkdir(parents=True)
        try:
            if size > (free := shutil.disk_usage(aside).free):
                raise CapacityError(
                    f"{folder} takes {size / 1e9:.1f} GB, but the disk has {free / 1e9:.1f} GB left; make room"
                )
            yield aside
            for inner in [path for path in aside.iterdir() if path.is_dir()]:
                sync_folder(inner)
            sync_folder(aside)
            aside.rename(folder)
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is on disk when the block ends."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def small_files(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Those that the folder has, by name, but for ones so large that they are something else.

    Raises ModelFileError for links that lead out of the folder: what is theirs is not to be published.
    """
    paths = [path for name in names if (path := optional_file(folder, name))]
    return {path.name: path.read_bytes() for path in paths if path.stat().st_size <= LARGEST_SMALL}


def held_bytes(folder: Path) -> int:
    """What the files in it take of the disk; holes in them take nothing."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def sync_folder(folder: Path) -> None:
    """Return when the names in the folder are on disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
