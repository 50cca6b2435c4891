import threading
from itertools import islice
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gadfly.completion import Sampling
from gadfly.engine import Engine, Request
from gadfly.engine.sampling import Sampler
from gadfly.errors import ContextError, ModelFileError, RequestError, SettingsError
from gadfly.testing import ScriptedModel, noise

VOCAB, CONTEXT = 5, 24
GREEDY = Sampling(temperature=0)
predict = noise(VOCAB)


def make(pages=24, page_size=4, step_tokens=512, context=CONTEXT, predict=predict, **options):
    model = ScriptedModel(predict, VOCAB, pages, page_size)
    return Engine(model.step, VOCAB, context, pages, page_size, step_tokens, **options), model


def alone(request, context=CONTEXT):
    """The slow obvious twin of the whole engine: one request, no pages, everything computed again for each token."""
    sampler, tokens, prompt_length = Sampler(request.sampling), list(request.prompt), len(request.prompt)
    while True:
        token = sampler.draw(predict(tokens), tokens, prompt_length)
        if token in request.stop_ids and not request.ignore_eos:
            return tokens[prompt_length:], "stop"
        tokens.append(token)
        if len(tokens) - prompt_length == request.max_tokens or len(tokens) == context:
            return tokens[prompt_length:], "length"


def run(engine):
    for _ in range(10_000):
        if not engine.step():
            return
        engine.check()
    raise AssertionError("the engine does not come to an end")


def computed(model):
    return sum(len(batch.tokens) for batch in model.batches)


requests = st.builds(
    Request,
    prompt=st.lists(st.integers(0, 1), min_size=1, max_size=CONTEXT - 1).map(tuple),
    max_tokens=st.none() | st.integers(1, 12),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 1.0]),
        top_k=st.sampled_from([0, 3]),
        top_p=st.sampled_from([0.8, 1.0]),
        repetition_penalty=st.sampled_from([1.0, 1.3]),
        frequency_penalty=st.sampled_from([0.0, 0.5]),
        seed=st.integers(0, 5),
    ),
    stop_ids=st.sampled_from([frozenset(), frozenset({4})]),
    ignore_eos=st.booleans(),
    client=st.sampled_from("ab"),
)


@given(st.lists(requests, min_size=1, max_size=5), st.integers(1, 7), st.integers(0, 12), st.integers(1, 40))
def test_alone_and_in_a_crowd_give_the_same(crowd, page_size, spare, step_tokens):
    """Whatever the pages, their number, the budget and the company: the tokens of the twin."""
    engine, model = make(-(-CONTEXT // page_size) + spare, page_size, step_tokens)
    handles = [engine.submit(request) for request in crowd]
    run(engine)
    for request, handle in zip(crowd, handles, strict=True):
        assert (handle.ids, handle.finish_reason) == alone(request)
        assert handle.usage.prompt_tokens == len(request.prompt)
        assert handle.usage.completion_tokens == len(handle.ids)
    assert max(len(batch.tokens) for batch in model.batches) <= step_tokens


class Interleavings(RuleBasedStateMachine):
    """Submitting, cancelling, stepping, reading and failing in any order."""

    @initialize(
        page_size=st.integers(1, 5), spare=st.integers(0, 6), step_tokens=st.integers(1, 30), context=st.integers(8, 24)
    )
    def start(self, page_size, spare, step_tokens, context):
        pages = -(-context // page_size) + spare
        self.model = ScriptedModel(predict, VOCAB, pages, page_size)
        self.engine = Engine(self.compute, VOCAB, context, pages, page_size, step_tokens)
        self.context = context
        self.failing = False
        self.asked = []

    def compute(self, batch):
        if self.failing:
            raise OSError("the disk is gone")
        return self.model.step(batch)

    @rule(request=requests)
    def submit(self, request):
        if len(request.prompt) < self.context:
            self.asked.append((request, self.engine.submit(request)))
        else:
            with pytest.raises(ContextError):
                self.engine.submit(request)

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 99), more=st.integers(0, 1), length=st.integers(1, 9))
    def continue_a_conversation(self, which, more, length):
        request, handle = self.asked[which % len(self.asked)]
        self.submit(Request((*request.prompt, *handle.ids, *[more] * length), 3, GREEDY))

    @rule(steps=st.integers(1, 6))
    def step(self, steps):
        for _ in range(steps):
            self.engine.step()
            self.engine.check()

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 99))
    def cancel(self, which):
        _, handle = self.asked[which % len(self.asked)]
        before = handle.finish_reason, handle.error
        handle.cancel()
        assert handle.finished
        assert before in [(None, None), (handle.finish_reason, handle.error)]

    @rule()
    def fail(self):
        running = [handle for _, handle in self.asked if not handle.finished]
        self.failing = True
        worked = self.engine.step()
        self.failing = False
        assert worked == bool(running)
        assert any(isinstance(handle.error, OSError) for handle in running) == bool(running)

    @invariant()
    def books_agree(self):
        if hasattr(self, "engine"):
            self.engine.check()

    def teardown(self):
        if not hasattr(self, "engine"):
            return
        run(self.engine)
        for request, handle in self.asked:
            ids, reason = alone(request, self.context)
            assert handle.finished
            if handle.finish_reason == "cancelled" or isinstance(handle.error, OSError):
                assert handle.ids == ids[: len(handle.ids)]
            else:
                assert (handle.ids, handle.finish_reason) == (ids, reason)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=100, stateful_step_count=30)


