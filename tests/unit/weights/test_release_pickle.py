"""What the release holds is found where it lies; whatever else a pickle can say is refused and never executed."""

import os
import pickle
import pickletools
import tracemalloc
from itertools import pairwise
from pathlib import Path
from struct import pack

import numpy as np
import pytest

from gadfly.errors import ModelFileError
from gadfly.weights.release_opcodes import NAMES, Op
from gadfly.weights.release_pickle import MOST_OPCODES, StoredArray, StoredWeight, walk
from release_pickles import BFLOAT16, FLOAT32, INT8, Array, dumps, unpickle, weight

PATH = Path("tensor00003_000")


def read(data):
    return walk(PATH, memoryview(data))


def refuses(data, message):
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=message) as caught:
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith("tensor00003_000: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def say(*words, proto=b"\x80\x04"):
    """A pickle out of opcodes and their arguments."""
    return proto + b"".join(word if isinstance(word, bytes) else bytes([word]) for word in words)


def text(value):
    return bytes([Op.SHORT_BINUNICODE, len(value)]) + value.encode()


def named(module, name):
    return text(module) + text(name) + bytes([Op.STACK_GLOBAL])


NDARRAY, DTYPE = named("numpy", "ndarray"), named("numpy", "dtype")
WEIGHT = named("__main__", "QuantizedWeight8bit")
NUMBERS = bytes([Op.BININT1, 0, Op.TUPLE1])
ARRAY = dumps(Array(FLOAT32, (2,)))
EMPTY_ARRAY = say(named("numpy.core.multiarray", "_reconstruct"), NDARRAY, NUMBERS, b"C\x01b", Op.TUPLE3, Op.REDUCE)


# --- what the release holds


@pytest.mark.parametrize("numpy_core", ["numpy.core.multiarray", "numpy._core.multiarray"])
@pytest.mark.parametrize("shape", [(1,), (6144,), (300, 70_000), (2**14 + 1,)])
def test_an_array(shape, numpy_core):
    payload = os.urandom(4 * shape[0] * (shape[1] if shape[1:] else 1)) if shape != (300, 70_000) else None
    data = dumps(Array(FLOAT32, shape, payload), numpy_core=numpy_core)
    stored = read(data)
    assert isinstance(stored, StoredArray)
    assert (stored.dtype, stored.shape) == ("float32", shape)
    assert payload is None or data[stored.offset : stored.offset + stored.size] == payload


@pytest.mark.parametrize(
    ("shape", "scales"), [((4, 6), (2, 6)), ((2, 300, 200), (2, 1, 200)), ((65530, 1), (65530, 1))]
)
def test_a_quantised_weight(shape, scales):
    codes = Array(INT8, shape, b"\x01" * (Array(INT8, shape).size))
    data = dumps(weight(codes, Array(BFLOAT16, scales, b"\x02" * Array(BFLOAT16, scales).size)))
    stored = read(data)
    assert isinstance(stored, StoredWeight)
    assert (stored.weight.dtype, stored.weight.shape) == ("int8", shape)
    assert (stored.scales.dtype, stored.scales.shape) == ("bfloat16", scales)
    for part, byte in ((stored.weight, 1), (stored.scales, 2)):
        assert set(data[part.offset : part.offset + part.size]) == {byte}
        assert data[part.offset - 1] != byte


def test_the_names_of_opcodes_are_those_of_python():
    assert {ord(op.code): op.name for op in pickletools.opcodes} == NAMES
    assert all(pickletools.code2op[chr(op)].name == op.name for op in Op)


# --- what pickles are feared for


class Attack:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "wrap", [lambda value: value, lambda value: weight(value, value), lambda value: {"weight": value}]
)
def test_nothing_is_executed(tmp_path, protocol, wrap):
    canary = tmp_path / "canary"
    data = dumps(wrap(Attack(os.mkdir, str(canary))), protocol)
    refuses(data, "opcode [A-Z0-9_]+ .0x[0-9a-f]{2}. at byte [0-9]+: ")
    assert not canary.exists()
    if wrap(1) == 1:
        pickle.loads(data)
        assert canary.exists()  # it would have been


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("numpy", "load"),
        ("numpy", "dtype.type"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core.multiarray", ""),
        ("__main__", "quantizedweight8bit"),
        ("ml_dtypes", "float8_e5m2"),
        ("a\nb", "c" * 255),
    ],
)
def test_other_names_are_refused(module, name):
    refuses(
        say(named(module, name)), r"opcode STACK_GLOBAL \(0x93\) at byte \d+: the file names '.*; expected one of numpy"
    )


