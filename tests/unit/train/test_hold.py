"""What was said of other questions stays as it was: what that costs, and that a run with it is one like any other."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from gadfly.batch import Batch, Span
from gadfly.errors import GadflyError, NotFoundError, SettingsError
from gadfly.model.transformer import forward
from gadfly.ops.torch import Torch
from gadfly.testing import random_weights, tiny_specs
from gadfly.train.data.sample import Sample
from gadfly.train.estimate import estimate_run
from gadfly.train.hold import Hold
from gadfly.train.lora import LoraConfig
from gadfly.train.objective import Supervised
from gadfly.train.plan import Plan
from gadfly.train.recipe import Recipe
from gadfly.train.report import Report
from gadfly.train.run import open_workshop
from gadfly.train.trainable import with_adapter
from gadfly.train.training import Training
from unit.train.test_run import Quiet, files, recipe, stopping_after
from unit.train.test_training import parameters, samples

PLAN = Plan(epochs=4, batch=8, learning_rate=0.01, pack_tokens=200, clip=1e9)
PLAIN = [{"role": "user", "content": "Snow?"}, {"role": "assistant", "content": "Frozen water."}]


def kept(count: int = 7) -> list[Sample]:
    return [
        replace(one, strength=0.5 if number % 3 else 1.0, weight=1 + number % 2)
        for number, one in enumerate(samples(count, seed=9))
    ]


def training(weight: float | None, kind: str = "llama", plan: Plan = PLAN, lora: LoraConfig | None = None) -> Training:
    spec, backend = tiny_specs()[kind], Torch()
    trainable = with_adapter(
        spec, random_weights(spec, 1, "Q8_0").map(backend.place), lora or LoraConfig(4, 8), 0, backend
    )
    hold = None if weight is None else Hold([(one,) for one in kept()], "", weight, 4, plan.seed)
    return Training(trainable, Supervised(samples()), plan, hold=hold)


def advanced(one: Training, steps: int) -> list[Report]:
    return [one.advance() for _ in range(steps)]


def test_where_nothing_is_learnt_it_costs_nothing() -> None:
    free, held = training(None), training(100.0)
    before, after = advanced(held, 2)
    assert before.judged.figures["hold"] == 0.0 < after.judged.figures["hold"]
    first, second = advanced(free, 2)
    assert "hold" not in first.judged.figures
    assert (before.judged.loss, before.gradient_norm) == (first.judged.loss, first.gradient_norm)
    assert after.judged.loss == second.judged.loss and after.gradient_norm != second.gradient_norm


@pytest.mark.parametrize("kind", ["llama", "gemma-3", "grok-1", "grok-2"])
@pytest.mark.parametrize("tokens", [16, 200, 100_000])
def test_its_gradient_is_that_of_what_the_module_says(kind: str, tokens: int) -> None:
    """However it is packed; with the whole vocabulary and all layers at once."""
    one = training(3.0, kind, replace(PLAN, pack_tokens=tokens), LoraConfig(4, 8, top_layers=1))
    advanced(one, 2)  # so that it has something to hold
    spec, weights, base = one.trainable.spec, one.trainable.weights, one.trainable.base
    taught = [samples()[number] for number in one.numbers(2)]
    held = [kept()[number] for number in one.hold.numbers(2)]

    def said(sample: Sample, tree: object) -> torch.Tensor:
        batch = Batch.of([Span(sample.ids[:-1].tolist(), 0, (), range(len(sample) - 1), (sample.strength,))])
        return forward(spec, tree, batch, Torch(), None).log_softmax(-1)[torch.from_numpy(sample.learnt[1:])]

    loss = torch.cat([-said(s, weights)[range(s.learnt.sum()), s.ids[s.learnt]] for s in taught]).mean()
    far = count = 0.0
    for s in held:
        divergence = F.kl_div(said(s, weights), said(s, base).detach(), reduction="none", log_target=True)
        far, count = far + s.weight * divergence.sum(), count + s.weight * len(divergence)
    expected = torch.autograd.grad(loss + 3.0 * far / count, parameters(one))
    loss, far = float(loss.detach()), float(far.detach()) / count
    judged = one.advance().judged
    assert judged.loss == pytest.approx(loss, rel=1e-5)
    assert judged.figures["hold"] == pytest.approx(far, rel=1e-3) and far > 1e-4
    scale = max(float(slope.abs().max()) for slope in expected)
    for parameter, slope in zip(parameters(one), expected, strict=True):
        torch.testing.assert_close(parameter.grad, slope, rtol=1e-3, atol=1e-5 * scale)


def test_it_holds() -> None:
    plan = replace(PLAN, epochs=10, clip=1.0)
    loose, tight = (advanced(training(weight, plan=plan), 30) for weight in (1e-9, 10.0))
    assert tight[-1].judged.figures["hold"] < loose[-1].judged.figures["hold"] / 2
    assert tight[-1].judged.loss < tight[0].judged.loss


def test_all_are_met_before_one_is_met_again() -> None:
    hold = Hold([(one,) for one in kept(7)], "", 1.0, 4, seed=1)
    met = np.concatenate([hold.numbers(step) for step in range(7)]).reshape(4, 7)
    assert all(sorted(turn) == list(range(7)) for turn in met.tolist()) and len({tuple(turn) for turn in met}) == 4
    assert not hold.met_again(1) and hold.met_again(2)
    few = Hold(hold.sequences[:2], "", 1.0, 4, seed=1)
    assert sorted(few.numbers(3)) == [0, 1]


def held(folder: Path, base: Path, method: str = "sft", *changes: str) -> Recipe:
    (folder / "plain.jsonl").write_text(
        "".join(json.dumps({"messages": [*PLAIN[:1], {**PLAIN[1], "content": f"Water {n}."}]}) + "\n" for n in range(5))
    )
    return recipe(folder, base, method, "hold.data=plain.jsonl", "hold.batch=3", *changes)


@pytest.mark.parametrize(
    ("method", "changes"),
    [("sft", ()), ("sft", ("lora.top_layers=1",)), ("sft", ("lora.top_layers=1", "plan.epochs=1")), ("dpo", ())],
)
def test_a_run_that_is_stopped_and_gone_on_with_makes_the_same(
    method: str, changes: tuple[str, ...], base: Path, tmp_path: Path
) -> None:
    one = held(tmp_path, base, method, *changes)
    assert open_workshop(one, Quiet(), 1).work()
    again = held(tmp_path, base, method, *changes, "out=again")
    workshop = open_workshop(again, Quiet(), 1)
    assert not workshop.work(stopping_after(workshop, 3))
    assert open_workshop(again, Quiet(), 1).work()
    assert files(again.folder) == files(one.folder)
    facts = json.loads((one.folder / "gadfly.json").read_text())
    assert facts["hold"] == {"weight": 4.0, "batch": 3, "samples": 5}


def test_a_run_is_another_with_it_and_the_same_as_ever_without(base: Path, tmp_path: Path) -> None:
    runs, made = [], []
    for number, changes in enumerate([(), ("hold.weight=5",), ("hold.batch=2",), ("hold.weight=0",)]):
        one = held(tmp_path, base, "sft", *changes, f"out=out-{number}")
        runs.append(open_workshop(one, Quiet(), 1).run)
    assert len(set(runs)) == 4
    for out in ("out-3", "free"):
        changes = ("hold.weight=0",) if out == "out-3" else ()
        one = (held if changes else recipe)(tmp_path, base, "sft", *changes, f"out={out}")
        workshop = open_workshop(one, Quiet(), 1)
        workshop.work()
        made.append((workshop.run, files(one.folder)))
    assert made[0] == made[1] and "hold" not in json.loads((tmp_path / "free" / "gadfly.json").read_text())
    line = (tmp_path / "plain.jsonl").read_text()
    one = held(tmp_path, base, "sft", "out=other")
    (tmp_path / "plain.jsonl").write_text(line.replace("Water 1", "Water 9"))
    assert open_workshop(one, Quiet(), 1).run not in runs


def test_a_plan_counts_it(base: Path, tmp_path: Path) -> None:
    one = held(tmp_path, base, "sft", "lora.top_layers=1")
    free = estimate_run(recipe(tmp_path, base, "sft", "lora.top_layers=1"), Quiet(), 1)
    found = estimate_run(one, Quiet(), 1)
    assert (found.samples, found.tokens, found.steps) == (free.samples, free.tokens, free.steps)
    workshop = open_workshop(one, Quiet(), 1)
    plain = [sample for (sample,) in workshop.training.hold.sequences]
    assert set(plain) < set(workshop.sequences)
    assert found.disk - free.disk == 4 * 32 * sum(len(one) - 1 for one in plain)
    assert len(open_workshop(held(tmp_path, base, "sft", "hold.batch=1", "plan.batch=4"), Quiet(), 1).sequences) == 10


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("hold.weight=-1",), "weight is -1"),
        (("hold.batch=0",), "batch is 0"),
        (("hold.data=5",), "expected a text"),
        (("hold.share=1",), "'share' is no key"),
        (("full=true",), "hold holds a model against what it was, so it learns an adapter"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: tuple[str, ...], says: str, base: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=says):
        held(tmp_path, base, "sft", *changes)


def test_what_is_not_there_is_said(base: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"name a file of conversations as hold\.data"):
        recipe(tmp_path, base, "sft", "hold.weight=2")
    one = recipe(tmp_path, base, "sft", "hold.data=nowhere.jsonl")
    with pytest.raises(NotFoundError, match=r"nowhere\.jsonl"):
        open_workshop(one, Quiet(), 1)
    (tmp_path / "nowhere.jsonl").write_text('{"text": "Rain."}\n')
    with pytest.raises(GadflyError, match="nothing to hold to"):
        open_workshop(one, Quiet(), 1)
