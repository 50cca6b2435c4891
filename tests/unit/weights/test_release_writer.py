"""What is written is what CPython's pickler and xAI's own program write; what cannot be written leaves no trace."""

import csv
import errno
import os
import shutil
from ast import literal_eval
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.arch.grok1_release import Hyperparameters, release_layout
from gadfly.errors import CapacityError, ModelFileError
from gadfly.weights.grok_release import Float32Tensor, open_release
from gadfly.weights.release_pickle import StoredArray, StoredWeight, walk
from gadfly.weights.release_pickler import pickled
from gadfly.weights.release_writer import write_release
from release_pickles import BFLOAT16, FLOAT32, INT8, Array, dumps, weight

DATA = Path(__file__).parents[2] / "data"

TINY = Hyperparameters(
    vocab_size=10,
    emb_size=6,
    key_size=4,
    num_q_heads=3,
    num_kv_heads=1,
    num_layers=2,
    num_experts=3,
    widening_factor=2,
)


def joined(parts, fill=0):
    return b"".join(part if isinstance(part, bytes) else bytes([fill]) * part for part in parts)


def some_tensors(hyperparameters=TINY, groups=2, seed=0):
    rng = np.random.default_rng(seed)
    for tensor in release_layout(hyperparameters):
        if tensor.kind == "float32":
            yield tensor.name, rng.standard_normal(tensor.shape, np.float32)
        else:
            *experts, _, columns = tensor.shape
            codes = rng.integers(-128, 128, tensor.shape, np.int8)
            yield tensor.name, (codes, rng.integers(0, 2**16, (*experts, groups, columns), np.uint16))


# --- the bytes of a file

# Payloads around 64 KiB change how the pickler frames what follows.
lengths = st.one_of(st.integers(1, 300), st.integers(65_100, 65_700).map(lambda n: n // 4), st.just(70_000))


@given(lengths, st.one_of(st.just(1), st.integers(1, 3)))
def test_arrays_are_what_the_pickler_of_python_makes_of_them(rows, columns):
    for shape in ((rows,), (rows, columns)):
        data = joined(pickled(("float32", shape)))
        assert data == dumps(Array(FLOAT32, shape))
        stored = walk(Path("a"), memoryview(data))
        assert isinstance(stored, StoredArray)
        assert stored.shape == shape


@given(
    st.lists(st.integers(1, 4), max_size=1),
    st.one_of(st.integers(1, 40), st.integers(65_000, 65_700)),
    st.integers(1, 3),
    st.one_of(st.integers(1, 3), st.just(33_000), st.integers(32_600, 32_800)),
)
def test_weights_are_what_the_pickler_of_python_makes_of_them(experts, rows, columns, groups):
    codes, scales = (*experts, rows, columns), (*experts, groups, columns)
    data = joined(pickled(("int8", codes), ("bfloat16", scales)))
    assert data == dumps(weight(Array(INT8, codes), Array(BFLOAT16, scales)))
    stored = walk(Path("a"), memoryview(data))
    assert isinstance(stored, StoredWeight)
    assert (stored.weight.shape, stored.scales.shape) == (codes, scales)


def test_frames_end_where_the_pickler_of_python_ends_them():
    """At 64 KiB to the byte, of a frame and of a payload."""
    for rows in range(2**16 - 300, 2**16 + 2):
        assert joined(pickled(("int8", (rows, 1)), ("bfloat16", (1, 1)))) == dumps(
            weight(Array(INT8, (rows, 1)), Array(BFLOAT16, (1, 1)))
        )


@pytest.mark.parametrize(
    ("arrays", "size"),
    [
        ([("float32", (131072, 6144))], 3_221_225_637),
        ([("int8", (8, 6144, 32768)), ("bfloat16", (8, 1, 32768))], 1_611_137_347),
        ([("int8", (8, 32768, 6144)), ("bfloat16", (8, 8, 6144))], 1_611_399_491),
        ([("int8", (6144, 1024)), ("bfloat16", (1, 1024))], 6_293_814),
        ([("int8", (6144, 6144)), ("bfloat16", (8, 6144))], 37_847_359),
        ([("int8", (6144, 6144)), ("bfloat16", (1, 6144))], 37_761_334),
        ([("float32", (6144, 8))], 196_770),
        ([("float32", (6144,))], 24_727),
    ],
)
def test_files_have_the_sizes_of_the_real_ones(arrays, size):
    parts = pickled(*arrays)
    assert sum(part if isinstance(part, int) else len(part) for part in parts) == size


@pytest.mark.skipif("GADFLY_TEST_DATA" not in os.environ, reason="GADFLY_TEST_DATA names no folder")
def test_all_files_of_the_real_release_have_their_sizes():
    table = Path(os.environ["GADFLY_TEST_DATA"]) / "oracle" / "real_grok1_tensors.tsv"
    with table.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            scales = literal_eval(row["scales_shape(bf16)"])
            arrays = [(row["stored"], tuple(literal_eval(row["shape"])))]
            arrays += [("bfloat16", tuple(scales))] if scales else []
            parts = pickled(*arrays)
            assert sum(part if isinstance(part, int) else len(part) for part in parts) == int(row["file_bytes"])


def test_a_payload_of_four_gibibytes():
    parts = pickled(("float32", (2**30, 1)))
    assert parts[parts.index(2**32) - 1] == b"\x8e" + (2**32).to_bytes(8, "little")


# --- a folder


@pytest.mark.parametrize("checkpoint", ["tiny-grok-1", "tiny-grok-1-12layer"])
def test_a_golden_checkpoint_is_written_byte_for_byte(tmp_path, checkpoint):
    folder = DATA / checkpoint
    release = open_release(folder)
    tensors = (release.tensor(name) for name in reversed(release.layout))
    write_release(
        tmp_path / "copy",
        release.hyperparameters,
        ((t.name, t.array if isinstance(t, Float32Tensor) else (t.codes, t.scales)) for t in tensors),
    )
    written = sorted((tmp_path / "copy" / "ckpt-0").iterdir())
    assert [path.name for path in written] == sorted(path.name for path in (folder / "ckpt-0").iterdir())
    assert all(path.read_bytes() == (folder / "ckpt-0" / path.name).read_bytes() for path in written)
    assert open_release(tmp_path / "copy").hyperparameters == release.hyperparameters
    assert list(tmp_path.iterdir()) == [tmp_path / "copy"]


def test_tensors_may_come_in_pieces_and_in_any_memory_layout(tmp_path):
    def cut(value):
        if isinstance(value, tuple):
            codes, scales = value
            return (row for row in codes.reshape(-1, codes.shape[-1])), np.asfortranarray(scales)
        return np.asfortranarray(value)

    write_release(tmp_path / "whole", TINY, some_tensors())
    write_release(tmp_path / "cut", TINY, ((name, cut(value)) for name, value in some_tensors()))
    for path in (tmp_path / "whole").rglob("*_000"):
        assert path.read_bytes() == (tmp_path / "cut" / "ckpt-0" / path.name).read_bytes()


def test_an_empty_folder_is_taken_and_others_are_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    write_release(tmp_path / "empty", TINY, some_tensors())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "empty").rglob("*")}
    (tmp_path / "file").touch()
    for taken in ("empty", "file"):
        with pytest.raises(
            ModelFileError, match=f"{taken} exists and is not empty; remove it or choose another folder"
        ):
            write_release(tmp_path / taken, TINY, some_tensors())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "empty").rglob("*")} == before


