"""The folder of packed weights: whose they are, how much of the disk they take, and which of them have to go.

    GADFLY_HOME/cache/packed/
        smollm2-0c1e57bd2f40/     one for each model, by its name and where it lies
            packed                its weights as kernels multiply them: see `gadfly.weights.packed`
            clinging.json         how its routers choose, if it is a mixture: see `gadfly.weights.clinging`
            .packed.1a2b3c4d      what somebody is writing, or was, who got killed

All of it can be made again: deleting any of it, at any time, costs nobody more than that. What packed weights are is
not known here, but that a file of them begins with a page that names its model.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HEADER", "Cache", "CacheEntry", "header"]

HEADER = 8192  # bytes: whole pages, with room for the longest path
SHARE = 4  # of the disk's room, packed weights take one part in so many
_MAGIC = b"gadfly packed weights 1\n"  # another number when files are arranged otherwise
_DIGEST = 32  # bytes


def header(digest: bytes, model: Path) -> bytes:
    """Of a file of packed weights: what it was made of as a digest, and whose it is."""
    return (_MAGIC + digest + os.fsencode(model.resolve())).ljust(HEADER, b"\0")


@dataclass(frozen=True)
class CacheEntry:
    """A model's folder; `model` is None if nobody knows any more whose it is. `used` is in seconds since 1970."""

    folder: Path
    model: Path | None
    size: int
    used: float


class Cache:
    """The packed weights under `home`. Whatever is missing, damaged or of another kind is as good as not there."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "cache" / "packed"

    def file(self, model: Path) -> Path:
        """Where the packed weights of the model at this path belong."""
        path = model.resolve()
        return self.folder / f"{path.stem[:40]}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}" / "packed"

    def entries(self) -> list[CacheEntry]:
        """What is here, of most recent use first."""
        found = [_entry(folder) for folder in self._folders()]
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def size(self, model: Path | None = None) -> int:
        """Bytes on disk, of a model or of all."""
        folders = self._folders() if model is None else [self.file(model).parent]
        return sum(_entry(folder).size for folder in folders)

    def remove(self, model: Path) -> None:
        """Delete the packed weights of a model. Who has them in use keeps them as long as they are needed."""
        _remove(self.file(model).parent)

    def sweep(self) -> None:
        """Delete the packed weights of models that are gone."""
        for entry in self.entries():
            if entry.model is None or not entry.model.exists():
                _remove(entry.folder)

    def clear(self) -> None:
        """Delete them all."""
        for folder in self._folders():
            _remove(folder)

    def make_room(self, model: Path, size: int) -> bool:
        """Whether `size` bytes for a model may be kept: all together, a quarter of the disk's room without them.

        Those of models that are gone are deleted for it, then the ones used least recently.
        """
        keep = self.file(model).parent
        present = next(folder for folder in (self.folder, *self.folder.parents) if folder.is_dir())
        most = (shutil.disk_usage(present).free + self.size()) // SHARE
        if size > most:
            return False
        self.sweep()
        others = [entry for entry in self.entries() if entry.folder != keep]
        while others and size + sum(entry.size for entry in others) > most:
            _remove(others.pop().folder)
        return True

    def _folders(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("*") if path.is_dir())


def _entry(folder: Path) -> CacheEntry:
    size, used = 0, 0.0
    for path in folder.glob("*"):
        try:
            status = path.stat()
        except OSError:  # gone since
            continue
        size, used = size + status.st_size, max(used, status.st_mtime)
    return CacheEntry(folder, _model(folder / "packed"), size, used)


def _model(packed: Path) -> Path | None:
    try:
        with packed.open("rb") as file:
            start = file.read(HEADER)
    except OSError:
        return None
    named = start[len(_MAGIC) + _DIGEST :].rstrip(b"\0")
    return Path(os.fsdecode(named)) if start.startswith(_MAGIC) and named and b"\0" not in named else None


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # somebody else may be at it, too
