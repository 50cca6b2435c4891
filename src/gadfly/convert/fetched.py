"""The files of a model that are fetched when they are needed and discarded when they are not any more.

What was fetched lies in a folder of its own, checked against the sha256 that the hub states. `Fetched` counts how often
each file is still going to be needed, which a conversion knows, so that the disk never holds much more than its result.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gadfly.errors import DownloadError
from gadfly.hub.connection import Connection
from gadfly.hub.download import download
from gadfly.hub.hugging_face import HubEntry, HuggingFace, Listing
from gadfly.hub.peek import peek
from gadfly.hub.progress import Progress, Silent, size_text
from gadfly.hub.sources import HubFile

__all__ = ["Fetched"]

_SAFE = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", re.ASCII)
LARGEST_SMALL = 2**28  # bytes of what is fetched without being a tensor file


class Fetched:
    """Files of a repository at one commit, in `folder` while they are here."""

    def __init__(
        self, folder: Path, listing: Listing, hub: HuggingFace, connection: Connection, progress: Progress
    ) -> None:
        self.folder = folder
        self.files = {entry.file: entry for entry in listing.others}
        self.needed: Counter[str] = Counter()
        self._listing = listing
        self._hub = hub
        self._connection = connection
        self._progress = progress

    def here(self, name: str) -> Path:
        """Where a file lies, fetched and checked if it was not there. Raises DownloadError, CapacityError."""
        entry, path = self._entry(name), self._path(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._progress.note(f"fetching {name}" + (f", {size_text(entry.size)}" if entry.size else ""))
            download(
                self._url(name),
                path,
                self._connection,
                Silent(),
                size=entry.size,
                sha256=entry.sha256,
                token=self._hub.token,
                magic=b"",
            )
        return path

    def small(self, name: str) -> Path:
        """The same, for a file that is not weights. Raises DownloadError if it is not small."""
        if (size := self._entry(name).size) is not None and size > LARGEST_SMALL:
            raise DownloadError(
                f"{self._listing.repository}: {name} has {size_text(size)}, which is too much for what it is"
            )
        return self.here(name)

    def begin(self, name: str, size: int, start: int = 0) -> bytes:
        """Some bytes of a file, without fetching the rest."""
        return peek(self._url(name), start, size, self._connection, self._hub.token)

    def need(self, names: Iterable[str]) -> None:
        """Once more each."""
        self.needed.update(names)

    def done(self, names: Iterable[str]) -> None:
        """Once less each; what nobody needs any more is deleted."""
        for name in names:
            self.needed[name] -= 1
            if self.needed[name] == 0:
                self._path(name).unlink(missing_ok=True)

    def _entry(self, name: str) -> HubEntry:
        if name not in self.files:
            raise DownloadError(f"{self._listing.repository} has no file {name}")
        return self.files[name]

    def _path(self, name: str) -> Path:
        if not _SAFE.fullmatch(name):
            raise DownloadError(f"{self._listing.repository} has a file called {name[:80]!r}, which is no name for one")
        return self.folder / name

    def _url(self, name: str) -> str:
        return self._hub.address(HubFile(self._listing.repository, name, self._listing.revision))
