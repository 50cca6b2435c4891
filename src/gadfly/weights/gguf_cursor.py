"""Reading a GGUF file's bytes from front to back without believing a word of them.

Nothing is allocated before it is known that the file holds it, and nothing is copied. What the bytes mean is known
in `gadfly.weights.gguf_metadata` and `gadfly.weights.gguf`.
"""

from collections.abc import Iterator
from pathlib import Path
from struct import calcsize, unpack_from

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import ModelFileError

__all__ = ["Cursor", "quoted"]

LONGEST_NAME = 65535  # bytes, of keys and of names of tensors
WINDOW = 2**16  # bytes of an array of strings that are looked at together


class Cursor:
    """A position in the bytes of a file. What a method reads is called `field` in the error that it may raise."""

    def __init__(self, path: Path, data: memoryview, position: int = 0) -> None:
        self.path = path
        self.data = data
        self.position = position

    def error(self, message: str) -> ModelFileError:
        return ModelFileError(f"{self.path}: {message}; the file is damaged or incomplete, fetch it again")

    def skip(self, size: int, field: str) -> int:
        """Step over `size` bytes; returns where they begin."""
        start, left = self.position, len(self.data) - self.position
        if size > left:
            raise self.error(f"{field} takes {size} bytes at offset {start}, but only {left} are left")
        self.position += size
        return start

    def numbers(self, layout: str, field: str) -> tuple[int, ...]:
        """Integers, as `struct` calls them; little-endian without padding."""
        return unpack_from(f"<{layout}", self.data, self.skip(calcsize(f"<{layout}"), field))

    def u32(self, field: str) -> int:
        return self.numbers("I", field)[0]

    def u64(self, field: str) -> int:
        return self.numbers("Q", field)[0]

    def name(self, field: str) -> str:
        length = self.u64(f"the length of {field}")
        if not 0 < length <= LONGEST_NAME:
            raise self.error(f"{field} has a length of {length}; expected 1 to {LONGEST_NAME} bytes")
        return self.text(self.skip(length, field), self.position, field)

    def text(self, start: int, end: int, field: str) -> str:
        try:
            return str(self.data[start:end], "utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"{field} is not UTF-8 at offset {start + error.start}") from None

    def string_ends(self, count: int, field: str) -> Iterator[NDArray[np.int64]]:
        """Step over `count` strings, u64 lengths each followed by its bytes; yields the ends of some at a time.

        Where a string begins is known only at the end of the one before. But a length below 256 shows as one byte
        and seven zeros: take all such places in a window for lengths, and believe it as far as each string ends
        exactly where the next begins. The few others are stepped over one by one. A vocabulary of 131,072
        tokens takes 2 ms instead of 40.
        """
        while count:
            start = self.position
            window = np.frombuffer(self.data, np.uint8)[start : start + WINDOW]
            ends = _chain(window)[:count] + start
            if len(ends):
                self.skip(int(ends[-1]) - start, field)
                count -= len(ends)
                yield ends
            singles: list[int] = []
            stop = start + max(len(window), 1)
            while len(singles) < count and self.position < stop:
                length = unpack_from("<Q", self.data, self.skip(8, field))[0]
                self.skip(length, field)
                singles.append(self.position)
            count -= len(singles)
            yield np.array(singles, np.int64)


def quoted(name: str) -> str:
    """A name out of a file as it may stand in a message: on one line, and not too long."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def _chain(window: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Ends of the strings shorter than 256 bytes that follow each other from the window's begin."""
    zero = window == 0
    for step in (1, 2, 3):  # zero[i]: the next 2, 4, 7 bytes are zero
        zero = zero[:-step] & zero[step:]
    # Two lengths do not begin within 8 bytes: the first in each group of 8 is enough, and found eight times faster.
    groups = np.packbits(zero[1:], bitorder="little")
    hits = np.flatnonzero(groups)
    lengths = hits * 8 + _LOWEST_BIT[groups[hits]]
    ends: NDArray[np.int64] = lengths + 8 + window[lengths]
    if not len(lengths) or lengths[0] != 0:
        return ends[:0]
    broken = np.flatnonzero(ends[:-1] != lengths[1:])
    return ends[: broken[0] + 1] if len(broken) else ends


_LOWEST_BIT = np.array([(bits & -bits).bit_length() - 1 for bits in range(256)])
