"""What is written can be read back, by Gadfly and by the library; and what cannot be written leaves no trace."""

import errno
import json
from dataclasses import dataclass

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import CapacityError, ModelFileError
from gadfly.weights.safetensors import BITS, Safetensors
from gadfly.weights.safetensors_folder import INDEX, SafetensorsFolder
from gadfly.weights.safetensors_writer import write_safetensors, write_safetensors_folder


def random_tensors():
    """One of every dtype, whose order by width is not the order they are given in."""
    rng = np.random.default_rng(0)
    tensors = {}
    for dtype, bits in BITS.items():
        tensors[f"matrix.{dtype}"] = (dtype, (3, 8), rng.integers(0, 2, 3 * bits, np.uint8))
        tensors[f"odd.{dtype}"] = (dtype, (1, 1, 3, 8), rng.integers(0, 2, 3 * bits, np.uint8))
    tensors["scalar"] = ("F32", (), np.array(5, np.float32))
    tensors["nothing"] = ("F16", (0, 5), np.empty((0, 5), np.float16))
    return tensors


@pytest.fixture
def written(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", random_tensors())
    return tmp_path / "a.safetensors"


def test_the_library_reads_it(written):
    found = dict(safetensors.deserialize(written.read_bytes()))
    tensors = random_tensors()
    assert set(found) == set(tensors)
    for name, (dtype, shape, data) in tensors.items():
        assert (found[name]["dtype"], tuple(found[name]["shape"])) == (dtype, shape)
        assert bytes(found[name]["data"]) == data.tobytes()
    with safetensors.safe_open(written, "numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_gadfly_reads_it_back(written):
    tensors = random_tensors()
    with Safetensors.open(written) as file:
        assert file.metadata == {"format": "pt"}
        for name, (dtype, shape, data) in tensors.items():
            info = file.tensors[name]
            assert (info.dtype, info.shape) == (dtype, shape)
            assert info.offset % max(BITS[dtype] // 8, 1) == 0
            if BITS[dtype] % 8 == 0:
                assert file.array(name).tobytes() == data.tobytes()
                assert file.array(name).flags.aligned


@given(
    arrays=st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.tuples(st.sampled_from(["<f4", "<f2", "u1", "<i8"]), st.lists(st.integers(0, 3), max_size=3)),
    ),
    metadata=st.dictionaries(st.text(max_size=3), st.text(max_size=3)),
)
def test_any_names_and_shapes(arrays, metadata, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    dtypes = {"<f4": "F32", "<f2": "F16", "u1": "U8", "<i8": "I64"}
    made = {name: (dtypes[kind], tuple(shape), np.ones(shape, kind)) for name, (kind, shape) in arrays.items()}
    write_safetensors(path, made, metadata)
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0
    found = safetensors.numpy.load_file(path)
    assert {name: (array.dtype, array.shape) for name, array in found.items()} == {
        name: (array.dtype, array.shape) for name, (_, _, array) in made.items()
    }
    assert all((array == 1).all() for array in found.values())
    assert Safetensors.open(path).metadata == metadata


def test_as_the_library_writes_it(tmp_path):
    """The same bytes where both have the same choice: the library also sorts names, and writes no spaces."""
    arrays = {
        "a": np.arange(5, dtype=np.float64),
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "c": np.ones(3, "i1"),
    }
    dtypes = {"a": "F64", "b": "F32", "c": "I8"}
    write_safetensors(tmp_path / "ours", {name: (dtypes[name], arrays[name].shape, arrays[name]) for name in "cba"})
    safetensors.numpy.save_file(arrays, tmp_path / "theirs", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_chunks_are_joined_and_may_be_made_on_the_way(tmp_path):
    array = np.arange(40, dtype=np.float32).reshape(8, 5)
    tensors = {"a": ("F32", (8, 5), (array[i : i + 3] for i in (0, 3, 6))), "b": ("F32", (5, 8), array.T)}
    write_safetensors(tmp_path / "a.safetensors", tensors)
    file = Safetensors.open(tmp_path / "a.safetensors")
    assert (file.weight("a").array == array).all()
    assert (file.weight("b").array == array.T).all()


def test_a_folder_of_several_files(tmp_path):
    arrays = {f"layer.{i}": np.full((2, 2), i, np.float32) for i in range(5)} | {"large": np.ones(9, np.float32)}
    tensors = {name: ("F32", array.shape, array) for name, array in arrays.items()}
    write_safetensors_folder(tmp_path / "model", tensors, {"config.json": b"{}"}, largest=32)
    names = [f"model-0000{i}-of-00004.safetensors" for i in (1, 2, 3, 4)]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted([*names, INDEX, "config.json"])
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
    index = json.loads((tmp_path / "model" / INDEX).read_text())
    assert index["metadata"] == {"total_size": 5 * 16 + 36}
    assert index["weight_map"] == {
        "layer.0": names[0],
        "layer.1": names[0],
        "layer.2": names[1],
        "layer.3": names[1],
        "layer.4": names[2],
        "large": names[3],
    }
    for name, file in index["weight_map"].items():
        assert (safetensors.numpy.load_file(tmp_path / "model" / file)[name] == arrays[name]).all()
    with SafetensorsFolder.open(tmp_path / "model") as model:
        assert all((model.weight(name).array == array).all() for name, array in arrays.items())


def test_a_folder_of_one_file(tmp_path):
    (tmp_path / "model").mkdir()
    write_safetensors_folder(tmp_path / "model", {"a": ("F32", (2,), np.ones(2, np.float32))})
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["model.safetensors"]
    assert SafetensorsFolder.open(tmp_path / "model").weight("a").array.tolist() == [1, 1]


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
    before = written.read_bytes()
    tensors = {"a": ("F32", (1,), np.zeros(1, np.float32)), "b": ("F32", (2, 4), Failing(error))}
    with pytest.raises(raised, match=match):
        write_safetensors(written, tensors)
    with pytest.raises(raised, match=match):
        write_safetensors_folder(written.parent / "model", tensors, largest=4)
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def test_a_folder_that_is_taken(written):
    with pytest.raises(ModelFileError, match="exists and is not empty; remove it or choose another folder"):
        write_safetensors_folder(written.parent, {})
    assert list(written.parent.iterdir()) == [written]


def test_a_disk_that_is_too_small_is_known_before_anything_is_written(tmp_path):
    tensors = {"a": ("F32", (2**50,), Failing(AssertionError("nothing is taken")))}
    with pytest.raises(CapacityError, match=r"takes 4503599\.6 GB, but the disk has .* GB left; make room"):
        write_safetensors_folder(tmp_path / "model", tensors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tensors", "match"),
    [
        ({"a": ("F32", (2, 2), np.zeros(3, np.float32))}, "'a' has 12 bytes; F32 of shape .* takes 16"),
        ({"a": ("F31", (2, 2), np.zeros(3, np.float32))}, "'a' is of the dtype 'F31'; expected one of F4"),
        ({"a": ("F4", (3,), np.zeros(2, np.uint8))}, "no whole bytes"),
        ({"a": ("F32", (-1,), np.zeros(0, np.float32))}, "no whole bytes"),
        ({"": ("F32", (1,), np.zeros(1, np.float32))}, "expected 1 to 1024 characters"),
        ({"a" * 1025: ("F32", (1,), np.zeros(1, np.float32))}, "expected 1 to 1024 characters"),
        ({"__metadata__": ("F32", (1,), np.zeros(1, np.float32))}, "not __metadata__"),
    ],
)
def test_what_no_file_can_hold(tmp_path, tensors, match):
    with pytest.raises(ValueError, match=match):
        write_safetensors(tmp_path / "a.safetensors", tensors)
    with pytest.raises(ValueError, match=match):
        write_safetensors_folder(tmp_path / "model", tensors)
    assert list(tmp_path.iterdir()) == []
