"""What every method has to keep: packing, accumulation and interruptions change nothing; and what each is there for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gadfly.ops.torch import Torch
from gadfly.testing import random_weights, tiny_spec, tiny_specs
from gadfly.train.checkpoint import resume, save
from gadfly.train.data.sample import Sample
from gadfly.train.lora import LoraConfig
from gadfly.train.objective import Objective, Supervised
from gadfly.train.plan import Plan
from gadfly.train.preferred import Judged, Liked, Pair, PreferenceConfig, Preferred
from gadfly.train.trainable import Trainable, all_of, with_adapter
from gadfly.train.training import Training
from gadfly.weight import Weights

PLAN = Plan(epochs=10, batch=8, learning_rate=0.005, weight_decay=0.01, pack_tokens=200)
PLAIN = PreferenceConfig(penalty=0.0, likelihood=0.0)


def said(*parts: int, start: int = 7) -> Sample:
    """A prompt of six tokens and these as the answer."""
    ids = np.array([*range(start, start + 6), *parts], np.int32)
    return Sample(ids, np.arange(len(ids)) >= 6)


def answers(count: int, seed: int = 1) -> list[Sample]:
    random = np.random.default_rng(seed)
    return [said(*random.integers(0, 256, n), start=int(n) * 5) for n in random.integers(3, 30, count)]


def pairs(count: int = 16) -> list[Pair]:
    """The second answer differs in one token."""
    made = []
    for number, one in enumerate(answers(count)):
        other = one.ids.copy()
        other[-2] = 3
        made.append(Pair(one, Sample(other, one.learnt), 1.0 + number % 2))
    return made


def thumbs(count: int = 16) -> list[Judged]:
    replies = answers(count)
    return [Judged(one, replies[i - 1], i % 3 > 0, 1.0 + i % 2) for i, one in enumerate(replies)]


def adapter(kind: str = "llama") -> Trainable:
    spec, backend = tiny_specs()[kind], Torch()
    weights = random_weights(spec, 1, "Q8_0").map(backend.place)
    return with_adapter(spec, weights, LoraConfig(rank=4, alpha=8), 0, backend)


def whole(kind: str = "llama", new: bool = False) -> Trainable:
    spec, backend = tiny_specs()[kind], Torch()
    weights = random_weights(spec, 1)
    tied = Weights({**{path: weights[path] for path in weights}, "output": weights["embedding"]})
    return all_of(spec, tied.map(backend.place), backend, new)


METHODS: dict[str, Callable[[], tuple[Trainable, Objective]]] = {
    "sft": lambda: (adapter(), Supervised(answers(16))),
    "dpo": lambda: (adapter("grok-1"), Preferred(pairs(), PreferenceConfig())),
    "kto": lambda: (adapter(), Liked(thumbs(), PreferenceConfig())),
    "full": lambda: (whole("gemma-3"), Supervised(answers(16))),
    "full mixture": lambda: (whole("grok-2"), Supervised(answers(16))),
    "new": lambda: (whole("grok-1", new=True), Supervised(answers(16))),
}


def training(method: str, plan: Plan = PLAN) -> Training:
    return Training(*METHODS[method](), plan)


@pytest.mark.parametrize("method", METHODS)
def test_however_a_step_is_packed_its_gradient_is_the_same(method: str) -> None:
    gradients = []
    begun = training(method)
    begun.advance()
    begun.advance()
    for tokens in (16, 120, 100_000):
        one = training(method, replace(PLAN, pack_tokens=tokens, batch=12, clip=1e9))
        one.restore(2, begun.state())
        one.advance()
        gradients.append(torch.cat([p.grad.flatten() for p in one.trainable.parameters.values()]))
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-4, atol=1e-5 * float(gradients[0].abs().max()))


@pytest.mark.parametrize("method", METHODS)
def test_ten_steps_and_ten_resumed_are_twenty(method: str, tmp_path: Path) -> None:
    whole, first, second = (training(method) for _ in range(3))
    reports = [whole.advance() for _ in range(20)]
    for _ in range(10):
        first.advance()
    save(tmp_path, first, "run")
    assert resume(tmp_path, second, "run") and second.step == 10
    for expected in reports[10:]:
        assert second.advance().judged == expected.judged
    expected, found = whole.state(), second.state()
    assert expected.keys() == found.keys() == whole.names(20)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_stopped_before_its_first_step_begins(method: str, tmp_path: Path) -> None:
    save(tmp_path, training(method), "run")
    one = training(method)
    assert resume(tmp_path, one, "run") and one.step == 0
    assert one.advance().judged == training(method).advance().judged


def test_at_first_a_model_is_what_it_was() -> None:
    report = training("dpo").advance()
    assert report.judged.figures["margin"] == pytest.approx(0, abs=1e-5)
    liked = training("kto").advance()
    assert (liked.judged.loss, liked.judged.figures["margin"]) == pytest.approx((0.5, 0), abs=1e-5)
    plain = Training(adapter(), Preferred(pairs(), PLAIN), PLAN).advance()
    assert plain.judged.loss == pytest.approx(np.log(2), abs=1e-5)


def test_what_is_preferred_becomes_likelier_and_what_was_said_before_is_asked_once() -> None:
    one = Training(adapter(), Preferred(pairs(), PreferenceConfig()), PLAN)
    asked = []
    one.base_likelihoods = lambda sequences, ask=one.base_likelihoods: asked.extend(sequences) or ask(sequences)
    last = [one.advance() for _ in range(one.steps)][-1].judged.figures
    assert last["accuracy"] == 1 and last["margin"] > 0.1
    assert len(asked) == 2 * 16


@pytest.mark.parametrize("config", [PLAIN, PreferenceConfig(beta=0.3, penalty=50.0, likelihood=1.0)])
@pytest.mark.parametrize("now", [-40.0, -42.0, -47.0])
def test_the_loss_of_a_pair_is_that_of_the_papers(config: PreferenceConfig, now: float) -> None:
    """Answers of 4 and 4 tokens, which were likely by -42 and -40 nats; the second is likely by -45 now."""
    one = Preferred([Pair(said(1, 2, 3, 4), said(1, 9, 3, 4))], config)
    one.memory["before"][0] = torch.tensor([-42.0, -40.0])
    losses = torch.tensor([-now / 4] * 4 + [45 / 4] * 4, requires_grad=True)
    (pack,) = _packs(one)
    loss, figures = one.loss(pack, losses)
    chosen, rejected = now + 42, -45.0 + 40
    z = config.beta * (chosen - rejected - config.penalty * max(0.0, -chosen - 0.01))
    assert float(loss.detach()) == pytest.approx(np.log1p(np.exp(-z)) - config.likelihood * now / 4, rel=1e-5)
    assert figures["margin"] == pytest.approx(config.beta * (chosen - rejected))
    loss.backward()
    up, down = losses.grad[0], losses.grad[4]  # how much the chosen and the rejected answer's loss matters
    if config is PLAIN:
        assert up == -down > 0  # as content with making both unlikelier
    else:
        assert up > -5 * down >= 0


def test_a_thumb_moves_its_answer_up_or_down() -> None:
    made = thumbs()
    one = Training(adapter(), Liked(made, PreferenceConfig()), replace(PLAN, learning_rate=0.02))
    before = one.likelihoods([each.reply for each in made])
    while one.step < one.steps:
        one.advance()
    gains = one.likelihoods([each.reply for each in made]) - before
    liked = torch.tensor([each.liked for each in made])
    assert gains[liked].mean() > 1 and gains[~liked].mean() < -1
    assert one.evaluate(Liked(made, PreferenceConfig())).figures["accuracy"] > 0.9


def test_both_thumbs_count_the_same_together() -> None:
    made = Liked(thumbs(), PreferenceConfig())
    weights = [made.weight(one) for one in _packs(made)]
    liked = [each.liked for each in thumbs()]
    assert sum(w for w, up in zip(weights, liked, strict=True) if up) == pytest.approx(sum(weights) / 2)
    assert sum(weights) == pytest.approx(sum(each.weight for each in thumbs()))


def _packs(objective: Objective):
    from gadfly.train.packing import pack

    return [pack(objective.sequences, [number]) for number in range(len(objective.sequences))]


def test_samples_that_count_nothing_teach_nothing() -> None:
    one = Training(adapter(), Supervised([replace(each, weight=0.0) for each in answers(4)]), PLAN)
    assert one.advance().judged.loss == 0


def test_all_weights_learn_but_the_router_of_a_model_that_is_there() -> None:
    assert whole("grok-1", new=True).parameters.keys() - whole("grok-1").parameters.keys() == {
        "blocks.0.ffn.router",
        "blocks.1.ffn.router",
    }
    assert "output" not in whole().parameters  # it is the embedding
    spec = tiny_spec()
    untied = all_of(spec, random_weights(spec, 1).map(Torch().place), Torch())
    assert untied.parameters.keys() == dict(spec.shapes()).keys()
