"""Layers below the adapter: kept or computed, one by one or in the whole model, they are the same numbers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gadfly.errors import CapacityError, ModelFileError
from gadfly.ops.torch import Torch
from gadfly.testing import random_weights, tiny_specs
from gadfly.train import lower
from gadfly.train.data.sample import Sample
from gadfly.train.lora import LoraConfig
from gadfly.train.objective import Supervised
from gadfly.train.plan import Plan
from gadfly.train.trainable import with_adapter
from gadfly.train.training import Training
from unit.train.test_training import parameters, samples

PLAN = Plan(epochs=2, batch=8, learning_rate=0.01, pack_tokens=200)


def training(data: list[Sample], kind: str = "llama") -> Training:
    spec, backend = tiny_specs()[kind], Torch()
    weights = random_weights(spec, 1, "Q8_0").map(backend.place)
    model = with_adapter(spec, weights, LoraConfig(4, 8, top_layers=1), 0, backend)
    return Training(model, Supervised(data), PLAN)


def below(one: Training) -> lower.LowerLayers:
    assert one.trainable.lower is not None
    return one.trainable.lower


@pytest.mark.parametrize("kind", ["llama", "gemma-3", "grok-1"])
def test_kept_or_computed_every_loss_is_the_same_to_the_bit(kind: str, tmp_path: Path) -> None:
    data = samples()
    computed, kept = training(data, kind), training(data, kind)
    assert below(kept).keep(tmp_path / "states", "run", data[:-2])  # and the last two are computed
    for _ in range(computed.steps):
        assert computed.advance().judged.loss == kept.advance().judged.loss
    for one, other in zip(parameters(computed), parameters(kept), strict=True):
        assert torch.equal(one, other)


def test_the_whole_model_in_packs_has_the_same_losses() -> None:
    parted, whole = training(samples()), training(samples())
    whole.trainable = replace(whole.trainable, lower=None)
    for _ in range(parted.steps):
        assert parted.advance().judged.loss == pytest.approx(whole.advance().judged.loss, rel=1e-5)


def test_what_is_kept_is_used_by_its_own_run_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, path = samples(), tmp_path / "states"
    assert below(training(data)).keep(path, "run", data)
    assert path.stat().st_size == below(training(data)).size(data)
    counted: list[Sample] = []
    compute = lower.LowerLayers._computed
    monkeypatch.setattr(lower.LowerLayers, "_computed", lambda s, one: (counted.append(one), compute(s, one))[1])
    below(training(data)).keep(path, "run", data)
    assert not counted
    below(training(data)).keep(path, "another run", data)
    assert len(counted) == len(data)
    path.write_bytes(path.read_bytes()[:-1])
    below(training(data)).keep(path, "another run", data)
    assert len(counted) == 2 * len(data)


def test_who_stops_it_leaves_nothing_and_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, heard = samples(), []
    one = below(training(data))
    assert not one.keep(tmp_path / "states", "run", data, heard.append, lambda: len(heard) == 3)
    assert heard == [1, 2, 3] and not list(tmp_path.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CapacityError, match="make room"):
        one.keep(tmp_path / "states", "run", data)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_cut_short_meanwhile_is_said(tmp_path: Path) -> None:
    data, path = samples(), tmp_path / "states"
    one = below(training(data))
    one.keep(path, "run", data)
    with path.open("r+b") as file:
        file.truncate(lower.HEADER)
    with pytest.raises(ModelFileError, match="cut short"):
        one.outputs(data[-1:])