@pytest.mark.parametrize("code", sorted(set(range(256)) - set(Op)))
def test_other_opcodes_are_refused(code):
    name = NAMES.get(code, "of no name")
    refuses(
        say(Op.NONE, code), rf"opcode {name} \(0x{code:02x}\) at byte 3: the release does not use it; it is not exec"
    )
    refuses(bytes([code]), "at byte 0: the release does not use it")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file ends at byte 0: expected STOP"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"opcode of no name \(0x76\) at byte 0"),
        (b"<!DOCTYPE html>", "at byte 0"),
        (say(Op.NONE, proto=b""), "opcode NONE .* at byte 0: expected PROTO"),
        (say(Op.PROTO, 4), "opcode PROTO .* at byte 2: expected PROTO, and only as the first byte"),
        (b"\x80", "it takes 1 bytes at byte 1, but the file ends at byte 1"),
        (b"\x80\x05", "the protocol is 5; expected 4"),
        (b"\x80\x03" + ARRAY[2:], "the protocol is 3; expected 4"),
        (b"\x80\x04(" + ARRAY[2:], "opcode STOP .* expected one float32 array"),
        (b"\x80\x04)" + ARRAY[2:], "opcode STOP .* expected one float32 array"),
        (
            say(Op.FRAME, pack("<Q", 2**64 - 1)),
            "the frame has 18446744073709551615 bytes, but the file ends at byte 11",
        ),
        (say(Op.FRAME, pack("<Q", 9), Op.FRAME, pack("<Q", 0)), "no frame inside the frame that ends at byte 20"),
        (say(Op.FRAME, pack("<Q", 1), Op.BININT1, 0), "it takes 1 bytes at byte 12, but its frame ends at byte 12"),
        (say(Op.FRAME, b"\0"), "it takes 8 bytes at byte 3, but the file ends at byte 4"),
        (say(Op.BINBYTES, b"\xff" * 4), "it takes 4294967295 bytes at byte 7, but the file ends"),
        (say(Op.BINBYTES8, b"\xff" * 8), "it takes 18446744073709551615 bytes"),
        (say(Op.SHORT_BINBYTES, 255), "it takes 255 bytes"),
        (say(Op.SHORT_BINUNICODE, 200, b"x"), "it takes 200 bytes"),
        (say(Op.SHORT_BINUNICODE, 2, b"\xc3\xbc"), "expected text in ASCII"),
        (say(Op.TUPLE1), "opcode TUPLE1 .* at byte 2: it takes 1 values from the stack"),
        (say(Op.MARK, Op.MEMOIZE), "MEMOIZE .* it takes 1 values"),
        (say(Op.NONE, Op.MARK, Op.BUILD), "BUILD .* it takes 1 values"),
        (say(Op.NONE, Op.MARK, Op.NONE, Op.TUPLE2), "TUPLE2 .* it takes 2 values"),
        (say(Op.TUPLE), "expected a MARK before it"),
        (say(Op.EMPTY_DICT, Op.SETITEMS), "expected a MARK before it"),
        (say(Op.MARK, Op.SETITEMS), "it takes 1 values"),
        (say(Op.BINGET, 0), "it asks for memo 0, but there are 0"),
        (say(Op.NONE, Op.MEMOIZE, Op.BINGET, 1), "it asks for memo 1, but there are 1"),
        (say(Op.NONE, Op.NONE, Op.STACK_GLOBAL), "expected the names of a module"),
        (say(NDARRAY, text("os"), Op.STACK_GLOBAL), "expected the names of a module"),
        (say(Op.NONE, Op.STOP), "opcode STOP .* expected one float32 array or one QuantizedWeight8bit"),
        (say(Op.STOP), "expected one float32 array"),
        (EMPTY_ARRAY + b".", "expected one float32 array"),
        (say(WEIGHT, Op.STOP), "expected one float32 array"),
        (say(WEIGHT, Op.EMPTY_TUPLE, Op.NEWOBJ, Op.STOP), "expected one float32 array"),
        (say(NDARRAY, Op.EMPTY_TUPLE, Op.NEWOBJ), "expected QuantizedWeight8bit without arguments"),
        (say(WEIGHT, NUMBERS, Op.NEWOBJ), "expected QuantizedWeight8bit without arguments"),
        (say(WEIGHT, Op.EMPTY_TUPLE, Op.REDUCE), "expected a call that makes an empty ndarray"),
        (say(NDARRAY, NUMBERS, Op.REDUCE), "expected a call"),
        (EMPTY_ARRAY.replace(b"C\x01b", b"C\x01c"), "expected a call"),
        (EMPTY_ARRAY.replace(b"C\x01b", b"C\x02bb"), "expected a call"),
        (say(DTYPE, text("O8"), Op.NEWFALSE, Op.NEWTRUE, Op.TUPLE3, Op.REDUCE), "or a dtype f4, i1 or bfloat16"),
        (say(DTYPE, DTYPE, Op.NEWFALSE, Op.NEWTRUE, Op.TUPLE3, Op.REDUCE), "or a dtype f4"),
        (say(DTYPE, Op.EMPTY_DICT, Op.NEWFALSE, Op.NEWTRUE, Op.TUPLE3, Op.REDUCE), "or a dtype f4"),
        (say(DTYPE, text("f4"), Op.NEWTRUE, Op.NEWTRUE, Op.TUPLE3, Op.REDUCE), "or a dtype f4"),
        (EMPTY_ARRAY + say(Op.NONE, Op.BUILD, proto=b""), "opcode BUILD .* expected the state of a new"),
        (EMPTY_ARRAY + say(Op.EMPTY_DICT, Op.BUILD, proto=b""), "expected the state of a new"),
        (
            EMPTY_ARRAY + say(Op.EMPTY_DICT, Op.EMPTY_DICT, Op.TUPLE2, Op.BUILD, proto=b""),
            "expected the state of a new",
        ),
        (say(NUMBERS, Op.EMPTY_DICT, Op.BUILD), "expected the state of a new"),
        (say(NDARRAY, Op.EMPTY_DICT, Op.BUILD), "expected the state of a new"),
        (say(WEIGHT, Op.EMPTY_TUPLE, Op.NEWOBJ, Op.EMPTY_DICT, Op.BUILD), "expected the state of a new"),
        (say(Op.EMPTY_DICT, Op.MARK, text("weight"), Op.NONE, Op.SETITEMS), "expected a dictionary of weight"),
        (say(NUMBERS, Op.MARK, Op.SETITEMS), "expected a dictionary of weight"),
    ],
)
def test_opcodes_that_make_no_sense(data, message):
    refuses(data, message)


