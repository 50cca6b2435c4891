from dataclasses import MISSING, fields
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.batch import Batch, Span
from gadfly.completion import Sampling
from gadfly.engine import Request
from gadfly.quant import decode
from gadfly.spec import Activation, Attention, FeedForward, ModelSpec, MoE, Norms, Rope
from gadfly.testing import ByteTokenizer, ScriptedModel, noise, random_weights, scripted_engine, tiny_specs
from gadfly.text import Decoder
from gadfly.weight import Int8, Plain


@given(st.text())
def test_bytes_come_back_as_they_were(text):
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text, bos=True)) == text
    assert all(token < 256 for token in tokenizer.encode(text))


def test_control_tokens_need_to_be_asked_for():
    tokenizer = ByteTokenizer()
    assert tokenizer.encode("a<|im_end|>b", special=True) == [97, 257, 98]
    assert 257 not in tokenizer.encode("a<|im_end|>b")
    assert tokenizer.decode([256, 97, 257]) == "a"
    assert [tokenizer.token_text(token) for token in (97, 256, 257)] == ["a", "<|im_start|>", "<|im_end|>"]


@given(st.binary())
def test_decoding_one_by_one_is_decoding_the_whole(data):
    tokenizer = ByteTokenizer()
    decoder = Decoder(tokenizer)
    assert "".join(map(decoder.push, data)) + decoder.flush() == tokenizer.decode(list(data))


def test_a_scripted_engine_says_its_piece():
    tokenizer, engine = ByteTokenizer(), scripted_engine("Mostly harmless.")
    for prompt in ("What is the Earth?", "And now?" * 40):
        request = Request(
            tuple(tokenizer.encode(prompt)), sampling=Sampling(temperature=0), stop_ids=tokenizer.stop_ids
        )
        handle = engine.submit(request)
        assert tokenizer.decode(handle.wait()) == "Mostly harmless."
        assert handle.finish_reason == "stop"


@pytest.mark.parametrize(
    "span",
    [
        Span([9], 2, [1], [0]),  # another page than the text is in
        Span([9], 1, [0], [0]),  # a position that is taken: what is there belongs to this text, so all is well
        Span([9], 3, [0], [0]),  # a position left out
    ],
)
def test_a_scripted_model_notices_wrong_pages_and_positions(span):
    model = ScriptedModel(noise(10), 10, 4, 4)
    model.step(Batch.of([Span([7, 8], 0, [0], [])]))
    if span.start == 1:
        np.testing.assert_array_equal(model.step(Batch.of([span]))[0], noise(10)([7, 9]))
    else:
        with pytest.raises(AssertionError, match="does not hold position"):
            model.step(Batch.of([span]))


def test_a_scripted_model_notices_a_page_of_another_prefix():
    model = ScriptedModel(noise(10), 10, 4, 2)
    model.step(Batch.of([Span([1, 2, 3, 4], 0, [0, 1], []), Span([5, 6], 0, [2], [])]))
    with pytest.raises(AssertionError, match="slot 0 of page 1"):
        model.step(Batch.of([Span([9], 4, [2, 1, 3], [0])]))


@pytest.mark.parametrize("name", tiny_specs())
@pytest.mark.parametrize("format_", ["F32", "F16", "Q8_0", "Q4_1", "I8"])
def test_random_weights_have_every_shape_and_repeat(format_, name):
    spec = tiny_specs()[name]
    weights, again = random_weights(spec, 3, format_), random_weights(spec, 3, format_)
    assert {path: weights[path].shape for path in weights} == dict(spec.shapes())
    for path in weights:
        values = floats(weights[path], format_)
        np.testing.assert_array_equal(values, floats(again[path], format_))
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        plain = floats(random_weights(spec, 3)[path], "F32")
        assert np.sqrt(np.mean(np.square(values - plain))) < 0.1 * plain.std()


def floats(weight, format_):
    if isinstance(weight, Plain):
        return weight.array
    if isinstance(weight, Int8):
        assert format_ == "I8"
        return weight.decode()
    assert weight.format == format_
    return decode(format_, weight.blocks).reshape(weight.shape)


def test_tiny_specs_use_every_field():
    """Each optional field of a spec is something else than its default in one of them."""
    specs = tiny_specs().values()
    blocks = [block for spec in specs for block in spec.blocks]
    ffns = [part for block in blocks for part in (block.ffn, getattr(block.ffn, "moe", None))]
    values = {
        Attention: [block.mixer for block in blocks],
        Rope: [block.mixer.rope for block in blocks],
        MoE: [ffn for ffn in ffns if isinstance(ffn, MoE)],
        ModelSpec: list(specs),
    }
    for kind, found in values.items():
        for field in fields(kind):
            if field.default is not MISSING:
                assert any(getattr(value, field.name) != field.default for value in found), field.name
    assert {type(block.ffn) for block in blocks} == set(get_args(FeedForward))
    assert {type(block.norms) for block in blocks} == set(get_args(Norms))
    activations = {getattr(ffn, "activation", None) for ffn in ffns} - {None}
    assert activations == set(get_args(Activation))
