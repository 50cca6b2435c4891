"""The models on this machine: a folder for each, with its files and a manifest that says what they are.

    GADFLY_HOME/models/
        smollm2/
            model.json        the manifest, written last and whole: without it, the model is not here
            smollm2.gguf      our own name, never one a server chose; smollm2-00001-of-00003.gguf … if it is split
            smollm2.gguf.part what a download has so far
        .locks/smollm2        held while the folder changes

A manifest may point to a file elsewhere (`kept` "reference"), which the library never deletes.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from gadfly.errors import ModelFileError, NotFoundError
from gadfly.hub.catalogue import NAME, Catalogue
from gadfly.hub.disk import lock, write_whole, writing

__all__ = ["Entry", "Kept", "Library", "StoredFile"]

Kept = Literal["file", "clone", "link", "reference"]  # fetched, or how a file of the user's was taken in
_MANIFEST = "model.json"
_MANIFEST_LIMIT = 4_000_000  # bytes
_VERSION = 1


@dataclass(frozen=True)
class StoredFile:
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A model that is here: `source` is where it came from, `reference` what was asked for, `added` when (ISO 8601)."""

    name: str
    files: tuple[StoredFile, ...]
    source: str
    reference: str
    licence: str | None
    added: str
    kept: Kept

    @property
    def path(self) -> Path:
        """The file to load; the first one of a split model."""
        return self.files[0].path

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def sha256(self) -> str:
        """Of the file; of the first one of a split model."""
        return self.files[0].sha256

    def missing(self) -> Path | None:
        """A file that is not there any more or has another size, if any. The content is not read."""
        for file in self.files:
            if not file.path.is_file() or file.path.stat().st_size != file.size:
                return file.path
        return None