# A pair of twice the pair before, 35 times: 2^35 leaves for whoever walks it.
DOUBLING = b")" + b"".join(bytes([Op.MEMOIZE, Op.BINGET, i, Op.TUPLE2]) for i in range(35))


@pytest.mark.parametrize(
    "data",
    [
        say(Op.EMPTY_TUPLE, bytes([Op.TUPLE1]) * 100_000, Op.STOP),  # nested deeper than recursion goes
        say(DOUBLING, bytes([Op.EMPTY_TUPLE]) * 100),
        say(bytes([Op.MARK]) * 10**6),
        say(bytes([Op.NONE]) * 10**6),
        say((bytes([Op.FRAME]) + bytes(8)) * 10**5),
    ],
)
def test_bombs_go_out_after_a_few_opcodes(data):
    refuses(data, f"expected STOP among the first {MOST_OPCODES} opcodes")


def test_a_bomb_in_a_place_that_is_compared():
    refuses(say(WEIGHT, DOUBLING, Op.NEWOBJ), "without arguments")
    refuses(say(DTYPE, DOUBLING, Op.REDUCE), "expected a call")
    refuses(say(text("os"), DOUBLING, Op.STACK_GLOBAL), "names of a module")
    dtype = say(DTYPE, text("f4"), Op.NEWFALSE, Op.NEWTRUE, Op.TUPLE3, Op.REDUCE)
    for made in (dtype, say(WEIGHT, Op.EMPTY_TUPLE, Op.NEWOBJ)):
        refuses(made + DOUBLING + bytes([Op.BUILD]), "expected the state")


# --- arrays that are not what they seem


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({0: 2}, "expected the state of a new"),
        ({1: ()}, "expected a shape of 1 to 3 positive dimensions"),
        ({1: (1, 1, 2, 3)}, "expected a shape"),
        ({1: (0, 6)}, "expected a shape"),
        ({1: (-2, -3)}, "expected a shape"),
        ({1: (True, 6)}, "expected a shape"),
        ({1: ((2,), 3)}, "expected a shape"),
        ({1: 6}, "expected the state of a new"),
        ({1: (2, 4)}, r"the array has 24 bytes; expected 32, as float32 of shape \(2, 4\) takes"),
        ({1: (2**31 - 1,) * 3}, "the array has 24 bytes; expected 396140812[0-9]{20}, "),
        ({3: 0}, "expected the state of a new"),
        ({3: None}, "expected the state of a new"),
        ({3: True}, "the array is in Fortran order; expected C order"),
        ({4: b""}, "the array has 0 bytes; expected 24"),
        ({4: "text"}, "expected the state of a new"),
        ({4: None}, "expected the state of a new"),
        ({2: "f4"}, "expected the state of a new"),
        ({2: BFLOAT16}, "the array has 24 bytes; expected 12"),
    ],
)
def test_states_of_arrays(changes, message):
    refuses(dumps(Array(FLOAT32, (2, 3), changes=changes)), f"opcode BUILD .* {message}")


