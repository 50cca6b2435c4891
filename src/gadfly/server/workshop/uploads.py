"""Files that clients have sent to learn from: GADFLY_HOME/files/ID.jsonl, and ID.json with what is known of each.

An id is made here and has to look like one before it becomes part of a path; what a client calls a file does not. A
file counts from when both are there, and the facts are written last and removed first.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from gadfly.api.openai_files import FileFacts, Upload
from gadfly.errors import CapacityError, NotFoundError
from gadfly.hub.disk import lock, require_room, write_whole, writing
from gadfly.hub.progress import size_text

__all__ = ["Uploads"]

_ID = re.compile(r"file-[0-9a-f]{24}")
_FACTS = 10_000  # bytes
_MOST_BYTES = 2 << 30  # of an owner
_STALE = 3600.0  # seconds
_ADVICE = "delete files that are no longer needed"


class Uploads:
    """At most `most` files of an owner. `clock` tells seconds since 1970."""

    def __init__(self, home: Path, most: int = 100, clock: Callable[[], float] = time.time) -> None:
        self.most = most
        self._folder = home / "files"
        self._clock = clock

    def list(self, owner: str) -> Sequence[FileFacts]:
        """The latest first. Facts that cannot be read are of no file."""
        found = [facts for path in self._folder.glob("file-*.json") if (facts := self._read(path.stem))]
        mine = (facts for facts in found if facts.owner == owner)
        return sorted(mine, key=lambda facts: (facts.created, facts.id), reverse=True)

    def add(self, owner: str, upload: Upload) -> FileFacts:
        """Raises CapacityError if there are too many files, or no room."""
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        with lock(self._folder / "lock", lambda: None):
            self._sweep()
            mine = self.list(owner)
            if sum(facts.size for facts in mine) + len(upload.data) > _MOST_BYTES:
                raise CapacityError(f"files may take {size_text(_MOST_BYTES)} together; {_ADVICE}")
            if len(mine) >= self.most:
                raise CapacityError(f"there are {self.most} files, and there may not be more; {_ADVICE}")
            require_room(self._folder, len(upload.data), _ADVICE)
            id_ = f"file-{secrets.token_hex(12)}"
            facts = FileFacts(id_, upload.filename, len(upload.data), int(self._clock()), owner=owner)
            with writing(self._folder):
                write_whole(self._data(id_), upload.data)
                write_whole(self._facts(id_), json.dumps(asdict(facts)).encode())
        return facts

    def get(self, id_: str, owner: str) -> FileFacts:
        """Raises NotFoundError, also for what is another's."""
        facts = self._read(id_) if _ID.fullmatch(id_) else None
        if facts is None or facts.owner != owner:
            raise NotFoundError(f"there is no file {id_!r:.60}; GET /v1/files lists what there is")
        return facts

    def path(self, id_: str, owner: str) -> Path:
        """Where its content lies. Raises NotFoundError."""
        return self._data(self.get(id_, owner).id)

    def remove(self, id_: str, owner: str) -> None:
        """Raises NotFoundError."""
        id_ = self.get(id_, owner).id
        with writing(self._folder):
            self._facts(id_).unlink(missing_ok=True)
            self._data(id_).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what a server has left that died in the middle."""
        for path in self._folder.glob("file-*"):
            old = self._clock() - path.stat().st_mtime > _STALE
            if old and self._read(path.name.partition(".")[0]) is None:
                path.unlink(missing_ok=True)

    def _read(self, id_: str) -> FileFacts | None:
        try:
            with self._facts(id_).open("rb") as file:
                facts = FileFacts(**json.loads(file.read(_FACTS)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return facts if facts.id == id_ and _ID.fullmatch(id_) and self._data(id_).is_file() else None

    def _data(self, id_: str) -> Path:
        return self._folder / f"{id_}.jsonl"

    def _facts(self, id_: str) -> Path:
        return self._folder / f"{id_}.json"
