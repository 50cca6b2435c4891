"""Guessing ahead with real kernels: answers are the same to the token, as logits are the same to the bit."""

import pytest

from gadfly._native import kernel_names
from gadfly.completion import Sampling
from gadfly.engine import Engine, Executor, Request
from gadfly.ops.native import Native
from gadfly.testing import random_weights, tiny_specs
from parity.conftest import PAGE_SIZE

PAGES = 40
PROMPTS = [(1, 2, 3, 4, 5, 1, 2, 3), (7, 8, 9), (5, 5, 5, 5)]


def engine(kind: str, kernels: str, speculate: bool) -> Engine:
    """Of a tiny model with random weights, which soon repeats itself. Every step takes a second."""
    spec, backend, steps = tiny_specs()[kind], Native(2, kernels), []
    executor = Executor(spec, random_weights(spec, format="Q8_0").map(backend.place), backend, PAGES, PAGE_SIZE)

    def step(batch):
        steps.append(batch)
        return executor.step(batch)

    options = {"speculate": speculate, "clock": lambda: float(len(steps))}
    return Engine(step, spec.vocab, spec.context, PAGES, PAGE_SIZE, **options)


@pytest.mark.parametrize("kernels", kernel_names())
@pytest.mark.parametrize("kind", ["llama", "gemma-3", "grok-2"])
@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_answers_do_not_depend_on_guesses(kind: str, kernels: str, temperature: float) -> None:
    answers, counts = [], []
    for speculate in (False, True):
        used = engine(kind, kernels, speculate)
        sampling = Sampling(temperature=temperature, top_k=3, seed=1)
        handles = [used.submit(Request(prompt, max_tokens=90, sampling=sampling)) for prompt in PROMPTS]
        answers.append([handle.wait() for handle in handles])
        counts.append(used.counts())
        used.check()
    assert answers[0] == answers[1]
    assert counts[0].drafted_tokens == 0
    assert counts[1].drafted_tokens > 0
