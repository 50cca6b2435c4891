"""Memory that a process can have on this machine, and what is left of it: the machine's, or less in a control group.

Containers and services live in control groups (cgroups), one inside another, each with a limit of its own; both
versions of them are read. What the system only caches counts as free. Who decides what fits: `recommend`, and
`gadfly.evaluate.fit`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["memory_available", "memory_here"]

ROOT = Path("/")
_VERSIONS = (  # mark in /proc/self/cgroup, mount, files of the limit and the usage, key of cached bytes in memory.stat
    ("::", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (":memory:", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def memory_here(root: Path = ROOT) -> int:
    """Bytes of memory that this process can have."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *(limit for limit, _ in _groups(root))])


def memory_available(root: Path = ROOT) -> int:
    """Bytes of it that nobody uses now, or only as a cache."""
    total = memory_here(root)
    known = _table(root / "proc/meminfo").get("MemAvailable:")
    left = (max(0, limit - used) for limit, used in _groups(root))
    return min([total, *left, known * 1024 if known is not None else total])


def _groups(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and usage of every control group around this process that has a limit."""
    memberships = _text(root / "proc/self/cgroup").splitlines()
    for mark, mount, limit_file, usage_file, cached in _VERSIONS:
        path = next((line.partition(mark)[2] for line in memberships if mark in line), "/")
        group = Path(path.lstrip("/"))
        for inner in dict.fromkeys((group, *group.parents, Path())):
            folder = root / mount / inner
            limit, usage = _text(folder / limit_file).strip(), _text(folder / usage_file).strip()
            if limit.isdigit():
                used = int(usage) if usage.isdigit() else 0
                yield int(limit), max(0, used - _table(folder / "memory.stat").get(cached, 0))


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # no such control group, or another system
        return ""


def _table(file: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    words = (line.split() for line in _text(file).splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}
