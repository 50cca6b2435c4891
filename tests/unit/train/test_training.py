"""The identities that training has to keep: however it is packed, accumulated or interrupted, the same numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gadfly.batch import Batch, Span
from gadfly.errors import ModelFileError, RequestError
from gadfly.model.transformer import forward
from gadfly.ops.torch import Torch
from gadfly.testing import random_weights, tiny_spec, tiny_specs
from gadfly.train.checkpoint import resume, save
from gadfly.train.data.sample import Sample
from gadfly.train.lora import LoraConfig
from gadfly.train.objective import Supervised
from gadfly.train.plan import Plan
from gadfly.train.trainable import with_adapter
from gadfly.train.training import Training

LORA = LoraConfig(rank=4, alpha=8)
PLAN = Plan(epochs=4, batch=8, learning_rate=0.01, pack_tokens=200)


def samples(count: int = 20, seed: int = 1) -> list[Sample]:
    """Ragged ones, with a pattern that can be learnt."""
    random = np.random.default_rng(seed)
    made = []
    for length in random.integers(5, 60, count):
        ids = (np.arange(length) * 3 + random.integers(0, 5)).astype(np.int32) % 256
        made.append(Sample(ids, np.arange(length) >= length // 2))
    return made


def training(plan: Plan = PLAN, kind: str = "llama", data: list[Sample] | None = None) -> Training:
    spec, backend = tiny_specs()[kind], Torch()
    weights = random_weights(spec, 1, "Q8_0").map(backend.place)
    return Training(with_adapter(spec, weights, LORA, plan.seed, backend), Supervised(data or samples()), plan)


def parameters(one: Training) -> list[torch.Tensor]:
    return list(one.trainable.parameters.values())


def learnt(one: Training) -> list[np.ndarray]:
    return [parameter.detach().numpy().copy() for parameter in parameters(one)]


@pytest.mark.parametrize("kind", ["llama", "gemma-3", "grok-1", "grok-2", "qwen-2"])
def test_it_learns(kind: str) -> None:
    one = training(replace(PLAN, epochs=20), kind)
    unseen = Supervised(samples(5, seed=2))
    before = one.evaluate(unseen).loss
    losses = [one.advance().judged.loss for _ in range(one.steps)]
    assert losses[0] == pytest.approx(before, rel=0.2)
    assert one.evaluate(unseen).loss < before - 0.3


@pytest.mark.parametrize("top_layers", [None, 1])
@pytest.mark.parametrize("kind", ["llama", "grok-2"])
def test_half_the_bits_learn_as_much(kind: str, top_layers: int | None) -> None:
    spec, plan, losses = tiny_specs()[kind], replace(PLAN, epochs=20), []
    for dtype in (torch.float32, torch.bfloat16):
        backend = Torch(dtype=dtype)
        weights = random_weights(spec, 1, "Q8_0").map(backend.place)
        lora = LoraConfig(LORA.rank, LORA.alpha, top_layers)
        one = Training(with_adapter(spec, weights, lora, plan.seed, backend), Supervised(samples()), plan)
        while one.step < one.steps:
            one.advance()
        assert {parameter.dtype for parameter in parameters(one)} == {torch.float32}
        losses.append(one.evaluate(Supervised(samples())).loss)
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_the_loss_is_that_of_the_whole_vocabulary() -> None:
    one, data = training(), samples(3)
    spec = tiny_spec()
    weights = random_weights(spec, 1, "Q8_0").map(Torch().place)
    total = count = 0.0
    for s in data:
        logits = forward(spec, weights, Batch.of([Span(s.ids.tolist(), 0, (), range(len(s)))]), Torch(), None)
        chances = torch.log_softmax(logits[:-1], dim=-1)[torch.arange(len(s) - 1), torch.from_numpy(s.ids[1:]).long()]
        total -= float(chances[torch.from_numpy(s.learnt[1:])].sum())
        count += int(s.learnt[1:].sum())
    assert one.evaluate(Supervised(data)).loss == pytest.approx(total / count, rel=1e-5)


def test_many_small_packs_have_the_gradient_of_a_large_one() -> None:
    """Normalised by the tokens of the step, not of the pack; each at the strength of its own."""
    gradients = []
    data = [replace(one, strength=0.5 if number % 3 else 1.0) for number, one in enumerate(samples())]
    for tokens in (16, 200, 100_000):
        one = training(replace(PLAN, pack_tokens=tokens, batch=20, clip=1e9), data=data)
        one.advance()
        gradients.append(torch.cat([p.grad.flatten() for p in parameters(one)]))
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-4, atol=1e-5 * float(gradients[0].abs().max()))


def test_ten_steps_and_ten_more_are_twenty(tmp_path: Path) -> None:
    whole, first, second = training(), training(), training()
    for _ in range(10):
        whole.advance()
    for _ in range(5):
        first.advance()
    save(tmp_path, first, "run")
    assert resume(tmp_path, second, "run") and second.step == 5
    for _ in range(5):
        second.advance()
    for expected, found in zip(learnt(whole), learnt(second), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    one = training()
    assert not resume(tmp_path, one, "run")
    one.advance()
    save(tmp_path, one, "run")
    with pytest.raises(RequestError, match="another recipe"):
        resume(tmp_path, training(), "other")
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelFileError, match="incomplete"):
        resume(tmp_path, training(), "run")


def test_nothing_is_learnt_from_what_only_leads_up_to_it() -> None:
    data = samples()
    for one in data:
        one.learnt[-1] = False
    changed = [Sample(np.append(s.ids[:-1], 7).astype(np.int32), s.learnt) for s in data]
    for one, other in zip(learnt(_run(training(data=data))), learnt(_run(training(data=changed))), strict=True):
        np.testing.assert_array_equal(one, other)


def _run(one: Training) -> Training:
    for _ in range(3):
        one.advance()
    return one


def test_a_loss_that_is_no_number_is_said() -> None:
    one = training()
    with torch.no_grad():
        parameters(one)[1].fill_(float("inf"))
    with pytest.raises(RequestError, match="smaller learning_rate"):
        one.advance()


@pytest.mark.parametrize(
    ("change", "says"),
    [({"epochs": 0}, "epochs is 0"), ({"batch": -1}, "batch is -1"), ({"precision": "int8"}, "precision is 'int8'")],
)
def test_plans_that_make_no_sense_are_refused(change: dict, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        replace(PLAN, **change)
