"""Rows, shapes and stacks of every kind of weight are those of the matrix that it stands for, in numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from gadfly.quant import decode, encode
from gadfly.weight import Deferred, Int8, Joined, Matrix, Plain, Quantised, Reordered, Stack, Weight, Weights, unstack

GENERATOR = np.random.default_rng(7)


def numbers(weight: Weight) -> np.ndarray:
    """What a weight stands for, the slow way."""
    match weight:
        case Plain(array):
            return array
        case Quantised(name, shape, blocks):
            return decode(name, blocks).reshape(shape)
        case Int8(codes, scales):
            inputs, outputs = codes.shape
            rows = [
                [codes[i, o] * bfloat16(scales[i * len(scales) // inputs, o]) for i in range(inputs)]
                for o in range(outputs)
            ]
            return np.array(rows, np.float32).reshape(outputs, inputs)
        case Joined(parts, axis):
            return np.concatenate([numbers(part) for part in parts], axis=axis)
        case Reordered(inner, index):
            return numbers(inner)[index]
        case Deferred():
            return numbers(weight.load())
        case Stack(parts):
            return np.stack([numbers(part) for part in parts])


def bfloat16(bits: np.uint16) -> np.float32:
    return np.array([bits], np.uint32).__lshift__(16).view(np.float32)[0]


def plain(rows: int, columns: int) -> Plain:
    return Plain(GENERATOR.standard_normal((rows, columns), np.float32))


def half(rows: int, columns: int) -> Quantised:
    return Quantised("BF16", (rows, columns), encode("BF16", plain(rows, columns).array))


def blocks(rows: int, columns: int) -> Quantised:
    return Quantised("Q8_0", (rows, 32 * columns), encode("Q8_0", plain(rows, 32 * columns).array))


def int8(rows: int, columns: int) -> Int8:
    codes = GENERATOR.integers(-127, 128, (2 * columns, rows)).astype(np.int8)
    return Int8(codes, GENERATOR.integers(0x3C00, 0x4000, (2, rows)).astype(np.uint16))


kinds = st.sampled_from([plain, half, blocks])
size = st.integers(1, 6)


@st.composite
def joined(draw: st.DrawFn) -> Joined:
    kind, axis, other = draw(kinds), draw(st.sampled_from([0, 1])), draw(size)
    lengths = draw(st.lists(size, min_size=1, max_size=4))
    return Joined(tuple(kind(n, other) if axis == 0 else kind(other, n) for n in lengths), axis)


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Of all kinds, reordered and deferred any number of times."""
    found: Matrix = draw(
        st.one_of(
            joined(), st.builds(lambda kind, r, c: kind(r, c), st.sampled_from([plain, half, blocks, int8]), size, size)
        )
    )
    for wrap in draw(st.lists(st.sampled_from(["deferred", "reordered"]), max_size=3)):
        if wrap == "deferred":
            found = Deferred(found.shape, lambda inner=found: inner)
        elif not isinstance(found, Reordered):
            order = draw(st.lists(st.integers(0, found.shape[0] - 1), min_size=1, max_size=8))
            found = Reordered(found, np.array(order, np.intp))
    return found


def loaded(weight: Matrix) -> Matrix:
    while isinstance(weight, Deferred):
        weight = weight.load()
    return weight


@settings(deadline=None)
@given(matrices(), st.data())
def test_rows_are_those_of_numpy(weight: Matrix, data: st.DataObject) -> None:
    expected, height = numbers(weight), weight.shape[0]
    assert weight.shape == expected.shape
    index = data.draw(
        st.one_of(
            st.slices(height),
            st.lists(st.integers(-height, height - 1), max_size=8).map(lambda rows: np.array(rows, np.intp)),
        )
    )
    some = weight.rows(index)
    assert_array_equal(numbers(some), expected[index])
    assert some.shape == expected[index].shape


@settings(deadline=None)
@given(matrices(), st.integers(1, 3))
def test_a_stack_comes_apart_into_what_it_was_made_of(weight: Matrix, count: int) -> None:
    stack = Stack((weight,) * count)
    assert stack.shape == numbers(stack).shape
    assert stack.size == count * weight.size
    assert unstack(stack) == (weight,) * count
    assert unstack(weight) == (weight,)


def test_tensors_of_three_dimensions_come_apart() -> None:
    array = GENERATOR.standard_normal((3, 4, 32), np.float32)
    encoded = Quantised("Q8_0", array.shape, encode("Q8_0", array.reshape(12, 32)))
    codes = GENERATOR.integers(-127, 128, (3, 32, 4)).astype(np.int8)
    scales = GENERATOR.integers(0x3C00, 0x4000, (3, 2, 4)).astype(np.uint16)
    for whole in (Plain(array), encoded, Int8(codes, scales)):
        for weight in (whole, Deferred(whole.shape, lambda whole=whole: whole)):
            parts = unstack(weight)
            assert [part.shape for part in parts] == [(4, 32)] * 3
            values = np.stack([numbers(part) for part in parts])
            expected = whole.decode() if isinstance(whole, Int8) else numbers(whole)
            assert_array_equal(values, expected)


@given(size, size)
def test_int8_decodes_to_the_products(rows: int, columns: int) -> None:
    weight = int8(rows, columns)
    assert_array_equal(weight.decode(), numbers(weight))
    assert weight.size == 2 * rows * columns + 4 * rows


def test_what_is_shared_is_placed_once_and_stays_shared() -> None:
    shared = plain(2, 2)
    weights = Weights({"a.x": shared, "a.y": plain(2, 2), "b": shared})
    seen = []
    placed = weights.map(lambda weight: seen.append(weight) or object())
    assert len(seen) == 2
    assert placed["a.x"] is placed["b"] is not placed["a.y"]
    assert list(weights.at("a")) == ["x", "y"]
    assert weights.at("a")["x"] is shared
    with pytest.raises(KeyError):
        weights.at("a")["b"]
