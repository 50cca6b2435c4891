"""Whatever is done to the bytes of a file, only a GadflyError comes out and memory stays in proportion to the file."""

import tracemalloc
from struct import pack_into

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.errors import ModelFileError
from gadfly.quant import FORMATS
from gadfly.weight import Plain
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_writer import write_gguf

METADATA = {
    "general.architecture": "llama",
    "general.alignment": 32,
    "llama.block_count": 1,
    "tokens": ["<s>", "", "Ġthe", "x" * 300],
    "types": np.array([3, 1, 1], np.int32),
    "flags": np.array([True, False]),
    "split.count": np.uint16(1),
}
LIES = [0, 1, 2, 7, 8, 9, 12, 13, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**60, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "a.gguf"
    formats = {name: (name, (2, 256), np.zeros((2, known.row_bytes(256)), np.uint8)) for name, known in FORMATS.items()}
    write_gguf(path, METADATA, formats)
    header = min(info.offset for info in GGUF.open(path).tensors.values())
    return path.with_name("mutated.gguf"), path.read_bytes(), header


def read_everything(path):
    """Open a file and touch all of it, one key and one tensor after the other."""
    with GGUF.open(path) as file:
        for key in file.metadata:
            try:
                assert isinstance(file.metadata[key], bool | int | float | str | list | np.ndarray)
            except ModelFileError as error:
                assert_readable(error)
        for name, info in file.tensors.items():
            weight = file.weight(name)
            data = weight.array if isinstance(weight, Plain) else weight.blocks
            assert (weight.shape, data.nbytes) == (info.shape, info.size)
            data.view(np.uint8).max()


def assert_readable(error):
    assert "\n" not in str(error)
    assert len(str(error)) < 1000


def check(path, data):
    path.write_bytes(data)
    tracemalloc.start()
    try:
        read_everything(path)
    except ModelFileError as error:
        assert_readable(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2**20 + 20 * len(data)


@given(st.data())
def test_cut_files(file, data):
    path, whole, header = file
    check(path, whole[: data.draw(st.one_of(st.integers(0, header + 64), st.integers(0, len(whole))))])


@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes(file, changes):
    path, whole, header = file
    data = bytearray(whole)
    for place, value in changes:
        data[int(place * header)] = value
    check(path, data)


@settings(max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), lie=st.sampled_from(LIES), width=st.sampled_from("IQ"))
def test_lying_numbers(file, place, lie, width):
    path, whole, header = file
    data = bytearray(whole)
    pack_into(f"<{width}", data, int(place * header), lie % 2**32 if width == "I" else lie)
    check(path, data)


@given(cut=st.floats(0, 1, exclude_max=True), size=st.integers(1, 200), to=st.floats(0, 1, exclude_max=True))
def test_moved_pieces(file, cut, size, to):
    path, whole, header = file
    start, end = int(cut * header), int(cut * header) + size
    rest = whole[:start] + whole[end:]
    check(path, rest[: int(to * header)] + whole[start:end] + rest[int(to * header) :])


@given(garbage=st.binary(max_size=400), counts=st.tuples(st.sampled_from(LIES), st.sampled_from(LIES)))
def test_random_bytes_behind_a_sound_start(file, garbage, counts):
    path, _, _ = file
    start = bytearray(b"GGUF" + bytes(20))
    pack_into("<IQQ", start, 4, 3, *counts)
    check(path, start + garbage)
