from math import inf
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.completion import Sampling
from gadfly.engine import Cancellation, Embedder, Engine, Executor, Request, declared_pooling
from gadfly.errors import BusyError, ContextError, RequestError
from gadfly.ops.reference import Reference
from gadfly.testing import ScriptedModel, noise, random_weights, tiny_spec

VOCAB, CONTEXT, PAGE = 10, 60, 4
GREEDY = Sampling(temperature=0)
Ids = st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=CONTEXT)


def make(pages=99, step_tokens=16, **options):
    """An engine, and the batches of which states were asked: a state is of the token and its position."""
    model, batches = ScriptedModel(noise(VOCAB), VOCAB, pages, PAGE), []

    def states(batch):
        model.step(batch)  # which looks at the pages
        batches.append(batch)
        return state(batch.tokens, batch.positions)[batch.rows]

    options = {"prompt_share": inf, "states": states, **options}
    return Engine(model.step, VOCAB, CONTEXT, pages, PAGE, step_tokens, **options), batches


def state(tokens, positions):
    tokens, positions = np.asarray(tokens, np.float32), np.asarray(positions, np.float32)
    return np.stack([tokens + 1, np.sin(positions), np.ones_like(tokens)], axis=-1)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
@given(sequences=st.lists(Ids, min_size=1, max_size=20), spare=st.integers(0, 30), step_tokens=st.integers(1, 70))
def test_vectors_are_what_they_are_alone_and_by_the_book(pooling, sequences, spare, step_tokens):
    """To the bit, whatever the chunks, and whoever writes and is set back meanwhile."""
    engine, _ = make(CONTEXT // PAGE + spare, step_tokens)
    writers = [engine.submit(Request((i, 1), 50, GREEDY, client="other")) for i in range(3)]
    found = Embedder(engine, pooling).embed(sequences)
    for ids, vector in zip(sequences, found, strict=True):
        hidden = state(ids, range(len(ids)))
        expected = {"mean": hidden.mean(0), "first": hidden[0], "last": hidden[-1]}[pooling]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)
        np.testing.assert_array_equal(vector, Embedder(make(step_tokens=99)[0], pooling).embed([ids])[0])
    plain, _ = make()
    for i, writer in enumerate(writers):
        assert writer.wait() == plain.submit(Request((i, 1), 50, GREEDY)).wait()
    engine.check()
    assert engine.counts().pages_held == 0


def test_short_sequences_share_steps():
    engine, batches = make()
    Embedder(engine, "mean").embed([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 3, 5], [2, 4, 6], [3, 5, 7], [4, 6, 8]])
    assert [len(batch.tokens) for batch in batches] == [16, 5]


def test_texts_wait_in_the_queue_and_take_turns_with_answers():
    engine, batches = make(step_tokens=8)
    many = [engine.submit(Request((i,) * 8, pooling="mean", client="many")) for i in range(9)]
    few = engine.submit(Request((9,) * 4, 2, GREEDY, client="few"))
    assert [handle.position for handle in (many[0], many[1], few)] == [1, 3, 2]
    few.wait()
    assert len(batches) <= 3
    many[3].cancel()
    while engine.step():
        engine.check()
    assert [handle.finish_reason for handle in many] == ["stop"] * 3 + ["cancelled"] + ["stop"] * 5
    assert many[0].usage.prompt_tokens == 8
    with pytest.raises(BusyError):
        many[3].vector()


def test_a_long_list_does_not_need_a_long_queue():
    engine, _ = make(step_tokens=4, max_waiting=3)
    assert len(Embedder(engine, "mean").embed([[i % VOCAB] * 5 for i in range(100)])) == 100
    engine.submit(Request((1,), 1)), engine.submit(Request((2,), 1))
    with pytest.raises(BusyError, match="waiting"):
        Embedder(engine, "mean").embed([[1]])


def test_a_thread_that_runs_steps_makes_vectors_too():
    engine, _ = make()
    runner = Thread(target=engine.run)
    runner.start()
    assert len(Embedder(engine, "mean").embed([[1, 2], [3]])) == 2
    engine.drain()
    runner.join(60)
    assert not runner.is_alive()


def test_a_step_that_fails_fails_its_vectors_only():
    def states(_):
        raise OSError("no")

    engine, _ = make(states=states)
    answer = engine.submit(Request((1,), 3, GREEDY))
    with pytest.raises(OSError, match="no"):
        Embedder(engine, "mean").embed([[1, 2]])
    assert len(answer.wait()) == 3
    engine.check()


def test_what_is_given_up_ends_before_the_next_step():
    cancellation, batches = Cancellation(), []

    def states(batch):
        batches.append(batch)
        cancellation.cancel()
        return state(batch.tokens, batch.positions)[batch.rows]

    engine, _ = make(states=states)
    with pytest.raises(BusyError, match="given up"):
        Embedder(engine, "mean").embed([[1] * CONTEXT, [2] * CONTEXT], cancellation)
    assert len(batches) == 1
    with pytest.raises(BusyError, match="given up"):  # before it had begun
        Embedder(engine, "mean").embed([[1]], cancellation)
    assert engine.counts().running == engine.counts().waiting == engine.counts().pages_held == 0
    engine.check()


def test_a_text_may_fill_the_context_and_no_more():
    engine, _ = make()
    assert Embedder(engine, "last").embed([[1] * CONTEXT]).shape == (1, 3)
    with pytest.raises(ContextError):
        Embedder(engine, "last").embed([[1] * (CONTEXT + 1)])
    with pytest.raises(RequestError, match="only answers"):
        Embedder(make(states=None)[0], "mean").embed([[1]])


def test_it_is_what_the_layers_leave_of_a_real_model():
    spec = tiny_spec()
    weights = random_weights(spec).map(Reference().place)
    executor = Executor(spec, weights, Reference(), 32, PAGE)
    engine = Engine(executor.step, spec.vocab, 64, 32, PAGE, states=executor.states)
    ids = list(b"Who asks?")
    (vector,) = Embedder(engine, "last").embed([ids])
    logits = vector @ np.asarray(weights["output"]).T
    handle = engine.submit(Request(tuple(ids), 1, GREEDY, logprobs=20))
    handle.wait()
    best = [token for token, _ in handle.likelihood(0).top]
    assert np.argsort(-logits)[: len(best)].tolist() == best


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
