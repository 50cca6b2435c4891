"""The C library's memory: a step uses again what the step before has freed.

glibc gets large blocks from the system and gives them back at once, so that every activation would be made of pages
which the system has to clear first: a sixth of the time of a step. Other C libraries are left alone.
"""

import ctypes
import sys

__all__ = ["keep_freed"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST = 2**31 - 1  # bytes, as the C library counts them


def keep_freed() -> bool:
    """What this process frees stays its own from now on. False where the C library has no such choice."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, LARGEST))
