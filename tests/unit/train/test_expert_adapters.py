"""Adapters of experts are learnt from the tokens that experts get, and from no others."""

import numpy as np
import pytest
import torch

from gadfly.batch import Batch, Span
from gadfly.errors import UnsupportedError
from gadfly.ops.torch import Torch
from gadfly.spec import MoE
from gadfly.testing import random_weights, tiny_specs
from gadfly.train.lora import LoraConfig, adapted_paths, fresh_factors
from gadfly.train.objective import Supervised
from gadfly.train.plan import Plan
from gadfly.train.trainable import with_adapter
from gadfly.train.training import Training
from gadfly.weight import Delta, LowRank
from unit.train.test_training import samples

FED = LoraConfig(4, 8, parts="feed-forward")


def test_parts_say_what_is_adapted() -> None:
    def paths(kind: str, parts: str) -> set[str]:
        return {
            path.partition(".")[2].partition(".")[2]
            for path in adapted_paths(tiny_specs()[kind], LoraConfig(parts=parts))
        }

    attention = {f"mixer.{name}" for name in ("query", "key", "value", "output")}
    fed = {f"ffn.{name}" for name in ("gate", "up", "down")}
    assert paths("llama", "all") == attention | fed
    for kind in ("llama", "mixtral"):
        assert (paths(kind, "attention"), paths(kind, "feed-forward")) == (attention, fed)
    assert paths("mixtral", "all") == attention == paths("grok-2", "all")
    assert paths("grok-2", "feed-forward") == {
        f"ffn.{where}.{one}" for where in ("dense", "moe") for one in ("gate", "up", "down")
    }
    made = fresh_factors(tiny_specs()["mixtral"], FED, 0)["blocks.0.ffn.down"]
    assert made.down.shape == (4, 4, 96) and made.up.shape == (4, 64, 4) and not made.up.any()


@pytest.mark.parametrize("kind", ["mixtral", "grok-2"])
def test_it_learns(kind: str) -> None:
    spec, backend = tiny_specs()[kind], Torch()
    weights = random_weights(spec, 1, "Q8_0").map(backend.place)
    run = Training(
        with_adapter(spec, weights, FED, 0, backend),
        Supervised(samples()),
        Plan(epochs=15, batch=8, learning_rate=0.01, pack_tokens=200),
    )
    unseen = Supervised(samples(5, seed=2))
    before = run.evaluate(unseen).loss
    while run.step < run.steps:
        run.advance()
    assert run.evaluate(unseen).loss < before - 0.2


def test_only_experts_with_tokens_have_gradients() -> None:
    """And they are what PyTorch makes of the plain formula."""
    moe, random = MoE(4, 2, 12, "silu"), torch.Generator().manual_seed(1)
    x = torch.randn(6, 8, generator=random)
    shapes = [(4, 12, 8), (4, 12, 8), (4, 8, 12)]
    bases = [torch.randn(*shape, generator=random) for shape in shapes]
    halves = [
        (
            torch.randn(4, 3, shape[2], generator=random).requires_grad_(),
            torch.randn(4, shape[1], 3, generator=random).requires_grad_(),
        )
        for shape in shapes
    ]
    chosen = torch.tensor([[0, 2], [2, 0], [0, 2], [2, 0], [0, 2], [0, 2]])
    routing = torch.stack([chosen.float(), torch.rand(6, 2, generator=random)], 1)
    strengths = np.array([1, 1, 0.5, 1, 0, 1], np.float32)
    batch = Batch.of([Span([1], 0, (), [0], (float(one),)) for one in strengths])
    weights = [LowRank(base, (Delta(0, down, up, 0.3),)) for base, (down, up) in zip(bases, halves, strict=True)]
    found = Torch().experts(x, routing, *weights, moe, batch)

    expected = torch.zeros_like(x)
    for token in range(6):
        gate, up, down = (
            base + 0.3 * float(strengths[token]) * (u @ d) for base, (d, u) in zip(bases, halves, strict=True)
        )
        for expert, share in zip(chosen[token], routing[token, 1], strict=True):
            hidden = torch.nn.functional.silu(gate[expert] @ x[token]) * (up[expert] @ x[token])
            expected[token] = expected[token] + share * (down[expert] @ hidden)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    leaves = [leaf for pair in halves for leaf in pair]
    gradients = [torch.autograd.grad(made.square().sum(), leaves, retain_graph=True) for made in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
        assert not one[[1, 3]].any() and one[0].any() and one[2].any()


def test_several_processes_do_not_learn_them() -> None:
    spec = tiny_specs()["mixtral"]
    weights = random_weights(spec, 1).map(Torch().place)
    backend = Torch(exchange=lambda rows, counts, answers: answers(rows, counts))
    run = Training(with_adapter(spec, weights, FED, 0, backend), Supervised(samples(2)), Plan(epochs=1))
    with pytest.raises(UnsupportedError, match="learnt by one process; leave out torchrun"):
        run.advance()
