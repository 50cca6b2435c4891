"""Sound files are read as the `safetensors` library reads them; unsound ones are refused in one line that says why."""

import json
import os
import tracemalloc
from struct import pack

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.weight import Plain, Quantised
from gadfly.weights.safetensors import BITS, Safetensors

ARRAYS = {
    name: (np.arange(24) % 2 if kind == "?" else np.arange(24)).astype(kind).reshape(2, 3, 4)
    for name, kind in {
        "BOOL": "?",
        "I8": "i1",
        "U8": "u1",
        "I16": "<i2",
        "U16": "<u2",
        "F16": "<f2",
        "I32": "<i4",
        "U32": "<u4",
        "F32": "<f4",
        "I64": "<i8",
        "U64": "<u8",
        "F64": "<f8",
        "C64": "<c8",
    }.items()
}


def tensor(dtype="F32", shape=(2, 4), begin=0, end=32, **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def file_of(header, size=0, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return pack("<Q", len(text) if length is None else length) + text + bytes(size)


@pytest.fixture
def opened(tmp_path):
    def open_bytes(data):
        (tmp_path / "a.safetensors").write_bytes(data)
        return Safetensors.open(tmp_path / "a.safetensors")

    return open_bytes


# --- sound files


def test_a_file_of_the_library(tmp_path):
    scalars = {"scalar": np.array(5, np.float32), "nothing": np.zeros((0, 3), np.float32)}
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({**ARRAYS, **scalars}, path, {"format": "pt", "ü": "\n\"'"})
    with Safetensors.open(str(path)) as file:
        assert file.path == path
        assert file.metadata == {"format": "pt", "ü": "\n\"'"}
        assert set(file.tensors) == {*ARRAYS, *scalars}
        for name, array in {**ARRAYS, **scalars}.items():
            info, view = file.tensors[name], file.array(name)
            assert (info.name, info.shape, info.size) == (name, array.shape, array.nbytes)
            assert not view.flags.writeable
            np.testing.assert_array_equal(view, array)
            if name in ARRAYS:
                assert info.dtype == name
                assert view.dtype == (np.uint8 if name == "BOOL" else array.dtype)
        file.release()


def test_weights_are_read_only_views_that_outlive_the_file(opened):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, 3 * 24 * 4, np.uint8).tobytes()
    header = {
        "f": tensor("F32", (2, 3, 4), 0, 96),
        "h": tensor("F16", (2, 3, 4), 96, 144),
        "b": tensor("BF16", (24,), 144, 192),
        "rest": tensor("U8", (96,), 192, 288),
    }
    with opened(file_of(header) + data) as file:
        plain, half, brain = (file.weight(name) for name in "fhb")
        bits = file.array("b")
        file.release()
    assert isinstance(plain, Plain)
    assert plain.array.tobytes() == data[:96]
    assert isinstance(half, Quantised)
    assert (half.format, half.shape, half.blocks.shape) == ("F16", (2, 3, 4), (6, 8))
    assert half.blocks.tobytes() == data[96:144]
    assert isinstance(brain, Quantised)
    assert (brain.format, brain.shape, brain.blocks.shape) == ("BF16", (24,), (1, 48))
    assert brain.blocks.tobytes() == data[144:192] == bits.tobytes()
    assert bits.dtype == np.uint16
    for array in (plain.array, half.blocks, brain.blocks, bits):
        assert not array.flags.writeable
        assert not array.flags.owndata
    with pytest.raises(ValueError, match="closed"):
        file.weight("f")


def test_every_dtype_of_the_library_is_known(opened):
    for dtype, bits in BITS.items():
        data = file_of({"a": tensor(dtype, (3, 8), 0, 3 * bits)}, 3 * bits)
        safetensors.deserialize(data)
        file = opened(data)
        assert file.tensors["a"].size == 3 * bits
        if dtype not in ("F32", "F16", "BF16"):
            with pytest.raises(UnsupportedError, match=f"tensor 'a' is {dtype}; weights are read in F32, F16 and BF16"):
                file.weight("a")
        if bits % 8:
            with pytest.raises(UnsupportedError, match="which numpy does not have"):
                file.array("a")
        else:
            assert file.array("a").shape == (3, 8)


def test_tensors_need_not_be_aligned(opened):
    header = {"a": tensor("U8", (3,), 0, 3), "b": tensor("F32", (2,), 3, 11)}
    file = opened(file_of(header) + b"abc" + np.array([1, 2], "<f4").tobytes())
    assert file.weight("b").array.tolist() == [1, 2]


def test_white_space_and_order_do_not_matter(opened):
    header = b'{ "a" :\n{"data_offsets": [ 0 , 4 ],\t"shape":[ ] , "dtype":"F32"} }   '
    assert opened(file_of(header, 4)).tensors["a"].shape == ()
    assert dict(opened(file_of({})).tensors) == {}


def test_what_is_no_weight(opened):
    file = opened(file_of({"a": tensor("F32", (), 0, 4), "b": tensor("F32", (0, 4), 4, 4)}, 4))
    for name in "ab":
        with pytest.raises(UnsupportedError, match="weights have rows"):
            file.weight(name)
    with pytest.raises(ModelFileError, match=r"there is no tensor 'model.embed_tokens.weight'"):
        file.weight("model.embed_tokens.weight")


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")  # noqa: PTH110
def test_release_gives_memory_back(opened):
    size = 32 * 2**20
    file = opened(file_of({"a": tensor("F32", (size // 4,), 0, size)}, size))
    weight = file.weight("a")
    before = resident_file_bytes()
    assert weight.array.sum() == 0
    assert resident_file_bytes() > before + 0.9 * size
    file.release()
    assert resident_file_bytes() < before + 0.1 * size
    assert weight.array.sum() == 0


def resident_file_bytes():
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssFile"))


# --- files that are not what they say

HUGE = 2**63
NOT_INTEGERS = "the shape of tensor 'a' is .*; expected a list of integers from 0"
A = tensor()

UNSOUND = {
    "empty": (b"", "is empty; expected a safetensors file"),
    "short": (b"GGUF", "is not a safetensors file: it has 4 bytes"),
    "a web page": (b"<!DOCTYPE html><html>", "is not a safetensors file: it begins with b'<!DOCTYPE'"),
    "no header": (pack("<Q", 5), "is not a safetensors file"),
    "a list": (file_of(b"[]"), "is not a safetensors file"),
    "huge header": (file_of({}, length=HUGE), "is not a safetensors file"),
    "cut header": (file_of({}, length=100), "the header takes 100 bytes, but the file has 10"),
    "header of bytes": (file_of(b'{"\xff":1}'), "the header is not UTF-8 at offset 10"),
    "behind the header": (file_of(b"{}\0"), "the header has '.x00' at character 2, in the header; expected its end"),
    "deep": (file_of(b'{"a":' * 10_000), "in tensor 'a'; expected a small object"),
    "deep list": (file_of(b'{"a":' + b"[" * 10_000), "in tensor 'a'; expected a small object"),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}), "in __metadata__ 'a'; expected a string"),
    "metadata twice": (file_of(b'{"__metadata__":{"a":"","a":""}}'), "'a' appears twice in __metadata__"),
    "tensor twice": (
        file_of(f'{{"a":{json.dumps(A)},"a":{json.dumps(A)}}}'.encode(), 32),
        "'a' appears twice in the header; expected once",
    ),
    "shape twice": (
        file_of(b'{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,4]}}', 4),
        "tensor 'a' is .* where a name appears twice",
    ),
    "name too long": (file_of({"a" * 1025: A}, 32), "has a name of 1025 characters; expected 1 to 1024"),
    "no name": (file_of({"": A}, 32), "has a name of 0 characters"),
    "name of lines": (file_of({"a\nb": {}}), r"tensor 'a\\nb' has the members ''; expected dtype"),
    "no dtype": (
        file_of({"a": {"shape": [1], "data_offsets": [0, 4]}}, 4),
        "the members 'shape, data_offsets'",
    ),
    "no shape": (
        file_of({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, 4),
        "the members 'dtype, data_offsets'",
    ),
    "no offsets": (file_of({"a": {"dtype": "F32", "shape": [1]}}, 4), "tensor 'a' has the members 'dtype, shape'"),
    "three offsets": (file_of({"a": A | {"data_offsets": [0, 4, 8]}}, 4), "tensor 'a' has 2 dimensions and 3 offsets"),
    "surplus": (
        file_of({"a": tensor(crc=[1])}, 32),
        "the members 'dtype, shape, data_offsets, crc'; expected",
    ),
    "unknown dtype": (file_of({"a": tensor("F31")}, 32), "tensor 'a' is of the dtype 'F31'; known are F4, "),
    "dtype of numbers": (file_of({"a": tensor(3)}, 32), "the dtype of tensor 'a' is '3'; expected a string"),
    "negative": (
        file_of({"a": tensor(shape=(-2, -4))}, 32),
        NOT_INTEGERS,
    ),
    "fractions": (
        file_of({"a": tensor(shape=(2.0, 4))}, 32),
        NOT_INTEGERS,
    ),
    "truth": (
        file_of({"a": tensor(shape=(True, 8))}, 32),
        NOT_INTEGERS,
    ),
    "dimensions": (
        file_of({"a": tensor(shape=(1,) * 9, end=4)}, 4),
        "has 9 dimensions and 2 offsets; expected at",
    ),
    "many dimensions": (file_of({"a": tensor(shape=(1,) * 999)}, 4), "has 999 dimensions"),
    "overflow": (
        file_of({"a": tensor(shape=(2**32, 2**32))}, 32),
        f"lies at 0 to 32, but F32 of shape .* takes {2**66} bytes",
    ),
    "short by a byte": (file_of({"a": tensor(end=31)}, 31), "lies at 0 to 31, but F32 of shape .* takes 32 bytes"),
    "backwards": (file_of({"a": tensor(begin=32, end=0)}, 32), "lies at 32 to 0, but F32"),
    "half bytes": (file_of({"a": tensor("F4", (3,), 0, 2)}, 2), "lies at 0 to 2, but F4 of shape .* takes 2 bytes"),
    "distant": (file_of({"a": tensor(begin=HUGE, end=HUGE + 32)}, 32), "begins at byte .* but the header ends at"),
    "gap in front": (file_of({"a": tensor(begin=4, end=36)}, 36), "begins at byte .* but the header ends at"),
    "gap": (
        file_of({"a": A, "b": tensor(begin=36, end=68)}, 68),
        r"tensor 'b' begins at byte \d+, but tensor 'a' ends at \d+; expected tensors without overlap or gap",
    ),
    "overlap": (
        file_of({"b": tensor(begin=28, end=60), "a": A}, 60),
        r"tensor 'b' begins at byte \d+, but tensor 'a' ends at \d+; expected tensors without overlap or gap",
    ),
    "the same place": (file_of({"a": A, "b": A}, 32), "tensor 'b' begins at byte"),
    "nothing inside": (file_of({"a": A, "b": tensor(shape=[0], begin=8, end=8)}, 32), "begins at byte"),
    "cut": (file_of({"a": A}, 31), r"tensor 'a' ends at byte \d+, but the file at \d+; it is incomplete"),
    "surplus bytes": (file_of({"a": A}, 33), r"tensor 'a' ends at byte \d+, but the file at \d+"),
    "bytes of nobody": (file_of({}, 1), "the header ends at byte 10, but the file at 11"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_files_are_refused_before_anything_is_allocated(opened, name, tmp_path):
    data, message = UNSOUND[name]
    tracemalloc.start()
    with pytest.raises(ModelFileError, match=message) as caught:
        opened(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(tmp_path / "a.safetensors") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 2**20


def test_a_large_hostile_header_takes_memory_in_proportion(opened):
    for header in (b'{"a":' + b"[" * 2**22, b'{"a":{"dtype":"' + b"\\n" * 2**21, b"{" + b" " * 2**22):
        data = file_of(header)
        tracemalloc.start()
        with pytest.raises(ModelFileError):
            opened(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * len(data)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(NotFoundError, match=r"missing.safetensors does not exist; give the path"):
        Safetensors.open(tmp_path / "missing.safetensors")
    with pytest.raises(ModelFileError, match="is not a file"):
        Safetensors.open(tmp_path)
    with pytest.raises(ModelFileError, match="null"):
        Safetensors.open("a\0b")
