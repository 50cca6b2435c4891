"""Whatever is done to the bytes: only one-line GadflyErrors come out, and what is accepted is what CPython reads."""

import json
import pickletools
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.arch.grok1_release import Hyperparameters, config_json, read_hyperparameters, release_layout
from gadfly.errors import GadflyError
from gadfly.weights.grok_release import Float32Tensor, open_release
from gadfly.weights.release_opcodes import Op
from gadfly.weights.release_pickle import StoredArray, walk
from gadfly.weights.release_writer import write_release
from release_pickles import BFLOAT16, FLOAT32, INT8, Array, dumps, unpickle, weight

PATH = Path("tensor00000_000")
FILES = [
    dumps(Array(FLOAT32, (2, 3), bytes(range(24)))),
    dumps(weight(Array(INT8, (4, 3), bytes(range(12))), Array(BFLOAT16, (2, 3), bytes(range(12, 24))))),
    dumps(weight(Array(INT8, (4, 1), bytes(range(4))), Array(BFLOAT16, (2, 1), b"bbbb"))),
]
PLACES = [[place for _, _, place in pickletools.genops(data)] + [len(data)] for data in FILES]
PIECES = [data[start:end] for data, places in zip(FILES, PLACES, strict=True) for start, end in pairwise(places)]


def assert_readable(error):
    assert "\n" not in str(error)
    assert len(str(error)) < 1000


def check(data):
    tracemalloc.start()
    try:
        stored = walk(PATH, memoryview(data))
    except GadflyError as error:
        assert_readable(error)
        return False
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**17
    agrees_with_python(stored, data)
    return True


def agrees_with_python(stored, data):
    """Only for what `walk` has accepted, and what therefore names nothing dangerous."""
    unpickled = unpickle(bytes(data))
    if isinstance(stored, StoredArray):
        pairs = [(stored, unpickled)]
    else:
        pairs = [(stored.weight, unpickled[0]), (stored.scales, unpickled[1])]
    for found, array in pairs:
        assert found.shape == array.shape
        assert found.dtype == {"f": "float32", "i": "int8", "u": "bfloat16"}[array.dtype.kind]
        assert bytes(data[found.offset : found.offset + found.size]) == array.tobytes()


def test_the_files_are_sound():
    assert all(check(data) for data in FILES)


files = st.sampled_from(range(len(FILES)))
places = st.floats(0, 1, exclude_max=True)


@given(files, st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes(which, changes):
    data = bytearray(FILES[which])
    for place, value in changes:
        data[int(place * len(data))] = value
    check(data)


@settings(max_examples=300)
@given(files, st.integers(0, 12), places, places, st.lists(st.sampled_from(PIECES), max_size=4), st.booleans())
def test_moved_and_foreign_opcodes(which, cut, place, to, foreign, framed):
    """Opcodes of a file are taken out, put elsewhere and joined by those of others."""
    bounds = PLACES[which]
    pieces = [FILES[which][start:end] for start, end in pairwise(bounds)]
    if not framed:  # so that lengths of frames do not give it away at once
        pieces = [piece for piece in pieces if piece[0] != Op.FRAME]
    start = int(place * len(pieces))
    taken, rest = pieces[start : start + cut], pieces[:start] + pieces[start + cut :]
    at = int(to * (len(rest) + 1))
    check(b"".join(rest[:at] + taken + foreign + rest[at:]))


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from([bytes([op]) for op in Op])), max_size=60))
def test_opcodes_at_random(pieces):
    check(b"\x80\x04" + b"".join(pieces))


@given(st.binary(max_size=200))
def test_bytes_at_random(data):
    check(b"\x80\x04" + data)
    check(data)


@given(files, st.integers(0, 6), st.integers(0, 2**64 - 1))
def test_lying_lengths(which, position, lie):
    """Every length and number of a file in turn says something else."""
    bounds = [(place, end) for place, end in pairwise(PLACES[which]) if FILES[which][place] in LENGTHS]
    place, _ = bounds[position % len(bounds)]
    data = bytearray(FILES[which])
    width = LENGTHS[data[place]]
    data[place + 1 : place + 1 + width] = (lie % 256**width).to_bytes(width, "little")
    check(data)


LENGTHS = {
    Op.FRAME: 8,
    Op.BININT1: 1,
    Op.BININT2: 2,
    Op.BININT: 4,
    Op.SHORT_BINUNICODE: 1,
    Op.SHORT_BINBYTES: 1,
    Op.BINGET: 1,
}


# --- whole folders


TINY = Hyperparameters(
    vocab_size=10, emb_size=6, key_size=4, num_q_heads=3, num_kv_heads=1, num_layers=1, num_experts=3, widening_factor=2
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "model"
    tensors = []
    for tensor in release_layout(TINY):
        scales = np.zeros((*tensor.shape[:-2], 1, tensor.shape[-1]), np.uint16)
        array = np.zeros(tensor.shape, tensor.kind)
        tensors.append((tensor.name, array if tensor.kind == "float32" else (array, scales)))
    write_release(path, TINY, tensors)
    return path


@settings(max_examples=50)
@given(data=st.data())
def test_a_folder_with_one_bad_file(folder, data):
    path = data.draw(st.sampled_from(sorted((folder / "ckpt-0").iterdir())))
    sound = path.read_bytes()
    spoilt = bytearray(sound)
    for _ in range(data.draw(st.integers(0, 3))):
        spoilt[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(spoilt[: data.draw(st.one_of(st.just(len(sound)), st.integers(0, len(sound))))])
    try:
        release = open_release(folder)
        for name, expected in release.layout.items():
            tensor = release.tensor(name)
            array = tensor.array if isinstance(tensor, Float32Tensor) else tensor.codes
            assert array.shape == expected.shape
            array.view(np.uint8).max()
    except GadflyError as error:
        assert_readable(error)
    finally:
        path.write_bytes(sound)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from([*Hyperparameters.__dataclass_fields__, "ffn_size", "tied_embeddings"]), json_values
    )
)
def test_any_config(tmp_path_factory, changes):
    path = tmp_path_factory.getbasetemp() / "config.json"
    path.write_text(json.dumps(json.loads(config_json(TINY)) | changes))
    try:
        assert len(release_layout(read_hyperparameters(path))) % 12 == 2
    except GadflyError as error:
        assert_readable(error)
