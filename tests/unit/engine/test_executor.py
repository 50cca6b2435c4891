import numpy as np
import pytest

from gadfly.batch import Batch, Span
from gadfly.completion import Sampling
from gadfly.engine import Engine, Executor, Request
from gadfly.ops.reference import Reference
from gadfly.testing import random_weights, tiny_spec

SPEC = tiny_spec(vocab=50)


def executor(pages=16, page_size=8):
    backend = Reference()
    return Executor(SPEC, random_weights(SPEC).map(backend.place), backend, pages, page_size)


def test_a_text_in_pieces_over_scattered_pages_has_the_same_logits():
    tokens = [7, 1, 30, 4, 4, 12, 0, 49, 3, 8]
    whole = executor().step(Batch.of([Span(tokens, 0, [0, 1], range(10))]))
    pieces, machine = [], executor(page_size=4)
    for start, end in ((0, 3), (3, 4), (4, 9), (9, 10)):
        other = Span([5], start, [2, 8, 11], [])  # somebody else in the same step
        spans = [other, Span(tokens[start:end], start, [7, 3, 9], range(end - start))]
        pieces.append(machine.step(Batch.of(spans)))
    assert whole.dtype == np.float32
    assert whole.shape == (10, 50)
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-4, atol=1e-5)


def test_a_step_may_want_no_logits():
    assert executor().step(Batch.of([Span([7, 1], 0, [0], [])])).shape == (0, 50)


@pytest.mark.parametrize("step_tokens", [3, 16, 512])
def test_an_engine_over_a_real_model_continues_as_the_whole_text_does(step_tokens):
    engine = Engine(executor().step, SPEC.vocab, SPEC.context, 16, 8, step_tokens)
    prompts = [(1, 2, 3), (1, 2, 3, 4, 5, 6, 7, 8, 9), (40,) * 20]
    handles = [engine.submit(Request(prompt, 12, Sampling(temperature=0))) for prompt in prompts]
    for prompt, handle in zip(prompts, handles, strict=True):
        text = [*prompt, *handle.wait()]
        logits = executor().step(Batch.of([Span(text, 0, range(16), range(len(text)))]))
        chosen = logits[np.arange(len(prompt) - 1, len(text) - 1), text[len(prompt) :]]
        np.testing.assert_allclose(chosen, logits[len(prompt) - 1 : -1].max(axis=1), atol=1e-4)
    engine.check()
