"""Files that are prepared for streaming are hostile input like any other: what they say is checked before use."""

import tracemalloc
from pathlib import Path
from struct import pack_into

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.convert.convert import Wanted, convert
from gadfly.errors import GadflyError, ModelFileError, UnsupportedError
from gadfly.hub.progress import Silent
from gadfly.weight import Packed, Plain, unstack
from gadfly.weights import prepared
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_writer import write_gguf
from gadfly.weights.load import open_model

GROK = Path(__file__).parents[2] / "data" / "tiny-grok-1"
LIES = [0, 1, 7, 8, 24, 96, 255, 4096, 2**16, 2**31, 2**32 - 1, 2**40, 2**60, 2**63, 2**64 - 1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "grok.gguf"
    convert(GROK, path, Wanted("q8_0", streaming=True), 1, Silent())
    return path


def test_rows_are_those_of_the_original(whole: Path) -> None:
    model, original = open_model(whole), open_model(GROK)
    for path in model.weights:
        for ours, theirs in zip(unstack(model.weights[path]), unstack(original.weights[path]), strict=True):
            if not isinstance(ours, Packed):
                continue
            exact = theirs.decode() if hasattr(theirs, "decode") else theirs.array
            some = ours.rows(slice(1, 4))
            assert isinstance(some, Plain)
            np.testing.assert_allclose(some.array, exact[1:4], atol=np.abs(exact).max() / 100)
            picked = ours.rows(np.array([3, 0], np.intp))
            np.testing.assert_array_equal(picked.array[0], some.array[2])
            np.testing.assert_array_equal(ours.load().array[1:4], some.array)


def rewritten(whole: Path, path: Path, change) -> Path:
    """The file with other tensors: `change` gets and returns what `write_gguf` takes, by name."""
    with GGUF.open(whole) as file:
        tensors = {name: (info.format, info.shape, file.data(name)) for name, info in file.tensors.items()}
        metadata = {key: file.metadata[key] for key in file.metadata}
    metadata["general.alignment"] = np.uint32(metadata["general.alignment"])
    metadata, tensors = change(metadata, tensors)
    write_gguf(path, metadata, tensors)
    return path


GATE = "blocks.1.ffn.gate.Q8_0"


def renamed(name: str):
    return lambda data, tensors: (data, {name if old == GATE else old: held for old, held in tensors.items()})


def reshaped(shape):
    def change(data, tensors):
        kind, _, held = tensors[GATE]
        return data, {**tensors, GATE: (kind, shape, held[: int(np.prod(shape))])}

    return change


DAMAGE = {
    "gone": (lambda data, t: (data, {name: held for name, held in t.items() if name != GATE}), "is missing"),
    "surplus": (lambda data, t: (data, {**t, "blocks.9.ffn.gate.Q8_0": t[GATE]}), "belongs to no part"),
    "no layout": (renamed("blocks.1.ffn.gate.Q9_9"), "in no layout that there is"),
    "another layout": (renamed("blocks.1.ffn.gate.Q4_0"), "prepared by another version"),
    "small": (reshaped((8, 4096)), r"has shape \(8, 4096\)"),
    "fewer": (reshaped((7, 28672)), r"has shape \(7, 28672\)"),
    "flat": (reshaped((8 * 4096,)), r"has shape \(32768,\)"),
    "no list": (lambda data, t: ({**data, "gadfly.packed": "Q8_0"}, t), "no list of layouts"),
    "no digest": (lambda data, t: ({**data, "gadfly.packed": ["Q8_0"]}, t), "another version of Gadfly"),
    "unaligned": (
        lambda data, t: ({**data, "general.alignment": np.uint32(32)}, {**t, GATE: t[GATE]}),
        "at a multiple of 4096",
    ),
    "a vector of bytes": (
        lambda data, t: (data, {**t, "norm": ("I8", (4096,), np.zeros(4096, np.uint8))}),
        "is missing|cannot be read|expected F32",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_wrong_is_told(whole: Path, tmp_path: Path, name: str) -> None:
    change, message = DAMAGE[name]
    damaged = rewritten(whole, tmp_path / "damaged.gguf", change)
    with pytest.raises((ModelFileError, UnsupportedError), match=message) as told:
        open_model(damaged)
    assert str(damaged) in str(told.value) and "\n" not in str(told.value)


def test_kernels_that_read_otherwise_by_now(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "layout_digest", lambda layout: f"{layout} turned around")
    with pytest.raises(UnsupportedError, match=r"another version of Gadfly, whose kernels read .* prepare it anew"):
        open_model(whole)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True), st.one_of(st.sampled_from(LIES), st.integers(0, 255)), st.booleans()
        ),
        min_size=1,
        max_size=3,
    )
)
def test_lies_in_the_header_end_in_one_line(whole: Path, lies) -> None:
    data = bytearray(whole.read_bytes())
    header = min(info.offset for info in GGUF.open(whole).tensors.values())
    for place, lie, wide in lies:
        at = int(place * (header - 8))
        if wide:
            pack_into("<Q", data, at, lie)
        else:
            data[at] = lie % 256
    path = whole.with_name("lies.gguf")
    path.write_bytes(data)
    tracemalloc.start()
    try:
        model = open_model(path)
        for name in model.weights:
            for part in unstack(model.weights[name]):
                if isinstance(part, Packed):
                    part.rows(slice(0, 1))
    except GadflyError as error:
        assert "\n" not in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20 * len(data) + 10**7
