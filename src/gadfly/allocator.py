"""The C library's memory, by what a process does with it: glibc alone has these choices, others are left as they are.

A server runs for weeks, and models come and go in other threads each time: glibc gives every thread an arena of its
own, up to eight per processor, and keeps what is freed in each of them. Training needs in every step what the step
before has freed: glibc gets large blocks from the system and gives them back at once, so that every activation would be
made of pages which the system has to clear first, a sixth of the time of a step.
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache

__all__ = ["give_back", "keep_freed", "share_arenas"]

ARENAS = 2  # requests of Python take turns anyway, native threads allocate nothing while they compute
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
LARGEST = 2**31 - 1  # bytes, as the C library counts them


def share_arenas() -> bool:
    """To be called before there are threads. False where the C library does not know arenas."""
    return _set(M_ARENA_MAX, ARENAS)


def keep_freed() -> bool:
    """What this process frees stays its own from now on. False where the C library has no such choice."""
    return _set(M_MMAP_THRESHOLD, LARGEST) and _set(M_TRIM_THRESHOLD, LARGEST)


def give_back() -> bool:
    """Freed memory goes back to the system, in some milliseconds. False if there was none, or no way to do it."""
    trim = _function("malloc_trim")
    return trim is not None and bool(trim(0))


def _set(option: int, value: int) -> bool:
    mallopt = _function("mallopt")
    return mallopt is not None and bool(mallopt(option, value))


@cache  # each time a library is opened, ctypes makes classes for it, which know each other
def _function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
