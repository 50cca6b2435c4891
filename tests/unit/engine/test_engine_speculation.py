"""Guessing changes how many steps an answer takes and nothing else."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.completion import Sampling
from gadfly.engine import Engine, Request
from gadfly.engine.sampling import Sampler
from gadfly.testing import ScriptedModel

VOCAB, CONTEXT = 6, 60
GREEDY = Sampling(temperature=0)


def habits(tokens):
    """Logits that depend on the last two tokens only, so that texts repeat themselves, and at times on nothing else."""
    logits = np.random.default_rng(tokens[-2:]).normal(size=VOCAB).astype(np.float32)
    logits[int(logits.argmax())] += 2 * (len(tokens) % 7 > 0)
    return logits


def make(speculate, pages=60, page_size=4, step_tokens=512, predict=habits, before=id):
    """A step takes a second, as any other, so every guess is worth trying. `before` sees its batch."""
    model, seconds = ScriptedModel(predict, VOCAB, pages, page_size), []

    def step(batch):
        seconds.append(1)
        before(batch)
        return model.step(batch)

    options = {"speculate": speculate, "clock": lambda: float(len(seconds))}
    return Engine(step, VOCAB, CONTEXT, pages, page_size, step_tokens, **options)


def run(engine):
    for _ in range(10_000):
        if not engine.step():
            return
        engine.check()
    raise AssertionError("the engine does not come to an end")


class Rising:
    """Holds an answer to sums that rise: no token twice in a row, and an end when they come to `most`."""

    def __init__(self, most):
        self.most, self.sum, self.last = most, 0, None

    def forbidden(self):
        return np.arange(VOCAB) == (0 if self.last is None else self.last)

    def advance(self, token):
        assert self.sum < self.most and not self.forbidden()[token], "it is told of what nobody drew"
        self.sum, self.last = self.sum + token, token
        return self.sum >= self.most


def alone(request):
    """Token by token, without an engine."""
    sampler = Sampler(request.sampling, request.constraint() if request.constraint else None)
    tokens, prompt_length = list(request.prompt), len(request.prompt)
    while True:
        token = sampler.draw(habits(tokens), tokens, prompt_length)
        if token in request.stop_ids and not request.ignore_eos:
            return tokens[prompt_length:], "stop"
        tokens.append(token)
        if sampler.complete:
            return tokens[prompt_length:], "stop"
        if len(tokens) - prompt_length == request.max_tokens or len(tokens) == CONTEXT:
            return tokens[prompt_length:], "length"


requests = st.builds(
    Request,
    prompt=st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=20).map(tuple),
    max_tokens=st.none() | st.integers(1, 50),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.3, 1.0]),
        top_p=st.sampled_from([0.8, 1.0]),
        repetition_penalty=st.sampled_from([1.0, 1.1]),
        frequency_penalty=st.sampled_from([0.0, 0.1]),
        seed=st.integers(0, 5),
    ),
    stop_ids=st.sampled_from([frozenset(), frozenset({4})]),
    ignore_eos=st.booleans(),
    client=st.sampled_from("ab"),
    constraint=st.none() | st.integers(1, 99).map(lambda most: partial(Rising, most)),
)


@given(st.lists(requests, min_size=1, max_size=4), st.integers(1, 7), st.integers(0, 30), st.integers(1, 60))
def test_answers_are_the_same_to_the_token(crowd, page_size, spare, step_tokens):
    """Whatever the sampling, the pages, their number, the budget and the company; and no page is lost on the way."""
    engine = make(True, -(-CONTEXT // page_size) + spare, page_size, step_tokens)
    handles = [engine.submit(request) for request in crowd]
    run(engine)
    for request, handle in zip(crowd, handles, strict=True):
        assert (handle.ids, handle.finish_reason) == alone(request)
        assert handle.usage.completion_tokens == len(handle.ids)
    counts = engine.counts()
    assert counts.accepted_tokens <= counts.drafted_tokens
    assert counts.generated_tokens == sum(len(handle.ids) for handle in handles)
    assert counts.pages_held == 0


def test_a_text_that_repeats_itself_takes_few_steps():
    request = Request((0, 1, 2), sampling=GREEDY)
    plain, quick = make(False), make(True)
    assert plain.submit(request).wait() == quick.submit(request).wait()
    assert quick.counts().steps < plain.counts().steps / 2
    assert quick.counts().accepted_tokens > 20
    assert plain.counts().drafted_tokens == 0


@pytest.mark.parametrize("tokens", range(1, 40))
def test_an_answer_ends_within_a_draft_as_it_would_have_without(tokens):
    by_length = Request((0, 1, 2), max_tokens=tokens, sampling=GREEDY)
    engine = make(True)
    handle = engine.submit(by_length)
    assert (handle.wait(), handle.finish_reason) == alone(by_length)
    engine.check()
    by_stop = Request((0, 1, 2), sampling=GREEDY, stop_ids=frozenset({alone(by_length)[0][-1]}))
    handle = engine.submit(by_stop)
    assert (handle.wait(), handle.finish_reason) == alone(by_stop)
    engine.check()


def test_pages_of_rejected_guesses_are_no_prefix_of_anybody():
    """What follows takes its prefix from pages that a draft has written to; the fake model notices a wrong one."""

    def changes_its_mind(tokens):
        return habits([*tokens, len(tokens) % 11 // 10])

    engine = make(True, page_size=2, predict=changes_its_mind)
    text = (0, 1, 2)
    for _ in range(5):
        handle = engine.submit(Request(text, max_tokens=9, sampling=GREEDY))
        text = (*text, *handle.wait())
        engine.check()
    counts = engine.counts()
    assert counts.drafted_tokens > counts.accepted_tokens > 0
    assert counts.cached_tokens > 0


def test_a_draft_takes_no_page_that_others_need():
    """Two sequences in pages for little more than one: whoever is set back was so without drafts too."""
    for speculate in (False, True):
        engine = make(speculate, pages=20, page_size=4)
        crowd = [Request((i, 1, 2), max_tokens=45, sampling=GREEDY) for i in range(2)]
        handles = [engine.submit(request) for request in crowd]
        run(engine)
        assert [handle.ids for handle in handles] == [alone(request)[0] for request in crowd]
        assert engine.counts().preemptions <= 1


def test_a_step_of_drafts_that_was_interrupted_is_taken_again():
    def interrupt(batch):
        if len(batch.rows) > 3 and not interrupted:
            interrupted.append(batch)
            raise KeyboardInterrupt

    interrupted = []
    engine, request = make(True, before=interrupt), Request((0, 1, 2), sampling=GREEDY)
    handle = engine.submit(request)
    with pytest.raises(KeyboardInterrupt):
        handle.wait()
    engine.check()
    assert handle.wait() == alone(request)[0]


def test_seconds_of_a_step_are_counted_once():
    """However many tokens it brought."""
    engine = make(True)
    handle = engine.submit(Request((0, 1, 2), sampling=GREEDY))
    handle.wait()
    counts = engine.counts()
    assert counts.accepted_tokens > 20
    assert handle.usage.prefill_seconds == 1
    assert handle.usage.decode_seconds == counts.steps - 1


def test_guesses_come_true_within_a_grammar():
    request = Request((0, 1, 2), sampling=GREEDY, constraint=partial(Rising, 150))
    engine = make(True)
    handle = engine.submit(request)
    assert (handle.wait(), handle.finish_reason) == alone(request)
    assert engine.counts().accepted_tokens > 10
