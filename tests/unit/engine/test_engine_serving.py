"""What a server needs of the engine: a thread that steps, listeners, limits, an orderly end."""

import gc
import threading
import weakref
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.completion import Sampling
from gadfly.engine import Engine, Request
from gadfly.errors import BusyError, DeadlineError, RequestError, SettingsError
from gadfly.testing import ScriptedModel, noise

VOCAB, CONTEXT = 5, 24
GREEDY = Sampling(temperature=0)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def make(pages=24, page_size=4, step_tokens=512, step=None, **options):
    model = ScriptedModel(noise(VOCAB), VOCAB, pages, page_size)
    options = {"speculate": False, "prompt_share": inf, **options}  # so that a step brings a token to everybody
    return Engine(step or model.step, VOCAB, CONTEXT, pages, page_size, step_tokens, **options)


def slow(seconds, clock):
    """A step that takes `seconds` of `clock`."""
    model = ScriptedModel(noise(VOCAB), VOCAB, 24, 4)

    def step(batch):
        clock.now += seconds
        return model.step(batch)

    return step


def ask(*prompt, **options):
    return Request(prompt, sampling=GREEDY, **options)


def test_a_thread_runs_all_steps_and_listeners_hear_of_every_token():
    engine = make()
    heard, over = [], threading.Event()

    def listen(handle):
        heard.append((threading.current_thread(), list(handle.ids), handle.finished))
        if handle.finished:
            over.set()

    runner = threading.Thread(target=engine.run)
    runner.start()
    for _ in range(2):  # the second finds the thread asleep
        over.clear()
        heard.clear()
        handle = engine.submit(ask(0, 1, max_tokens=5), listen)
        assert over.wait(60)
        assert [ids for _, ids, _ in heard] == [handle.ids[: i + 1] for i in range(5)]
        assert [finished for _, _, finished in heard] == [False] * 4 + [True]
        assert {thread for thread, _, _ in heard} == {runner}
    assert handle.wait() == make().submit(ask(0, 1, max_tokens=5)).wait()
    engine.drain()
    runner.join(60)
    assert not runner.is_alive()
    engine.check()


def test_who_waits_may_do_so_beside_the_thread():
    engine = make()
    runner = threading.Thread(target=engine.run)
    runner.start()
    assert engine.submit(ask(0, max_tokens=9)).wait() == make().submit(ask(0, max_tokens=9)).wait()
    engine.drain()
    runner.join(60)
    assert not runner.is_alive()


def test_a_listener_may_cancel_and_ask_again():
    engine = make()
    second = []

    def listen(handle):
        if len(handle.ids) == 2 and not handle.finished:
            handle.cancel()
            second.append(engine.submit(ask(1, max_tokens=3)))

    first = engine.submit(ask(0), listen)
    while engine.step():
        engine.check()
    assert (len(first.ids), first.finish_reason) == (2, "cancelled")
    assert second[0].finish_reason == "length"


def test_the_listener_of_a_cancelled_request_hears_of_it():
    engine, heard = make(), []
    handle = engine.submit(ask(0), lambda handle: heard.append(handle.finish_reason))
    handle.cancel()
    handle.cancel()
    assert heard == ["cancelled"]


class Free:
    """A constraint, which in truth may take megabytes."""

    def forbidden(self):
        return np.zeros(VOCAB, np.bool_)

    def advance(self, _):
        return False


@pytest.mark.parametrize("end", ["finished", "cancelled", "refused"])
def test_what_a_request_takes_goes_with_it(end):
    """At once, without anybody who looks for what knows only itself."""
    engine, constraint = make(max_waiting=1), Free()
    there = weakref.ref(constraint)
    gc.disable()
    try:
        if end == "refused":
            engine.submit(ask(1))
            with pytest.raises(BusyError):
                engine.submit(ask(1, constraint=lambda made=constraint: made), lambda _: None)
        else:
            handle = engine.submit(ask(1, max_tokens=2, constraint=lambda made=constraint: made), lambda _: None)
            engine.step()
            if end == "cancelled":
                handle.cancel()
            handle.wait()
            del handle
        del constraint
        assert there() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("tokens", [1, 2])
def test_what_a_listener_raises_fails_its_request_only(tokens):
    engine, calls = make(), []

    def listen(handle):
        calls.append(handle)
        raise OSError("the client has left")

    bad, good = engine.submit(ask(0, max_tokens=tokens), listen), engine.submit(ask(1, max_tokens=4))
    assert len(good.wait()) == 4
    assert isinstance(bad.error, OSError)
    assert len(calls) == len(bad.ids) == 1
    engine.check()


