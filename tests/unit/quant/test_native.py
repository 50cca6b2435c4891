"""Native encoders write what their numpy twins write, on every instruction set, from whatever source."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly._native import ThreadPool, kernel_names
from gadfly._native import encode as encode_rows
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.quant import FORMATS, decode, encode
from gadfly.quant.native import Encoder
from gadfly.quant.search import METHODS, search
from gadfly.weight import Int8, Plain, Quantised

SMALL = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL"]  # blocks of 32
ROUNDED = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]  # unless there is importance
RNG = np.random.default_rng(0)
SHAPE = 12, 512
IMPORTANCE = np.where(RNG.random(512) < 0.1, 0, RNG.gamma(0.3, 1, 512))

KINDS = {
    "normal": RNG.normal(0, 0.02, SHAPE),
    "heavy tails": RNG.standard_t(2, SHAPE),
    "outliers": RNG.normal(0, 0.02, SHAPE) * np.where(RNG.random(SHAPE) < 0.01, 300, 1),
    "constant": np.repeat(RNG.normal(size=(12, 16)), 32, axis=1),
    "zero": np.zeros(SHAPE),
    "mostly zero": np.where(RNG.random(SHAPE) < 0.02, RNG.normal(size=SHAPE), 0),
    "positive": RNG.random(SHAPE) + 1,
    "negative": -RNG.random(SHAPE) - 1,
    "whole": RNG.integers(-3, 4, SHAPE) + 0.0,
    "large": RNG.normal(0, 1e4, SHAPE),
    "small scales": RNG.normal(0, 1e-6, SHAPE),
    "denormal": RNG.normal(0, 1e-40, SHAPE),
    "all sizes": RNG.normal(size=SHAPE) * 10.0 ** RNG.uniform(-9, 3, SHAPE),
}


def twin(name, x, importance=None):
    if name not in METHODS or (name in ROUNDED and importance is None):
        return encode(name, x)
    return search(name, x, importance)


def floats(kind):
    return KINDS[kind].astype(np.float32)


@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize("kind", KINDS)
def test_kernels_write_what_their_twins_write(kernels, kind):
    encoder, x = Encoder(1, kernels), floats(kind)
    for name in FORMATS:
        for importance in (None, IMPORTANCE):
            found = encoder.encode(name, Plain(x), importance)
            assert (found == twin(name, x, importance)).all(), (name, importance is not None)


@given(
    name=st.sampled_from(sorted(FORMATS)),
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 4),
    blocks=st.integers(1, 9),
    spread=st.floats(-12, 2),
    weighted=st.booleans(),
)
def test_any_weights_on_any_kernels(name, seed, rows, blocks, spread, weighted):
    rng = np.random.default_rng(seed)
    columns = blocks * FORMATS[name].block_size
    x = (10**spread * rng.standard_t(3, (rows, columns))).astype(np.float32)
    importance = rng.gamma(0.5, 1, columns) if weighted else None
    expected = twin(name, x, importance)
    for kernels in kernel_names():
        assert (Encoder(1, kernels).encode(name, Plain(x), importance) == expected).all()


@pytest.mark.parametrize("name", FORMATS)
def test_threads_and_ranges_of_rows_do_not_show(name):
    x = RNG.normal(size=(300, 512)).astype(np.float32)
    whole = Encoder(1).encode(name, Plain(x), IMPORTANCE)
    several = Encoder(3)
    assert (several.encode(name, Plain(x), IMPORTANCE) == whole).all()
    assert (several.encode(name, Plain(x), IMPORTANCE, range(37, 231)) == whole[37:231]).all()
    assert several.encode(name, Plain(x), rows=range(300, 300)).shape == (0, whole.shape[1])
    assert (several.encode(name, Plain(x[::3]), IMPORTANCE) == whole[::3]).all()


@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize("source", FORMATS)
def test_every_format_is_a_source(kernels, source):
    encoder = Encoder(2, kernels)
    stored = Encoder(1).encode(source, Plain(RNG.normal(size=(300, 512)).astype(np.float32)))
    weight = Quantised(source, (300, 512), stored)
    x = decode(source, stored)
    for name in ("F32", "BF16", "Q8_0", "Q4_K", "Q6_K"):
        expected = stored if name == source else encoder.encode(name, Plain(x))
        assert (encoder.encode(name, weight) == expected).all()
        assert (encoder.encode(name, weight, rows=range(7, 290)) == expected[7:290]).all()


def int8(rows, columns, groups):
    codes = RNG.integers(-128, 128, (columns, rows), np.int8)
    scales = RNG.uniform(0.001, 0.02, (groups, rows)).astype(np.float32).view(np.uint32) >> 16
    return Int8(codes, scales.astype(np.uint16))


# Rows and columns that leave rests behind tiles; groups of whole tiles, of parts of one, of fewer than eight columns.
@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize(
    ("rows", "columns", "groups"), [(64, 512, 1), (70, 1024, 2), (131, 96, 3), (9, 544, 17), (3, 32, 4), (24, 96, 24)]
)
def test_codes_of_grok_are_requantised(kernels, rows, columns, groups):
    weight, encoder = int8(rows, columns, groups), Encoder(2, kernels)
    importance = RNG.gamma(0.5, 1, columns)
    for name in [*SMALL, "F32", "F16", "BF16", *(["Q4_K", "Q3_K"] if columns % 256 == 0 else [])]:
        expected = encoder.encode(name, Plain(weight.decode()), importance)
        assert (encoder.encode(name, weight, importance) == expected).all()
        assert (encoder.encode(name, weight, importance, range(1, rows)) == expected[1:]).all()
    cut = Int8(weight.codes[:, 1:], weight.scales[:, 1:])  # a view whose rows do not lie end to end
    assert (encoder.encode("F32", cut) == encoder.encode("F32", weight)[1:]).all()


@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize("columns", [1, 7, 9, 255, 257, 523])
def test_floats_come_in_any_number(kernels, columns):
    x = RNG.normal(size=(5, columns)).astype(np.float32)
    for source in ("F32", "F16", "BF16"):
        stored = encode(source, x)
        for name in ("F32", "F16", "BF16"):
            found = Encoder(1, kernels).encode(name, Quantised(source, x.shape, stored))
            assert (found == encode(name, decode(source, stored))).all()


@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e9, 3e38])
def test_block_formats_refuse_what_scales_cannot_hold(kernels, name, value):
    for place in (0, 40, 511):
        x = np.zeros((200, 512), np.float32)
        x[130, place] = value
        for importance in (None, IMPORTANCE):
            with pytest.raises(ModelFileError, match=f"cannot be {name}; store them as F32 or BF16"):
                Encoder(2, kernels).encode(name, Plain(x), importance)


def test_scales_that_are_no_numbers_are_refused():
    weight = int8(16, 256, 2)
    weight.scales[1, 3] = 0x7FC0
    with pytest.raises(ModelFileError, match="cannot be Q4_K"):
        Encoder(1).encode("Q4_K", weight)
    blocks = np.full((4, 144), 0xFF, np.uint8)  # d is NaN
    with pytest.raises(ModelFileError, match="cannot be Q6_K"):
        Encoder(1).encode("Q6_K", Quantised("Q4_K", (4, 256), blocks))


def test_float_formats_keep_what_is_not_finite_but_make_nothing_infinite():
    odd = np.array([[np.inf, -np.inf, np.nan, -0.0]], np.float32)
    for name in ("F32", "F16", "BF16"):
        back = decode(name, Encoder(1).encode(name, Plain(odd)))
        assert (back.view(np.uint32) == odd.view(np.uint32)).all()
    with pytest.raises(ModelFileError, match="cannot be F16; store them as F32 or BF16"):
        Encoder(1).encode("F16", Plain(np.full((1, 3), 65520, np.float32)))
    with pytest.raises(ModelFileError, match=r"cannot be BF16; store them as F32$"):
        Encoder(1).encode("BF16", Plain(np.full((1, 3), 3.4e38, np.float32)))


def test_wrong_arguments():
    encoder, x = Encoder(1), Plain(np.zeros((4, 288), np.float32))
    with pytest.raises(UnsupportedError, match="'Q9_9' cannot be written; take one of F32, F16"):
        encoder.encode("Q9_9", x)
    with pytest.raises(UnsupportedError, match="a row of 288 elements cannot be Q4_K"):
        encoder.encode("Q4_K", x)
    with pytest.raises(ModelFileError, match="not one number for each of 288 columns"):
        encoder.encode("Q8_0", x, np.ones(4))
    for rows in (range(5), range(-1, 2), range(0, 4, 2), range(3, 2)):
        with pytest.raises(ValueError, match="are not rows of a matrix of 4"):
            encoder.encode("Q8_0", x, rows=rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernels": "abacus"}, "no kernels named abacus"),
        ({"source": "F64"}, "weights are F32, F16, BF16 or I8"),
        ({"source": "I8"}, "I8 weights have scales"),
        ({"scales": np.ones((1, 4), np.uint16)}, "I8 weights have scales"),
        ({"source": "I8", "scales": np.ones((1, 4), np.uint16)}, "scales are \\(groups, rows\\)"),
        ({"weights": np.zeros((4, 127), np.uint8)}, "no whole floats"),
        ({"weights": np.zeros(4 * 128 + 1, np.uint8)[1:].reshape(4, 128)}, "no whole floats"),
        ({"first": 1}, "more rows than the matrix has"),
        ({"first": 2**63}, "more rows than the matrix has"),
        ({"format": "Q4_K"}, "not whole blocks"),
        ({"format": "Q9_9"}, "no native encoder"),
        ({"importance": np.ones(31, np.float32)}, "one number per column"),
        ({"blocks": np.zeros((4, 33), np.uint8)}, "blocks are"),
        ({"blocks": np.zeros((5, 34), np.uint8)}, "more rows than the matrix has"),
    ],
)
def test_the_extension_checks_what_it_is_given(change, message):
    right = {
        "kernels": "portable",
        "pool": ThreadPool(1),
        "source": "F32",
        "weights": np.zeros((4, 128), np.uint8),
        "scales": None,
        "first": 0,
        "format": "Q8_0",
        "importance": None,
        "blocks": np.zeros((4, 34), np.uint8),
    }
    assert encode_rows(**right)
    with pytest.raises(ValueError, match=message):
        encode_rows(**{**right, **change})