def changed(name, change):
    return ((n, change(value) if n.endswith(name) else value) for n, value in some_tensors())


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (lambda: list(some_tensors())[:-1], "1 tensors are missing, first 'transformer/decoder_layer_1/router/w'"),
        (lambda: [*some_tensors(), ("extra", np.zeros(1, np.float32))], "'extra' is no tensor of this model"),
        (lambda: [next(some_tensors())] * 2, "or it came before"),
        (lambda: changed("router/w", lambda v: v.T), r"an array is of shape \(3, 6\); expected \(6, 3\)"),
        (lambda: changed("router/w", lambda v: v.astype("f8")), "an array is float64; expected float32"),
        (lambda: changed("router/w", lambda v: [v, v]), r"router/w' has 144 bytes; expected 72"),
        (lambda: changed("router/w", lambda v: (v, v)), r"is float32; expected scales with int8, and only with int8"),
        (lambda: changed("key/w", lambda v: v[0]), r"is int8; expected scales with int8"),
        (lambda: changed("key/w", lambda v: (v[0].view("u1"), v[1])), "an array is uint8; expected int8"),
        (lambda: changed("key/w", lambda v: (v[0], v[1].view("i2"))), "an array is int16; expected uint16"),
        (lambda: changed("key/w", lambda v: (v[0], v[1][0])), r"has scales of shape \(4,\) for a weight of \(6, 4\)"),
        (lambda: changed("key/w", lambda v: (v[0], v[1][:0])), r"has scales of shape \(0, 4\)"),
        (lambda: changed("key/w", lambda v: (v[0], np.zeros((4, 4), "u2"))), r"has scales of shape \(4, 4\)"),
        (lambda: changed("moe/linear/w", lambda v: (v[0], v[1][:1])), r"has scales of shape \(1, 2, 8\)"),
    ],
)
def test_tensors_that_do_not_belong(tmp_path, tensors, message):
    with pytest.raises(ValueError, match=message):
        write_release(tmp_path / "a", TINY, tensors())
    assert list(tmp_path.iterdir()) == []


def failing(error):
    yield from list(some_tensors())[:5]
    raise error


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), CapacityError, "No space left on device; make room"),
        (OSError(errno.EIO, "Input/output error"), ModelFileError, "cannot be written: Input/output error"),
        (KeyboardInterrupt("Ctrl-C"), KeyboardInterrupt, "Ctrl-C"),
    ],
)
def test_a_failure_leaves_nothing(tmp_path, error, raised, message):
    with pytest.raises(raised, match=message):
        write_release(tmp_path / "a", TINY, failing(error))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_noticed_before(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(CapacityError, match=r"takes 318\.1 GB, but the disk has 1\.0 GB left; make room"):
        write_release(tmp_path / "a", Hyperparameters(), [])
    assert list(tmp_path.iterdir()) == []


def test_hyperparameters_out_of_range(tmp_path):
    with pytest.raises(ModelFileError, match="num_q_heads is 3; expected a multiple of num_kv_heads, 2"):
        write_release(tmp_path / "a", replace(TINY, num_kv_heads=2), some_tensors())
    assert list(tmp_path.iterdir()) == []
