"""Files that are whole or not there, room for them, and locks that a dead process does not hold.

Whatever the disk refuses becomes a one-line error: CapacityError where room ran out, SettingsError where the folder
may not be written.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO

from gadfly.errors import BusyError, CapacityError, GadflyError, SettingsError
from gadfly.hub.progress import size_text

__all__ = ["lock", "move", "require_room", "size_of", "write_whole", "writing"]

_ROOM_RAN_OUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
ADVICE = "make room (gadfly rm NAME), or set GADFLY_HOME to a larger disk"
PATIENCE = 30.0  # seconds
_PAUSE = 0.02  # seconds
_SPARE = 16_000_000  # bytes that stay free: a disk filled to the brim breaks everything else on it


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses inside into errors about `path`."""
    try:
        yield
    except OSError as error:
        raise _explained(error, path) from error


def _explained(error: OSError, path: Path) -> GadflyError:
    reason = error.strerror or str(error)
    if error.errno in _ROOM_RAN_OUT:
        return CapacityError(
            f"{path}: {reason.lower()}; what has arrived is kept. Make room (gadfly rm NAME), or set GADFLY_HOME to a "
            "larger disk, and run the same command again"
        )
    return SettingsError(f"{path}: {reason.lower()}; set GADFLY_HOME to a folder you can write to")


def require_room(folder: Path, size: int, advice: str = ADVICE) -> None:
    """Raise CapacityError unless `size` bytes more fit into the disk of `folder`. `advice` says what to do."""
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise CapacityError(f"{folder} has {size_text(free)} free and {size_text(size)} more are needed; {advice}")


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def move(source: Path, target: Path) -> None:
    """Put a finished file in place so that it is there, whole, even if the power fails now."""
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, data: bytes) -> None:
    """Write aside, then put in place."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        aside.write_bytes(data)
        move(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def lock(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`, which is created and stays. `waiting` is called if someone else holds it now.

    Without `waiting` nobody knows what it waits for, so that it takes PATIENCE seconds at most: then BusyError. The
    kernel releases the lock of a process that ends, however it ends.
    """
    with ExitStack() as stack:
        with writing(path):
            file = stack.enter_context(path.open("ab"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is None:
                    _hold(file, path)
                else:
                    waiting()
                    fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _hold(file: IO[bytes], path: Path) -> None:
    until = monotonic() + PATIENCE
    while monotonic() < until:
        sleep(_PAUSE)
        with suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    raise BusyError(f"{path} has been locked for {PATIENCE:g} seconds; let the gadfly that holds it end, and try again")
