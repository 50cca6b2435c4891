"""Who is writing: every open store that writes an answer holds a lock on a file of its own, until its process ends.

The kernel lets go of the lock however a process dies, so an answer whose writer's file is unlocked, or gone, has been
abandoned. A number of a process would not do: it is given to another one.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["Writers"]


class Writers:
    """`folder` holds the lock files; `name` is this store's, once it writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self.name: str | None = None

    def enter(self) -> str:
        """The name to sign with. Not safe from several threads at once."""
        if self.name is None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            name = secrets.token_hex(8)
            self._file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self.name = name
        return self.name

    def leave(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # somebody may have removed the folder
                (self._folder / str(self.name)).unlink()
            os.close(self._file)
            self._file = self.name = None

    def gone(self, name: str) -> bool:
        """Whether that store has been closed or its process has ended."""
        if name == self.name:
            return False
        try:
            file = os.open(self._folder / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(file)
        return True

    def forget(self, name: str) -> None:
        """Remove what one that is gone has left."""
        with suppress(OSError):
            (self._folder / name).unlink()
