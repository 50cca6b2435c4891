import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.engine import Embedder, Executor, declared_pooling
from gadfly.ops.reference import Reference
from gadfly.testing import random_weights, tiny_spec

STEP, PAGE, DIM = 16, 4, 3
Ids = st.lists(st.integers(0, 9), min_size=1, max_size=50)


class Tokens:
    """A model whose hidden state is of the token and its position, and which looks at the pages it is given."""

    def __init__(self):
        self.batches = []

    def __call__(self, batch):
        self.batches.append(batch)
        for s, (first, last) in enumerate(zip(batch.starts, batch.starts[1:], strict=False)):
            pages = batch.page_ids[batch.page_starts[s] : batch.page_starts[s + 1]]
            assert len(pages) * PAGE > batch.positions[last - 1] and len(set(pages)) == len(pages)
            assert batch.positions[first] == 0 or len(batch.starts) == 2
        assert len(set(batch.page_ids.tolist())) == len(batch.page_ids) and max(batch.page_ids) < STEP
        assert len(batch.tokens) <= STEP
        return state(batch.tokens, batch.positions)[batch.rows]


def state(tokens, positions):
    tokens, positions = np.asarray(tokens, np.float32), np.asarray(positions, np.float32)
    return np.stack([tokens + 1, np.sin(positions), np.ones_like(tokens)], axis=-1)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
@given(sequences=st.lists(Ids, min_size=1, max_size=12))
def test_vectors_are_what_they_are_alone_and_by_the_book(pooling, sequences):
    embedder = Embedder(Tokens(), STEP, PAGE, STEP, pooling)
    found = embedder.embed(sequences)
    for ids, vector in zip(sequences, found, strict=True):
        hidden = state(ids, range(len(ids)))
        expected = {"mean": hidden.mean(0), "first": hidden[0], "last": hidden[-1]}[pooling]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)
        np.testing.assert_array_equal(vector, embedder.embed([ids])[0])


def test_short_sequences_share_steps():
    model = Tokens()
    Embedder(model, STEP, PAGE, STEP).embed([[1, 2, 3]] * 7)
    assert [len(batch.starts) - 1 for batch in model.batches] == [5, 2]


def test_it_is_what_the_layers_leave_of_a_real_model():
    spec = tiny_spec()
    weights = random_weights(spec).map(Reference().place)
    executor = Executor(spec, weights, Reference(), 32, PAGE, headless=True)
    ids = list(b"Who asks?")
    (vector,) = Embedder(executor.step, 32, PAGE, 32, "last").embed([ids])
    logits = vector @ np.asarray(weights["output"]).T
    plain = Executor(spec, weights, Reference(), 32, PAGE)
    from_head = Embedder(plain.step, 32, PAGE, 32, "last").embed([ids])[0]
    np.testing.assert_allclose(logits / np.linalg.norm(logits), from_head, atol=1e-5)


@pytest.mark.parametrize(
    ("metadata", "pooling"),
    [
        ({}, "mean"),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": 3}, "last"),
        ({"general.architecture": "bert", "bert.pooling_type": 2}, "first"),
        ({"general.architecture": "bert", "bert.pooling_type": 99}, "mean"),
        ({"general.architecture": "bert", "bert.pooling_type": "last"}, "mean"),
    ],
)
def test_a_model_may_declare_how_it_is_pooled(metadata, pooling):
    assert declared_pooling(metadata) == pooling
