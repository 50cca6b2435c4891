"""Memory that a process can have on this machine, and what is left of it: the machine's, or less in a control group.

Containers and services live in control groups (cgroups), one inside another, each with a limit of its own; both
versions of them count. What the system only caches counts as free. Who decides what fits: `recommend`, and
`gadfly.evaluate.fit`.
"""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from gadfly.control_groups import ROOT, control_groups, text_of

__all__ = ["memory_available", "memory_here", "memory_used", "peak_memory"]

_FILES = {  # by version: of the limit and of the usage, and the key of cached bytes in memory.stat
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def memory_here(root: Path = ROOT) -> int:
    """Bytes of memory that this process can have."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *(limit for limit, _ in _groups(root))])


def memory_available(root: Path = ROOT) -> int:
    """Bytes of it that nobody uses now, or only as a cache."""
    total = memory_here(root)
    known = _table(text_of(root / "proc/meminfo")).get("MemAvailable:")
    left = (max(0, limit - used) for limit, used in _groups(root))
    return min([total, *left, known * 1024 if known is not None else total])


def memory_used(root: Path = ROOT) -> int:
    """Bytes that this process holds now, with the tables that say where; the most so far where it cannot be told."""
    status = _table(text_of(root / "proc/self/status"))
    if "VmRSS:" in status:
        return 1024 * (status["VmRSS:"] + status.get("VmPTE:", 0))
    return peak_memory()


def peak_memory() -> int:
    """Bytes that this process held at most, mapped files included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _groups(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and usage of every control group around this process that has a limit."""
    for group in control_groups("memory", root):
        limit_file, usage_file, cached = _FILES[group.version]
        limit, usage = group.read(limit_file).strip(), group.read(usage_file).strip()
        if limit.isdigit():
            used = int(usage) if usage.isdigit() else 0
            yield int(limit), max(0, used - _table(group.read("memory.stat")).get(cached, 0))


def _table(text: str) -> dict[str, int]:
    """Lines of a name and a number."""
    words = (line.split() for line in text.splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}
