"""The C library's memory: a server that runs for weeks gives back what it no longer uses.

glibc gives every thread an arena of its own, up to eight per processor, and keeps what is freed in each of them; models
come and go in other threads each time. Other C libraries do neither, and are left alone.
"""

import ctypes
import sys
from collections.abc import Callable

__all__ = ["give_back", "share_arenas"]

ARENAS = 2  # requests of Python take turns anyway, native threads allocate nothing while they compute
M_ARENA_MAX = -8  # malloc.h


def share_arenas() -> bool:
    """To be called before there are threads. False where the C library does not know arenas."""
    mallopt = _function("mallopt")
    return mallopt is not None and bool(mallopt(M_ARENA_MAX, ARENAS))


def give_back() -> bool:
    """Freed memory goes back to the system, in some milliseconds. False if there was none, or no way to do it."""
    trim = _function("malloc_trim")
    return trim is not None and bool(trim(0))


def _function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
