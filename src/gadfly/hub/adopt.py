"""Taking in a GGUF file that is already on this machine, without a second copy of its bytes and without touching it.

In this order, whatever the disk can do: a clone (copy on write: two files, one set of bytes), a hard link (one file,
two names), a reference (the manifest points to the file where it is, which then has to stay there).
"""

import fcntl
import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gadfly.errors import ModelFileError, RequestError
from gadfly.hub.catalogue import Catalogue, Model
from gadfly.hub.check import Checked, check_file
from gadfly.hub.library import Entry, Kept, Library, StoredFile
from gadfly.hub.plan import name_of_file
from gadfly.hub.progress import Progress

__all__ = ["adopt"]


def adopt(path: Path, library: Library, progress: Progress, name: str | None = None) -> tuple[Entry, bool]:
    """The entry for a file (all parts if it is split), and whether it is new. A file the catalogue knows gets its name.

    Raises ModelFileError, RequestError if the name is taken.
    """
    paths = _parts(path.resolve())
    checked = [check_file(part, progress) for part in paths]
    digests = [part.sha256 for part in checked]
    for entry in library.list():
        if [file.sha256 for file in entry.files] == digests and name in (None, entry.name) and not entry.missing():
            return entry, False
    model = _known(checked)
    name = name or (model.name if model else name_of_file(path.name))
    with library.changing(name, lambda: progress.note(f"another pull of {name} is running; waiting")):
        if any(entry.name == name and not entry.missing() for entry in library.list()):
            raise RequestError(f"the name {name} is taken; choose another one: gadfly pull {path} --name NAME")
        targets = [library.place(name, number, len(paths)) for number in range(1, len(paths) + 1)]
        kept = _keep(paths, targets)
        places = paths if kept == "reference" else targets
        files = tuple(StoredFile(p, c.size, c.sha256) for p, c in zip(places, checked, strict=True))
        licence = model.licence if model else None
        added = datetime.now(UTC).isoformat(timespec="seconds")
        entry = Entry(name, files, str(path.resolve()), str(path.resolve()), licence, added, kept)
        library.add(entry)
        return entry, True


def _parts(path: Path) -> list[Path]:
    match = re.fullmatch(r"(.+)-(\d{5})-of-(\d{5})\.gguf", path.name)
    if not match:
        return [path]
    paths = [path.with_name(f"{match[1]}-{part:05}-of-{match[3]}.gguf") for part in range(1, int(match[3]) + 1)]
    if missing := next((part for part in paths if not part.is_file()), None):
        raise ModelFileError(f"{path.name} is one of {int(match[3])} parts, and {missing} is not there")
    return paths


def _known(checked: Sequence[Checked]) -> Model | None:
    digests = [part.sha256 for part in checked]
    for model in Catalogue.load().values():
        if model.files and [wanted.sha256 for wanted in model.files] == digests:
            return model
    return None


def _keep(paths: Sequence[Path], targets: Sequence[Path]) -> Kept:
    ways: tuple[tuple[Kept, Callable[[Path, Path], None]], ...] = (("clone", _clone), ("link", os.link))
    for kept, way in ways:
        try:
            for path, target in zip(paths, targets, strict=True):
                target.unlink(missing_ok=True)
                way(path, target)
            return kept
        except OSError:  # another disk, a file system without it, another owner: the next way
            for target in targets:
                target.unlink(missing_ok=True)
    return "reference"


_FICLONE = 0x40049409  # linux/fs.h


def _clone(path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as clone:
        fcntl.ioctl(clone, _FICLONE, source.fileno())
