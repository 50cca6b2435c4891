"""Whole tiny models in PyTorch against the reference: served from pages, and packed as in training."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from gadfly.batch import Batch, Span
from gadfly.engine.executor import Executor
from gadfly.model.transformer import forward
from gadfly.ops.reference import Reference
from gadfly.ops.torch import Torch
from gadfly.testing import random_weights, tiny_spec, tiny_specs
from gadfly.weight import Weights

torch.set_num_threads(1)  # matrices here are so small that a second one only waits

PAGES, PAGE_SIZE = 8, 16
IDS = [int(token) for token in np.random.default_rng(3).integers(0, 256, 90)]


def served(backend, kind: str, chunk: int) -> np.ndarray:
    """All logits of IDS, `chunk` tokens a step beside another sequence."""
    spec = tiny_specs()[kind]
    model = Executor(spec, random_weights(spec, 1, "Q8_0").map(backend.place), backend, 2 * PAGES, PAGE_SIZE)
    rows = []
    for first in range(0, len(IDS), chunk):
        tokens = IDS[first : first + chunk]
        other = Span([first % 256], first // chunk, range(PAGES, 2 * PAGES), [0])
        rows.append(model.step(Batch.of([Span(tokens, first, range(PAGES), range(len(tokens))), other]))[:-1])
    return np.concatenate(rows)


@pytest.mark.parametrize("kind", tiny_specs())
@pytest.mark.parametrize("chunk", [90, 7])
def test_torch_serves_what_the_reference_does(kind: str, chunk: int) -> None:
    exact, close = served(Reference(), kind, chunk), served(Torch(), kind, chunk)
    np.testing.assert_allclose(close, exact, atol=2e-5 * np.abs(exact).max())


@pytest.mark.parametrize("kind", tiny_specs())
def test_packed_sequences_do_not_see_each_other(kind: str) -> None:
    spec, backend = tiny_specs()[kind], Torch()
    weights = random_weights(spec, 1).map(backend.place)
    cuts = [0, 1, 34, 90]
    spans = [Span(IDS[a:b], 0, (), range(b - a)) for a, b in pairwise(cuts)]
    packed = forward(spec, weights, Batch.of(spans), backend, None)
    alone = torch.cat([forward(spec, weights, Batch.of([span]), backend, None) for span in spans])
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(alone[-56:].numpy(), last_of(spec, IDS[34:]), atol=1e-4)


def last_of(spec, ids: list[int]) -> np.ndarray:
    reference = Reference()
    model = Executor(spec, random_weights(spec, 1).map(reference.place), reference, PAGES, PAGE_SIZE)
    return model.step(Batch.of([Span(ids, 0, range(PAGES), range(len(ids)))]))


@pytest.mark.parametrize("kind", tiny_specs())
def test_experts_are_counted_alike(kind: str) -> None:
    spec, counts = tiny_specs()[kind], []
    for backend in (Reference(), Torch()):
        model = Executor(spec, random_weights(spec, 1).map(backend.place), backend, PAGES, PAGE_SIZE)
        model.step(Batch.of([Span(IDS, 0, range(PAGES), [0])]))
        counts.append(model.expert_use())
    assert counts[0] == counts[1]


def test_every_weight_has_a_gradient() -> None:
    spec, backend = tiny_spec(), Torch()
    weights = random_weights(spec, 1).map(lambda weight: backend.place(weight).requires_grad_())
    batch = Batch.of([Span(IDS[:40], 0, (), range(40)), Span(IDS[40:], 0, (), range(50))])
    forward(spec, weights, batch, backend, None).square().mean().backward()
    assert all(weights[path].grad.abs().max() > 0 for path in Weights(weights))