@pytest.mark.parametrize("kind", [">f4", "<f8", "<f2", "i2", "u1", "O", "V4", "S4", [("a", "<f4")], ("<f4", (2,))])
def test_other_dtypes(kind):
    refuses(dumps(Array(np.dtype(kind), (2,), bytes(8))), "opcode (REDUCE|BUILD|EMPTY_DICT|LONG|BINUNI)")


def test_an_array_of_another_dtype_at_the_top():
    refuses(dumps(Array(INT8, (2, 3))), "opcode STOP .* expected one float32 array")
    refuses(dumps(Array(BFLOAT16, (2, 3))), "opcode STOP .* expected one float32 array")


CODES, SCALES = Array(INT8, (4, 3)), Array(BFLOAT16, (2, 3))


@pytest.mark.parametrize(
    "value",
    [
        weight(SCALES, CODES),
        weight(CODES, CODES),
        weight(CODES, Array(FLOAT32, (2, 3))),
        weight(CODES, None),
        weight(CODES, SCALES, bias=CODES),
        weight(weight(CODES, SCALES), SCALES),
        {"weight": CODES, "scales": SCALES},
        (CODES, SCALES),
    ],
)
def test_other_weights(value):
    refuses(dumps(value), "opcode (SETITEMS|STOP|BUILD) ")


def test_weight_and_scales_that_share_their_bytes():
    payload = bytes(12)
    refuses(dumps(weight(Array(INT8, (4, 3), payload), Array(BFLOAT16, (2, 3), payload))), "SETITEMS .* overlap")


def opcodes(value):
    """A sound file, cut into its opcodes, without frames."""
    data = dumps(value)
    places = [place for _, _, place in pickletools.genops(data)] + [len(data)]
    return [data[start:end] for start, end in pairwise(places) if data[start] != Op.FRAME]


def remembered(*indices):
    return b"".join(bytes([Op.BINGET, index]) for index in indices)


# In the memo of a weight: 4 its dictionary, 5 "weight", 15 the codes, 26 "scales", 29 the scales.
@pytest.mark.parametrize(
    ("value", "behind", "again"),
    [
        (Array(FLOAT32, (2,)), b"b", remembered(19) + b"b"),  # the state of the array
        (weight(CODES, SCALES), b"u", b"(" + remembered(5, 15, 26, 29) + b"u"),
        (weight(CODES, SCALES), b"b", remembered(4) + b"b"),
    ],
)
def test_what_is_filled_twice(value, behind, again):
    pieces = opcodes(value)
    place = len(pieces) - pieces[::-1].index(behind)
    read(b"".join(pieces))
    data = b"".join([*pieces[:place], again, *pieces[place:]])
    unpickle(data)  # Python would not mind
    refuses(data, "opcode (BUILD|SETITEMS) .* expected")


def test_a_dtype_that_is_built_twice():
    pieces = opcodes(Array(FLOAT32, (2,)))
    end = pieces.index(b"b") + 1
    start = max(i for i in range(end) if pieces[i] == b"(")
    refuses(b"".join(pieces[:end] + pieces[start:end] + pieces[end:]), "opcode BUILD .* expected the state of a new")


# --- damage


@pytest.mark.parametrize("value", [Array(FLOAT32, (3,)), weight(CODES, SCALES)])
def test_a_file_that_is_cut_anywhere_or_goes_on(value):
    data = dumps(value)
    for length in range(len(data)):
        refuses(data[:length], "at byte")
    refuses(data + b"\0", rf"opcode STOP .* the file goes on to byte {len(data) + 1}; expected its end")
    refuses(data + data, "the file goes on")


def test_the_end_of_a_large_payload_is_missing():
    data = dumps(weight(Array(INT8, (300, 300)), SCALES))
    refuses(data[:80_000], "opcode BINBYTES .* it takes 90000 bytes at byte 199, but the file ends at byte 80000")
