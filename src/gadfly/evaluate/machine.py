"""This machine and this process: what benchmarks are measured on and against."""

import platform
import resource
import sys
from pathlib import Path

from gadfly._native import ThreadPool
from gadfly._native import read_bandwidth as probe

__all__ = ["peak_memory", "processor", "read_bandwidth"]


def processor() -> str:
    """The processor's own name, as far as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_memory() -> int:
    """Bytes that this process held at most, mapped files included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_bandwidth(threads: int, size: int) -> float:
    """Bytes per second that `threads` threads read together from `size` bytes: the best of five passes."""
    return probe(ThreadPool(threads), size, 5)
