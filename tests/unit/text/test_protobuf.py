import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import ModelFileError
from gadfly.text.protobuf import bytes_field, fields, float_field, integer_field

numbers = st.integers(1, 2**29 - 1)
written = st.one_of(
    st.tuples(numbers, st.integers(0, 2**64 - 1)).map(lambda f: (f[0], f[1], integer_field(*f))),
    st.tuples(numbers, st.binary(max_size=300)).map(lambda f: (f[0], f[1], bytes_field(*f))),
    st.tuples(numbers, st.floats(width=32)).map(lambda f: (f[0], struct.pack("<f", f[1]), float_field(*f))),
)


@given(st.lists(written))
def test_what_is_written_is_read(given_fields: list[tuple[int, int | bytes, bytes]]) -> None:
    data = b"".join(field for _, _, field in given_fields)
    assert list(fields(data)) == [(number, value) for number, value, _ in given_fields]


def test_negative_integers_are_64_bits_long() -> None:
    assert integer_field(1, -1) == b"\x08" + b"\xff" * 9 + b"\x01"
    assert list(fields(integer_field(1, -1))) == [(1, 2**64 - 1)]


@given(data=st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    try:
        assert sum(len(value) if isinstance(value, bytes) else 1 for _, value in fields(data)) <= len(data)
    except ModelFileError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x0a\x05abc", "a field of 5 bytes at byte 2 of 5"),
        (b"\x0d\x00", "a field of 4 bytes at byte 1 of 2"),
        (b"\x09\x00", "a field of 8 bytes"),
        (b"\x0b", "unknown wire type 3"),
        (b"\x08" + b"\xff" * 10, "an integer without an end at byte 1"),
        (b"\x08", "an integer without an end at byte 1"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "a field of"),
    ],
)
def test_damage(data: bytes, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        list(fields(data))
