"""Whatever is done to a file, only a GadflyError comes out; and what is accepted, the library reads in the same way."""

import json
import tracemalloc
from struct import pack

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.errors import ModelFileError
from gadfly.weights.safetensors import BITS, Safetensors

HEADER = {
    "__metadata__": {"format": "pt", "ü": "\\"},
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
    "c": {"dtype": "U8", "shape": [2, 1, 3], "data_offsets": [32, 38]},
    "scalar": {"dtype": "I64", "shape": [], "data_offsets": [38, 46]},
    "empty": {"dtype": "F16", "shape": [0, 2], "data_offsets": [46, 46]},
}
LIES = [0, 1, 2, 4, 7, 8, 24, 32, 38, 46, 47, 255, 2**16, 2**31, 2**32, 2**53, 2**63, 2**64, -1, 1.5, True, None, "F32"]
TOKENS = ['"', "{", "}", "[", "]", ",", ":", "\\", "\\u0061", '"shape"', '"dtype"', "0", "1e1", " ", "null", "é", "\0"]


def packed(text, data=bytes(range(46))):
    return pack("<Q", len(text)) + text + data


WHOLE = packed(json.dumps(HEADER).encode())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "a.safetensors"


def check(path, data):
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with Safetensors.open(path) as file:
            found = {
                name: (info.dtype, list(info.shape), data[info.offset : info.offset + info.size])
                for name, info in file.tensors.items()
            }
            for name, info in file.tensors.items():
                if BITS[info.dtype] % 8 == 0:
                    assert file.array(name).tobytes() == found[name][2]
                try:
                    assert file.weight(name).shape == info.shape
                except ModelFileError as error:
                    assert "\n" not in str(error)
    except ModelFileError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
    else:
        read = {
            name: (view["dtype"], view["shape"], bytes(view["data"])) for name, view in safetensors.deserialize(data)
        }
        assert read == found
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2**20 + 20 * len(data)


def test_the_whole_file_is_sound(path):
    path.write_bytes(WHOLE)
    assert set(Safetensors.open(path).tensors) == set(HEADER) - {"__metadata__"}
    check(path, WHOLE)


@given(st.data())
def test_cut_files(path, data):
    check(path, WHOLE[: data.draw(st.integers(0, len(WHOLE)))])


@given(changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes(path, changes):
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    check(path, bytes(data))


@settings(max_examples=300)
@given(st.data())
def test_lying_numbers(path, data):
    header = json.loads(json.dumps(HEADER))
    for _ in range(data.draw(st.integers(1, 3))):
        entry = header[data.draw(st.sampled_from(sorted(set(header) - {"__metadata__"})))]
        member = data.draw(st.sampled_from(["shape", "data_offsets"]))
        entry[member] = data.draw(st.lists(st.sampled_from(LIES), max_size=4) | st.sampled_from(LIES))
    check(path, packed(json.dumps(header).encode()))


@settings(max_examples=300)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), st.sampled_from(TOKENS)), min_size=1, max_size=4))
def test_broken_json(path, edits):
    text = json.dumps(HEADER)
    for place, gone, token in edits:
        start = int(place * len(text))
        text = text[:start] + token + text[start + gone :]
    check(path, packed(text.encode()))


@settings(max_examples=200)
@given(st.data())
def test_random_files_that_are_sound_or_nearly_so(path, data):
    header, end = {}, 0
    for name in data.draw(st.lists(st.text(max_size=4), unique=True, max_size=5)):
        dtype = data.draw(st.sampled_from(sorted(BITS)))
        shape = data.draw(st.lists(st.integers(0, 4), max_size=3))
        size = -(-int(np.prod(shape, dtype=int)) * BITS[dtype] // 8)
        begin = end + data.draw(st.sampled_from([0] * 9 + [-1, 1, 8]))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}
        end = begin + size
    indent = data.draw(st.sampled_from([None, 2]))
    check(path, packed(json.dumps(header, indent=indent, ensure_ascii=bool(indent)).encode(), bytes(max(end, 0))))


@given(garbage=st.binary(max_size=300), length=st.integers(0, 2**64 - 1) | st.integers(0, 300))
def test_random_bytes(path, garbage, length):
    check(path, pack("<Q", length) + garbage)
    check(path, pack("<Q", length) + b"{" + garbage)
