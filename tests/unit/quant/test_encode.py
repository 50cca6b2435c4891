"""Encoders write exactly what the `gguf` package writes, and refuse what they cannot hold."""

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.quant import FORMATS, decode, encode

ENCODED = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
BLOCKS = [name for name in ENCODED if FORMATS[name].block_size > 1]

# Far below 1e-30 a block's scale has no float32 inverse, and what the oracle writes depends on the processor.
weights = st.floats(-1e4, 1e4, width=32).map(lambda x: x if abs(x) > 1e-30 else 0.0)


def expected(name, values):
    with np.errstate(all="ignore"):
        return gguf.quants.quantize(values, gguf.GGMLQuantizationType[name]).view(np.uint8)


@pytest.mark.parametrize("name", ENCODED)
@given(values=arrays(np.float32, st.tuples(st.integers(1, 3), st.sampled_from([32, 64])), elements=weights))
def test_any_values_encode_as_in_gguf(name, values):
    assert (encode(name, values) == expected(name, values)).all()


@pytest.mark.parametrize("name", ENCODED)
def test_many_rows_encode_as_in_gguf(name):
    values = np.random.default_rng(0).normal(0, 0.05, (3000, 64)).astype(np.float32)
    assert (encode(name, values) == expected(name, values)).all()
    assert (encode(name, values[::2]) == expected(name, values[::2].copy())).all()


@pytest.mark.parametrize(
    ("name", "relative"),
    [("F16", 5e-4), ("Q8_0", 0.006), ("Q5_1", 0.05), ("Q5_0", 0.05), ("Q4_1", 0.09), ("Q4_0", 0.1)],
)
def test_decoding_gives_back_what_was_encoded(name, relative):
    values = np.random.default_rng(0).normal(0, 0.05, (10, 256)).astype(np.float32)
    error = decode(name, encode(name, values)) - values
    assert np.sqrt((error**2).mean()) < relative * values.std()


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_float_formats_keep_what_is_not_finite(name):
    values = np.array([[np.inf, -np.inf, np.nan, -0.0]], np.float32)
    back = decode(name, encode(name, values))
    assert (back.view(np.uint32) == values.view(np.uint32)).all()
    # A NaN whose payload lies only in the bits that bfloat16 drops has to stay one.
    assert np.isnan(decode(name, encode(name, np.array([[0x7F800001]], np.uint32).view(np.float32)))).all()


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20])
def test_block_formats_refuse_what_their_scales_cannot_hold(name, value):
    values = np.zeros((2, 64), np.float32)
    values[1, 40] = value
    with pytest.raises(ModelFileError, match=f"cannot be {name}; store them as F32 or BF16"):
        encode(name, values)


@pytest.mark.parametrize("name", BLOCKS)
def test_tiny_values_become_zero(name):
    values = np.full((1, 32), 1e-40, np.float32)
    assert (decode(name, encode(name, values)) == 0).all()


def test_wrong_arguments():
    with pytest.raises(UnsupportedError, match="'Q4_K' cannot be written; take one of F32, F16, BF16, Q4_0"):
        encode("Q4_K", np.zeros((1, 256), np.float32))
    with pytest.raises(UnsupportedError, match="a row of 40 elements cannot be Q8_0, whose blocks hold 32"):
        encode("Q8_0", np.zeros((1, 40), np.float32))
