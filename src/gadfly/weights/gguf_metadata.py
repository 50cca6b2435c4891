"""The keys and values at the front of a GGUF file; a value is decoded each time it is asked for, and not kept.

    key    = length u64 | UTF-8 bytes
    value  = type u32 | scalar  or  STRING | length u64 | UTF-8 bytes  or  ARRAY | type u32 | length u64 | values

Source: the GGUF specification of ggml (docs/gguf.md). Which keys mean what is known in `gadfly.arch` and `gadfly.text`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import UnsupportedError
from gadfly.weights.gguf_cursor import Cursor, quoted

__all__ = ["ARRAY", "SCALARS", "STRING", "Metadata", "Value"]

Value = bool | int | float | str | list[str] | NDArray[np.generic]

SCALARS: dict[int, np.dtype[Any]] = {  # type in the file -> how it is stored
    0: np.dtype("u1"),
    1: np.dtype("i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    7: np.dtype("?"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}
STRING, ARRAY = 8, 9
LENGTH = "\0" * 8  # of a string, overwritten

MOST_KEYS = 2**16
MOST_STRINGS = 2**22  # in one array; ten times the largest vocabulary


@dataclass(frozen=True)
class _Entry:
    type: int  # of the value, or of an array's elements
    count: int | None  # of an array's elements
    start: int  # offset of the value, or of an array's first element
    end: int


class Metadata(Mapping[str, Value]):
    """Scalars are Python's, arrays of numbers numpy's (1-D, a copy), arrays of strings lists of str."""

    def __init__(self, cursor: Cursor, entries: Mapping[str, _Entry]) -> None:
        self._cursor = cursor
        self._entries = entries

    @classmethod
    def read(cls, cursor: Cursor, count: int) -> Self:
        """Step over `count` keys and values, checking everything that can be checked without decoding them."""
        if count > MOST_KEYS:
            raise cursor.error(f"the number of metadata keys is {count}; expected at most {MOST_KEYS}")
        entries: dict[str, _Entry] = {}
        for i in range(count):
            key = cursor.name(f"metadata key {i}")
            if key in entries:
                raise cursor.error(f"metadata key {quoted(key)} appears twice; expected once")
            entries[key] = _skip_value(cursor, f"metadata {quoted(key)}")
        return cls(cursor, entries)

    def without(self, prefix: str) -> "Metadata":
        return Metadata(self._cursor, {k: v for k, v in self._entries.items() if not k.startswith(prefix)})

    def __getitem__(self, key: str) -> Value:
        return _decode(self._cursor, self._entries[key], f"metadata {quoted(key)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _skip_value(cursor: Cursor, field: str) -> _Entry:
    kind = cursor.u32(f"the type of {field}")
    count = None
    if kind == ARRAY:
        kind = cursor.u32(f"the element type of {field}")
        count = cursor.u64(f"the length of {field}")
        if kind == ARRAY:
            raise UnsupportedError(
                f"{cursor.path}: {field} is an array of arrays, which no model needs; remove the key"
            )
    if kind == STRING and count is not None:
        if count > MOST_STRINGS:
            raise cursor.error(f"the length of {field} is {count}; expected at most {MOST_STRINGS} strings")
        start = cursor.position
        for _ in cursor.string_ends(count, field):
            pass
    elif kind == STRING:
        start = cursor.skip(cursor.u64(f"the length of {field}"), field)
    elif kind in SCALARS:
        start = cursor.skip(SCALARS[kind].itemsize * (1 if count is None else count), field)
    else:
        raise cursor.error(f"{field} has the unknown type {kind}; expected 0 to 12")
    return _Entry(kind, count, start, cursor.position)


def _decode(cursor: Cursor, entry: _Entry, field: str) -> Value:
    if entry.type == STRING:
        if entry.count is None:
            return cursor.text(entry.start, entry.end, field)
        return _decode_strings(cursor, entry.start, entry.count, field)
    dtype = SCALARS[entry.type]
    numbers = np.frombuffer(cursor.data, dtype, 1 if entry.count is None else entry.count, entry.start)
    if dtype.kind == "b" and (numbers.view(np.uint8) > 1).any():
        raise cursor.error(f"{field} holds a truth value other than 0 and 1")
    if entry.count is not None:
        return numbers.copy()
    scalar: bool | int | float = numbers.item()
    return scalar


def _decode_strings(cursor: Cursor, start: int, count: int, field: str) -> list[str]:
    """Many at once: their lengths, overwritten with zeros, say where to split, unless a string has zeros itself."""
    strings: list[str] = []
    walk = Cursor(cursor.path, cursor.data, start)
    for ends in walk.string_ends(count, field):
        raw = np.frombuffer(cursor.data, np.uint8)[start : walk.position].copy()
        begins = np.append(0, ends[:-1] - start)[: len(ends)]
        raw[np.add.outer(begins, np.arange(len(LENGTH)))] = 0
        try:
            text = raw.tobytes().decode()
        except UnicodeDecodeError:
            raise cursor.error(f"{field} holds a string that is not UTF-8 behind offset {start}") from None
        if text.count("\0") == len(LENGTH) * len(ends):
            strings += text.split(LENGTH)[1:]
        else:
            bounds = zip(begins + len(LENGTH), ends - start, strict=True)
            strings += [raw[begin:end].tobytes().decode() for begin, end in bounds]
        start = walk.position
    return strings
