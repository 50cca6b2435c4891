"""What is written can be read back, by Gadfly and by the `gguf` package; and what cannot be written leaves no trace."""

import errno
from dataclasses import dataclass

import gguf
import numpy as np
import pytest

from gadfly.errors import CapacityError, ModelFileError, UnsupportedError
from gadfly.quant import FORMATS
from gadfly.weight import Plain
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_writer import write_gguf

METADATA = {
    "general.architecture": "llama",
    "answer": 42,
    "negative": -1,
    "large": 2**40,
    "large.negative": -(2**40),
    "half": 0.5,
    "yes": True,
    "no": np.bool_(False),
    "typed": np.uint16(7),
    "tokens": ["<s>", "", "Grüße", "x" * 300, "\0"],
    "scores": np.array([0.5, -1.0], np.float32),
    "types": np.array([1, 3, 6], np.int32),
    "empty": np.array([], np.int64),
}


def random_tensors():
    rng = np.random.default_rng(0)
    tensors = {}
    for name, known in FORMATS.items():
        blocks = rng.integers(0, 256, (6, known.row_bytes(256)), np.uint8)
        tensors[f"matrix.{name}"] = (name, (6, 256), blocks)
        tensors[f"experts.{name}"] = (name, (2, 3, 256), blocks)
    tensors["vector"] = ("F32", (5,), rng.normal(size=5).astype(np.float32))
    return tensors


def data_of(weight):
    return (weight.array if isinstance(weight, Plain) else weight.blocks).reshape(-1).view(np.uint8)


@pytest.fixture
def written(tmp_path):
    tensors = random_tensors()
    write_gguf(tmp_path / "a.gguf", METADATA, tensors)
    return tmp_path / "a.gguf", tensors


def test_gadfly_reads_it_back(written):
    path, tensors = written
    with GGUF.open(path) as file:
        assert list(file.metadata) == list(METADATA)
        for key, value in METADATA.items():
            np.testing.assert_array_equal(file.metadata[key], value)
            assert not isinstance(file.metadata[key], np.generic)
        assert list(file.tensors) == list(tensors)
        for name, (format_name, shape, blocks) in tensors.items():
            info = file.tensors[name]
            assert (info.format, info.shape, info.offset % 32) == (format_name, shape, 0)
            assert file.weight(name).shape == shape
            assert (data_of(file.weight(name)) == blocks.reshape(-1).view(np.uint8)).all()


def test_the_gguf_package_reads_it(written):
    path, tensors = written
    reader = gguf.GGUFReader(path)
    for key, value in METADATA.items():
        np.testing.assert_array_equal(reader.get_field(key).contents(), value)
    assert [tensor.name for tensor in reader.tensors] == list(tensors)
    for tensor in reader.tensors:
        format_name, shape, blocks = tensors[tensor.name]
        assert tensor.tensor_type == gguf.GGMLQuantizationType[format_name]
        assert tuple(tensor.shape[::-1]) == shape
        assert (tensor.data.reshape(-1).view(np.uint8) == blocks.reshape(-1).view(np.uint8)).all()


@pytest.mark.parametrize(
    ("key", "type_name"),
    [
        ("answer", "UINT32"),
        ("negative", "INT32"),
        ("large", "UINT64"),
        ("large.negative", "INT64"),
        ("half", "FLOAT32"),
        ("yes", "BOOL"),
        ("typed", "UINT16"),
    ],
)
def test_numbers_get_the_types_that_other_readers_ask_for(written, key, type_name):
    assert gguf.GGUFReader(written[0]).get_field(key).types == [gguf.GGUFValueType[type_name]]


def test_chunks_are_joined_and_may_be_made_on_the_way(tmp_path):
    blocks = np.arange(40, dtype=np.float32).reshape(8, 5)
    tensors = {"a": ("F32", (8, 5), (blocks[i : i + 3] for i in (0, 3, 6))), "b": ("F32", (5, 8), blocks.T)}
    write_gguf(tmp_path / "a.gguf", {}, tensors)
    file = GGUF.open(tmp_path / "a.gguf")
    assert (file.weight("a").array == blocks).all()
    assert (file.weight("b").array == blocks.T).all()


def test_an_existing_file_is_replaced_and_its_readers_keep_what_they_had(written):
    path, _ = written
    before = GGUF.open(path).weight("vector").array
    kept = before.copy()
    write_gguf(path, {}, {"vector": ("F32", (5,), np.zeros(5, np.float32))})
    assert (before == kept).all()
    assert (GGUF.open(path).weight("vector").array == 0).all()
    assert list(path.parent.iterdir()) == [path]


@dataclass
class Failing:
    error: Exception

    def __iter__(self):
        yield np.zeros((1, 4), np.float32)
        raise self.error


@pytest.mark.parametrize(
    ("error", "raised", "match"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), CapacityError, "No space left on device; make room"),
        (OSError(errno.EIO, "Input/output error"), ModelFileError, "cannot be written: Input/output error"),
        (KeyboardInterrupt("Ctrl-C"), KeyboardInterrupt, "Ctrl-C"),
    ],
)
def test_a_failure_leaves_everything_as_it_was(written, error, raised, match):
    path, _ = written
    before = path.read_bytes()
    with pytest.raises(raised, match=match):
        write_gguf(path, {}, {"a": ("F32", (2, 4), Failing(error))})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_disk_that_is_really_full(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the process ignores the signal, as Python does
    try:
        with pytest.raises(CapacityError, match="make room"):
            write_gguf(tmp_path / "a.gguf", {}, {"a": ("F32", (100_000,), np.zeros(100_000, np.float32))})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelFileError, match="No such file or directory; take a folder you may write to"):
        write_gguf(tmp_path / "missing" / "a.gguf", {}, {})


@pytest.mark.parametrize(
    ("metadata", "tensors", "match"),
    [
        ({}, {"a": ("F32", (2, 2), np.zeros(3, np.float32))}, "'a' has 12 bytes; F32 of shape .* takes 16"),
        ({}, {"a": ("F32", (), np.zeros(1, np.float32))}, "one to four dimensions"),
        ({}, {"a": ("F32", (2, 0), np.zeros(0, np.float32))}, "none empty"),
        ({"k": np.zeros(3, np.complex64)}, {}, "'k' is of type complex64"),
        ({"k": np.zeros((3, 3), np.float32)}, {}, "'k' is array"),
        ({"k": 2**64}, {}, "'k' is 18446744073709551616"),
        ({"k": None}, {}, "'k' is None"),
        ({"general.alignment": 48}, {}, "general.alignment is 48; expected a power of two"),
    ],
)
def test_what_no_file_can_hold(tmp_path, metadata, tensors, match):
    with pytest.raises(ValueError, match=match):
        write_gguf(tmp_path / "a.gguf", metadata, tensors)
    assert list(tmp_path.iterdir()) == []


def test_rows_that_are_no_whole_blocks(tmp_path):
    with pytest.raises(UnsupportedError, match="a row of 100 elements cannot be Q8_0"):
        write_gguf(tmp_path / "a.gguf", {}, {"a": ("Q8_0", (1, 100), np.zeros((1, 100), np.uint8))})
