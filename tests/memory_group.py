"""Programs under a hard limit of memory: a control group of their own, where the system lets us make one."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Group", "limited"]

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class Group:
    def __init__(self, folder: Path, v2: bool) -> None:
        self.folder = folder
        self._peak = "memory.peak" if v2 else "memory.max_usage_in_bytes"

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """With everything that the command reads and writes counted: page cache, too, though that can be given up."""
        join = lambda: (self.folder / "cgroup.procs").write_text(str(os.getpid()))  # noqa: E731 - runs in the child
        return subprocess.run(command, preexec_fn=join, capture_output=True, text=True, check=False)

    @property
    def peak(self) -> int:
        """Bytes."""
        return int((self.folder / self._peak).read_text())


@contextmanager
def limited(limit: int) -> Iterator[Group | None]:
    """A group that may have `limit` bytes and no swap; None where none can be made."""
    v2 = (V2 / "cgroup.controllers").exists()
    folder = (V2 if v2 else V1) / f"gadfly-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit))
        swap = folder / ("memory.swap.max" if v2 else "memory.memsw.limit_in_bytes")
        if swap.exists():
            swap.write_text("0" if v2 else str(limit))
    except OSError:
        yield None
        return
    try:
        yield Group(folder, v2)
    finally:
        folder.rmdir()