class Library:
    """The models under `home`. Reading needs no lock: manifests are replaced whole."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "models"

    def list(self) -> list[Entry]:
        """Every model that is here, by name. Damaged manifests are left out; `damaged` names them."""
        return [entry for name in self._names() if isinstance(entry := self._read(name), Entry)]

    def damaged(self) -> dict[str, ModelFileError]:
        return {name: found for name in self._names() if isinstance(found := self._read(name), ModelFileError)}

    def unfinished(self) -> dict[str, int]:
        """Names whose download has begun, with the bytes that have arrived."""
        found = {}
        for name in self._names():
            files = [path.stat().st_size for path in self._folder(name).rglob("*") if path.is_file()]
            if files and self._read(name) is None:
                found[name] = sum(files)
        return found

    def find(self, name: str) -> Entry:
        """Raises NotFoundError with what may have been meant, ModelFileError if the manifest is damaged."""
        found = self._read(name) if NAME.fullmatch(name) else None
        if isinstance(found, ModelFileError):
            raise found
        if found is None:
            raise NotFoundError(self._advice(name))
        return found

    def resolve(self, name_or_path: str) -> Path | None:
        """The file (or folder) to load: of a model that is here, or a path that exists. None: neither.

        A name of the catalogue always means the model; write ./name for a file or folder that is called the same.
        """
        named = NAME.fullmatch(name_or_path) is not None
        found = self._read(name_or_path) if named else None
        if isinstance(found, ModelFileError):
            raise found
        if found is None:
            found = next((entry for entry in self.list() if entry.reference == name_or_path), None)
        if found is not None:
            return None if found.missing() else found.path
        if named and name_or_path in Catalogue.load():
            return None
        try:
            path = Path(name_or_path).expanduser()
            return path if name_or_path and path.exists() else None
        except (OSError, ValueError, RuntimeError):  # a name no file system accepts, no home for ~
            return None

    def require(self, name_or_path: str) -> Path:
        """Like `resolve`. Raises NotFoundError where that finds nothing."""
        path = self.resolve(name_or_path)
        if path is None:
            raise NotFoundError(f"there is no model {name_or_path!r} here; see `gadfly list`, or give the path of one")
        return path

    def place(self, name: str, part: int = 1, parts: int = 1) -> Path:
        """Where a file of a model belongs, in the way split GGUF files are numbered."""
        return self._folder(name) / (f"{name}.gguf" if parts == 1 else f"{name}-{part:05}-of-{parts:05}.gguf")

    @contextmanager
    def changing(self, name: str, waiting: Callable[[], None] | None) -> Iterator[None]:
        """Hold the lock of a model, whose folder exists inside, waiting for it as `lock` does.

        Raises SettingsError if nothing can be written here.
        """
        locks = self.folder / ".locks"
        with writing(self.folder):
            locks.mkdir(parents=True, exist_ok=True)
        with lock(locks / name, waiting):
            with writing(self.folder):
                self._folder(name).mkdir(exist_ok=True)
            yield

    def add(self, entry: Entry) -> None:
        """Write the manifest; from then on the model is here. The caller holds the lock."""
        folder = self._folder(entry.name)
        files = [{**asdict(file), "path": _relative(file.path, folder)} for file in entry.files]
        text = json.dumps({"version": _VERSION, **asdict(entry), "files": files}, indent=2)
        with writing(folder):
            write_whole(folder / _MANIFEST, text.encode())

    def remove(self, name: str, waiting: Callable[[], None] | None = None) -> None:
        """Delete a model, whole, damaged or unfinished; files that are only referred to stay where they are.

        Raises NotFoundError if there is nothing of that name, and as `changing` does.
        """
        if not NAME.fullmatch(name) or not self._folder(name).is_dir():
            raise NotFoundError(self._advice(name))
        with self.changing(name, waiting), writing(self._folder(name)):
            (self._folder(name) / _MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(self._folder(name))

    def _folder(self, name: str) -> Path:
        return self.folder / name

    def _names(self) -> Sequence[str]:
        return sorted(path.name for path in self.folder.glob("*") if NAME.fullmatch(path.name) and path.is_dir())

    def _read(self, name: str) -> Entry | ModelFileError | None:
        file = self._folder(name) / _MANIFEST
        try:
            with file.open("rb") as opened:
                data = opened.read(_MANIFEST_LIMIT + 1)
            return _entry(name, json.loads(data), self._folder(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, RecursionError) as error:
            return ModelFileError(
                f"{file} is damaged ({error}); gadfly rm {name} removes it, then the model can be pulled again"
            )

    def _advice(self, name: str) -> str:
        known = {*self._names(), *Catalogue.load()}
        if name in known:
            return f"{name} is not on this machine; gadfly pull {name} fetches it"
        close = get_close_matches(name.lower(), sorted(known), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        return f"there is no model called {name!r}; {hint}gadfly list --all shows what there is, gadfly pull fetches it"


def _relative(path: Path, folder: Path) -> str:
    return path.name if path.parent == folder else str(path)


_KEYS = {"version", "name", "files", "source", "reference", "licence", "added", "kept"}


def _entry(name: str, data: object, folder: Path) -> Entry:
    """Raises ValueError saying what is wrong."""
    if not isinstance(data, dict) or data.keys() != _KEYS:
        raise ValueError(f"expected exactly the keys {', '.join(sorted(_KEYS))}")
    if data["version"] != _VERSION:
        raise ValueError(f"version is {data['version']!r}; this Gadfly writes and reads version {_VERSION}")
    if data["name"] != name or data["kept"] not in get_args(Kept):
        raise ValueError(f"name is {data['name']!r} and kept {data['kept']!r} in the folder {name}")
    for key in ("source", "reference", "added", "licence"):
        if not isinstance(data[key], str) and (key != "licence" or data[key] is not None):
            raise ValueError(f"{key} is {data[key]!r}; expected text")
    if not isinstance(data["files"], list) or not data["files"]:
        raise ValueError("files is no list of files")
    files = tuple(_stored(item, folder, data["kept"]) for item in data["files"])
    return Entry(name, files, data["source"], data["reference"], data["licence"], data["added"], data["kept"])


def _stored(item: Any, folder: Path, kept: Kept) -> StoredFile:
    if not isinstance(item, Mapping) or item.keys() != {"path", "size", "sha256"}:
        raise ValueError("a file has other keys than path, size and sha256")
    path, size, sha256 = item["path"], item["size"], item["sha256"]
    own = isinstance(path, str) and re.fullmatch(rf"{re.escape(folder.name)}(-\d{{5}}-of-\d{{5}})?\.gguf", path)
    elsewhere = kept == "reference" and isinstance(path, str) and path.startswith("/") and "\0" not in path
    if not own and not elsewhere:
        raise ValueError(f"a file has the path {path!r}, which is none of this folder")
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise ValueError(f"{path} has the size {size!r}")
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"{path} has the sha256 {sha256!r}")
    return StoredFile(folder / path, size, sha256)