def test_a_conversation_computes_only_what_is_new():
    engine, model = make(pages=40, page_size=4, context=160, speculate=False, prompt_share=inf)
    prompt = (0, 1, 1, 0, 0)
    for turn in range(10):
        before = computed(model)
        handle = engine.submit(Request(prompt, max_tokens=6, sampling=GREEDY))
        ids = handle.wait()
        assert ids == alone(Request(prompt, max_tokens=6, sampling=GREEDY), 160)[0]
        new = 5 if turn == 0 else 1 + 5  # the last token of an answer has not been computed yet
        # Each token of the answer but the last is computed too, and of the past less than a page.
        assert computed(model) - before < new + 5 + 4
        assert handle.usage.cached_tokens == len(prompt) - (computed(model) - before - 5)
        prompt = (*prompt, *ids, *[turn % 2] * 5)
    engine.check()


def test_a_prefix_is_shared_while_its_first_owner_still_runs():
    engine, _ = make(page_size=4)
    first = engine.submit(Request((0, 1) * 8, sampling=GREEDY))
    engine.step()
    second = engine.submit(Request((0, 1) * 8, sampling=GREEDY))
    engine.step()
    assert second.usage.cached_tokens == 12  # the last page holds the token whose logits are wanted
    assert first.wait() == second.wait()
    engine.check()


def test_a_full_pool_forgets_old_prefixes_and_still_answers():
    engine, _ = make(pages=6, page_size=4)
    for first in range(VOCAB):
        request = Request((first,) * 9, max_tokens=4, sampling=GREEDY)
        assert engine.submit(request).wait() == alone(request)[0]
        engine.check()


def test_pages_bound_the_context():
    engine, _ = make(pages=2, page_size=4, context=1000)
    assert engine.context == 8
    handle = engine.submit(Request((0,), sampling=GREEDY))
    assert len(handle.wait()) == 7
    assert handle.finish_reason == "length"
    with pytest.raises(ContextError):
        engine.submit(Request((0,) * 8))


@pytest.mark.parametrize("name", ["pages", "page_size", "step_tokens"])
def test_an_engine_of_nothing_is_refused(name):
    with pytest.raises(SettingsError, match=name):
        make(**{name: 0})


def test_tokens_come_one_by_one_and_again_from_the_start():
    engine, _ = make()
    handle = engine.submit(Request((0, 1), max_tokens=6, sampling=GREEDY))
    some = list(islice(handle, 2))
    assert len(some) == 2
    assert handle.finish_reason is None
    assert list(handle) == handle.ids == alone(Request((0, 1), max_tokens=6, sampling=GREEDY))[0]
    assert list(islice(handle, 2)) == some
    assert engine.step() is False


def test_the_stop_token_is_not_part_of_the_answer():
    ids, _ = alone(Request((0,), max_tokens=12, sampling=GREEDY))
    stop = ids[-1]
    handle = make()[0].submit(Request((0,), max_tokens=12, sampling=GREEDY, stop_ids=frozenset({stop})))
    assert handle.wait() == ids[: ids.index(stop)]
    assert handle.finish_reason == "stop"
    assert handle.usage.completion_tokens == ids.index(stop)
    ignoring = Request((0,), max_tokens=12, sampling=GREEDY, stop_ids=frozenset({stop}), ignore_eos=True)
    assert make()[0].submit(ignoring).wait() == ids


def test_usage_counts_the_steps_a_request_took_part_in():
    engine, _ = make(step_tokens=4)
    handle = engine.submit(Request((0,) * 10, max_tokens=1))
    assert handle.usage.prefill_seconds == 0
    handle.wait()
    assert handle.usage.prefill_seconds > 0
    assert handle.usage.decode_seconds == 0
    longer = engine.submit(Request((1,) * 10, max_tokens=2))
    longer.wait()
    assert longer.usage.decode_seconds > 0


def test_cancelled_while_it_waits_runs_and_when_it_is_over():
    engine, model = make(step_tokens=1)
    first, second = engine.submit(Request((0,))), engine.submit(Request((1,)))
    engine.step()
    second.cancel()
    assert second.finish_reason == "cancelled"
    assert second.wait() == []
    first.cancel()
    engine.cancel(first)
    assert len(first.wait()) == 1
    assert not engine.step()
    assert len(model.batches) == 1
    done = engine.submit(Request((0,), max_tokens=1))
    done.wait()
    done.cancel()
    assert done.finish_reason == "length"
    engine.check()


