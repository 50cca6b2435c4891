"""This machine and this process: what benchmarks are measured on and against."""

import mmap
import os
import platform
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter

from gadfly._native import ThreadPool
from gadfly._native import read_bandwidth as probe

__all__ = ["disk_bandwidth", "processor", "read_bandwidth"]

SLICE = 2**22  # bytes of one read from disk
READS_IN_FLIGHT = 4


def processor() -> str:
    """The processor's own name, as far as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def read_bandwidth(threads: int, size: int) -> float:
    """Bytes per second that `threads` threads read together from `size` bytes: the best of five passes."""
    return probe(ThreadPool(threads), size, 5)


def disk_bandwidth(folder: Path, size: int, seconds: float = 1.0) -> float | None:
    """Bytes per second that can be read from the disk of `folder`, past the system's cache, in large slices.

    Reads at most `size` bytes, for about so many seconds, of the largest file in the folder; where there is none to
    speak of, of one that is written there for the purpose and deleted. None if the disk does not let itself be read so.
    """
    try:
        files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size >= size // 4]
        if files:
            return _read_directly(max(files, key=lambda path: path.stat().st_size), size, seconds)
        while not folder.is_dir():
            folder = folder.parent
        with TemporaryFile(dir=folder) as file:
            for _ in range(-(-size // 4 // SLICE)):
                file.write(os.urandom(SLICE))
            file.flush()
            os.fsync(file.fileno())
            return _read_directly(Path(f"/proc/self/fd/{file.fileno()}"), size, seconds)
    except (OSError, AttributeError):  # a disk without direct reads, a system without the flag, a folder without rights
        return None


def _read_directly(path: Path, size: int, seconds: float) -> float | None:
    opened = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        whole = min(size, os.fstat(opened).st_size) // SLICE
        began = perf_counter()

        def read(offsets: Iterable[int]) -> int:
            done = 0
            with mmap.mmap(-1, SLICE) as memory:  # aligned to a page, as direct reads want it
                for offset in offsets:
                    if perf_counter() - began < seconds:
                        done += os.preadv(opened, [memory], offset * SLICE)
            return done

        with ThreadPoolExecutor(READS_IN_FLIGHT) as pool:
            shares = [range(first, whole, READS_IN_FLIGHT) for first in range(READS_IN_FLIGHT)]
            done = sum(pool.map(read, shares))
        return done / (perf_counter() - began) if done else None
    finally:
        os.close(opened)