def test_a_full_queue_refuses_and_says_when_to_come_again():
    clock = Clock()
    engine = make(step_tokens=1, max_waiting=2, clock=clock, step=slow(10, clock))
    asked = [engine.submit(ask(0, max_tokens=1)) for _ in range(2)]
    assert [handle.position for handle in asked] == [1, 2]
    engine.step()
    assert [handle.position for handle in asked] == [0, 1]
    asked += [engine.submit(ask(0, max_tokens=1))]
    with pytest.raises(BusyError, match="2 requests are waiting already") as caught:
        engine.submit(ask(0))
    assert caught.value.retry_after >= 1
    for _ in range(2):
        engine.step()
    assert engine.submit(ask(0, max_tokens=1)).wait()


def test_the_estimate_follows_the_pace():
    clock = Clock()
    engine = make(step_tokens=1, clock=clock, step=slow(10, clock))
    asked = [engine.submit(ask(0, max_tokens=1)) for _ in range(60)]
    for _ in range(50):
        engine.step()
    assert [handle.position for handle in asked[50:]] == [*range(1, 11)]
    assert asked[-1].seconds_to_start == pytest.approx(100, rel=0.02)
    assert asked[0].seconds_to_start == 0


def test_a_limit_of_nobody_is_refused():
    with pytest.raises(SettingsError, match="max_waiting"):
        make(max_waiting=0)


def test_who_is_too_late_fails_and_keeps_what_there_is():
    clock = Clock()
    engine = make(step_tokens=2, clock=clock, step=slow(1, clock))
    late, patient = engine.submit(ask(0, seconds=2.5)), engine.submit(ask(1, max_tokens=6, seconds=100))
    never = engine.submit(ask(1, seconds=0.5))
    assert len(patient.wait()) == 6
    for handle, tokens in (late, 3), (never, 0):
        with pytest.raises(DeadlineError, match=f"and {tokens} tokens"):
            handle.wait()
        assert len(handle.ids) == tokens
    engine.check()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_deadline_in_the_past_is_refused(seconds):
    with pytest.raises(RequestError, match="seconds"):
        make().submit(ask(0, seconds=seconds))


def test_drain_finishes_what_is_under_way_and_takes_nothing_new():
    engine = make(step_tokens=3)
    handles = [engine.submit(ask(i, max_tokens=5)) for i in range(5)]
    engine.drain()
    assert [handle.finish_reason for handle in handles] == ["length"] * 5
    with pytest.raises(BusyError, match="about to stop"):
        engine.submit(ask(0))
    engine.run()  # returns at once
    engine.check()


def test_drain_cancels_what_takes_too_long():
    clock = Clock()
    engine = make(clock=clock, step=slow(1, clock))
    handle = engine.submit(ask(0))
    engine.drain(seconds=3.5)
    assert (len(handle.ids), handle.finish_reason) == (4, "cancelled")
    engine.check()


def test_counts_are_those_of_what_was_done():
    engine = make(step_tokens=8)
    prompt = (0, 1) * 5
    engine.submit(ask(*prompt, max_tokens=3)).wait()
    counts = engine.counts()
    assert (counts.prompt_tokens, counts.cached_tokens, counts.generated_tokens) == (10, 0, 3)
    assert (counts.steps, counts.finished, counts.running, counts.waiting) == (4, 1, 0, 0)
    assert (counts.pages, counts.pages_held, counts.pages_kept) == (24, 0, 3)
    second, waiting = engine.submit(ask(*prompt, max_tokens=3)), [engine.submit(ask(1)) for _ in range(9)]
    engine.step()
    counts = engine.counts()
    assert (counts.prompt_tokens - 10, counts.cached_tokens) == (2 + 6, 8)
    assert (counts.running, counts.waiting, counts.pages_held) == (7, 3, 3 + 6)
    for handle in (second, *waiting):
        handle.cancel()
    assert engine.counts().finished == 11
    assert engine.counts().step_seconds > 0


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6), st.integers(1, 8))
def test_listeners_hear_of_all_tokens_in_order(crowd, step_tokens):
    engine = make(pages=8, page_size=4, step_tokens=step_tokens)
    heard = [[] for _ in crowd]
    handles = [
        engine.submit(
            ask(*[i % VOCAB] * length, max_tokens=answer), lambda handle, i=i: heard[i].append(len(handle.ids))
        )
        for i, (length, answer) in enumerate(crowd)
    ]
    while engine.step():
        engine.check()
    for seen, handle in zip(heard, handles, strict=True):
        assert seen == sorted(seen)
        assert seen[-1] == len(handle.ids)