def test_a_cancel_during_a_step_takes_effect_after_it():
    model = ScriptedModel(predict, VOCAB, 24, 4)

    def step(batch):
        if len(model.batches) == 2:
            handle.cancel()
        return model.step(batch)

    engine = Engine(step, VOCAB, CONTEXT, 24, 4, speculate=False, prompt_share=inf)
    handle = engine.submit(Request((0,), sampling=GREEDY))
    assert len(handle.wait()) == 3
    assert handle.finish_reason == "cancelled"
    engine.check()


def test_a_failing_step_fails_its_own_requests_only():
    model = ScriptedModel(predict, VOCAB, 24, 4)

    def step(batch):
        if len(model.batches) == 1:
            model.batches.append(batch)
            raise MemoryError("no room for attention scores")
        return model.step(batch)

    engine = Engine(step, VOCAB, CONTEXT, 24, 4, step_tokens=2, speculate=False, prompt_share=inf)
    first, second, later = (engine.submit(Request((i,), max_tokens=4, sampling=GREEDY)) for i in range(3))
    assert later.wait() == alone(Request((2,), max_tokens=4, sampling=GREEDY))[0]
    for handle in first, second:
        with pytest.raises(MemoryError, match="attention scores"):
            handle.wait()
        assert handle.finish_reason is None
        assert len(handle.ids) == 1
    engine.check()


def test_an_interrupted_step_can_be_taken_again():
    model = ScriptedModel(predict, VOCAB, 24, 4)

    def step(batch):
        if len(model.batches) == 1:
            model.batches.append(batch)
            raise KeyboardInterrupt
        return model.step(batch)

    engine = Engine(step, VOCAB, CONTEXT, 24, 4, speculate=False, prompt_share=inf)
    handle = engine.submit(Request((0,), max_tokens=4, sampling=GREEDY))
    with pytest.raises(KeyboardInterrupt):
        handle.wait()
    engine.check()
    assert handle.wait() == alone(Request((0,), max_tokens=4, sampling=GREEDY))[0]


def test_damaged_logits_fail_the_request_they_belong_to():
    def broken(tokens):
        return np.full(VOCAB, np.nan, np.float32) if tokens[0] == 1 else predict(tokens)

    engine, _ = make(predict=broken)
    good, bad = (engine.submit(Request((i,), max_tokens=3, sampling=GREEDY)) for i in (0, 1))
    with pytest.raises(ModelFileError, match="nan"):
        bad.wait()
    assert good.wait() == alone(Request((0,), max_tokens=3, sampling=GREEDY))[0]
    engine.check()


def test_a_step_of_the_wrong_shape_is_an_error():
    engine = Engine(lambda batch: np.zeros((len(batch.rows), VOCAB + 1), np.float32), VOCAB, CONTEXT, 24, 4)
    with pytest.raises(ValueError, match="shape"):
        engine.submit(Request((0,))).wait()


def test_a_bad_request_leaves_no_trace():
    engine, _ = make()
    with pytest.raises(RequestError):
        engine.submit(Request((VOCAB,)))
    assert not engine.step()


def test_threads_share_steps_and_get_their_own_answers():
    """Eight threads, each waiting for its own request; the first step is held until all have asked."""
    model = ScriptedModel(predict, VOCAB, 60, 4)
    asked = threading.Barrier(9)

    def step(batch):
        if not model.batches:
            asked.wait(60)
        return model.step(batch)

    engine = Engine(step, VOCAB, CONTEXT, 60, 4, speculate=False, prompt_share=inf)
    crowd = [Request((0, i % 2, 1, i % 3), max_tokens=8 + i, sampling=Sampling(seed=i)) for i in range(8)]
    answers = [None] * 8

    def ask(i):
        handle = engine.submit(crowd[i])
        if i:
            asked.wait(60)
        answers[i] = list(handle)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    asked.wait(60)
    for thread in threads:
        thread.join(60)
    assert answers == [alone(request)[0] for request in crowd]
    assert max(len(batch.rows) for batch in model.batches) == 8
    assert len(model.batches) <= 16  # as many as the longest answer needs, and the first
    engine.check()


def test_a_thread_gets_its_tokens_while_another_runs_all_steps():
    model = ScriptedModel(predict, VOCAB, 60, 4)
    inside, permits = threading.Event(), threading.Semaphore(0)

    def step(batch):
        inside.set()
        assert permits.acquire(timeout=60)
        return model.step(batch)

    engine = Engine(step, VOCAB, CONTEXT, 60, 4, speculate=False, prompt_share=inf)
    long = engine.submit(Request((0,), sampling=GREEDY))
    runner = threading.Thread(target=long.wait)
    runner.start()
    assert inside.wait(60)  # the runner is in a step and stays there until it gets a permit
    short = engine.submit(Request((1,), sampling=GREEDY))
    read = []
    reader = threading.Thread(target=lambda: read.extend(islice(short, 1)))
    reader.start()
    permits.release(2)  # the step under way, and one with both; the third stays under way
    reader.join(60)
    assert read == alone(Request((1,), sampling=GREEDY))[0][:1]
    assert not long.finished
    permits.release(2 * CONTEXT)
    runner.join(60)
    assert long.finish_reason == "length"
