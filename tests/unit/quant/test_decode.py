"""Every format decodes exactly as the `gguf` package does."""

import tracemalloc

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import UnsupportedError
from gadfly.quant import FORMATS, decode


def expected(name, blocks):
    with np.errstate(all="ignore"):
        return gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name])


def assert_same_bits(actual, expected):
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    same = actual.view(np.uint32) == np.ascontiguousarray(expected).view(np.uint32)
    assert (same | np.isnan(actual) & np.isnan(expected)).all()


@pytest.mark.parametrize("name", FORMATS)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(0, 5), columns=st.integers(1, 3))
def test_random_bytes_decode_as_in_gguf(name, seed, rows, columns):
    # Random bytes hold infinite, NaN and subnormal scales in one block of sixteen.
    shape = rows, columns * FORMATS[name].block_bytes
    blocks = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    oracle = expected(name, blocks) if rows else np.empty((0, columns * FORMATS[name].block_size), np.float32)
    assert_same_bits(decode(name, blocks), oracle)


@pytest.mark.parametrize("name", FORMATS)
def test_every_byte_value_at_every_place(name):
    blocks = np.zeros((256, FORMATS[name].block_bytes), np.uint8)
    for place in range(FORMATS[name].block_bytes):
        blocks[:, place] = np.roll(np.arange(256), 17 * place)
    assert_same_bits(decode(name, blocks), expected(name, blocks))


@pytest.mark.parametrize("name", FORMATS)
def test_chunks_and_strided_rows_do_not_show(name):
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (1200, 4 * FORMATS[name].block_bytes), np.uint8)
    assert_same_bits(decode(name, blocks), expected(name, blocks))
    assert_same_bits(decode(name, blocks[::3]), expected(name, np.ascontiguousarray(blocks[::3])))


@pytest.mark.parametrize("name", FORMATS)
def test_memory_is_bounded(name):
    blocks = np.zeros((2000, 4 * FORMATS[name].block_bytes), np.uint8)
    tracemalloc.start()
    values = decode(name, blocks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < values.nbytes + 4 * 2**20


def test_read_only_blocks_stay_untouched():
    blocks = np.full((1, 20), 7, np.uint8)
    blocks.flags.writeable = False
    decode("Q4_1", blocks)[:] = 1
    assert (blocks == 7).all()


def test_wrong_arguments():
    with pytest.raises(UnsupportedError, match="'Q9_9' cannot be decoded; known are F32, F16"):
        decode("Q9_9", np.zeros((1, 18), np.uint8))
    with pytest.raises(ValueError, match="rows of 19 bytes are not whole Q4_0 blocks of 18"):
        decode("Q4_0", np.zeros((1, 19), np.uint8))
