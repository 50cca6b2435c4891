"""Protocol buffers as they lie in a file: fields with a number and a value, one after the other.

What the numbers mean is known where they are used: see `gadfly.text.piece_model`.
Source: https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterator

from gadfly.errors import ModelFileError

__all__ = ["bytes_field", "fields", "float_field", "integer_field"]


def integer_field(field: int, value: int) -> bytes:
    """Negative ones as the 64 bits of two's complement, as an int32 is written."""
    return _varint(field << 3) + _varint(value % 2**64)


def bytes_field(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def float_field(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field: an integer as it is, of eight or four bytes or of counted ones these bytes."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        match key & 7:
            case 0:
                value, position = _read_varint(data, position)
                yield key >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, position = _read_varint(data, position)
            case 5:
                size = 4
            case kind:
                raise ModelFileError(f"a field of the unknown wire type {kind} at byte {position}")
        if position + size > len(data):
            raise ModelFileError(f"a field of {size} bytes at byte {position} of {len(data)}")
        yield key >> 3, data[position : position + size]
        position += size


def _varint(value: int) -> bytes:
    low = []
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes([*low, value])


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for i, byte in enumerate(data[position : position + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, position + i + 1
    raise ModelFileError(f"an integer without an end at byte {position}")
