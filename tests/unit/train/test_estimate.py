"""What a plan says of a run, and that it leaves nothing behind."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gadfly.cli.train import command
from gadfly.train.estimate import estimate_run
from gadfly.train.run import open_workshop
from unit.train.test_run import Quiet, recipe


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("changes", [(), ("lora.top_layers=1",), ("full=true",)])
def test_a_plan_tells_what_will_be_learnt_and_leaves_nothing(
    changes: tuple[str, ...],
    base: Path,
    tmp_path: Path,
) -> None:
    one = recipe(tmp_path, base, "sft", *changes)
    lines = one.train_files[0].read_text().splitlines()
    one.train_files[0].write_text("\n".join([*lines, lines[0]]))
    before = everything(tmp_path)
    estimate = estimate_run(one, Quiet(), 1)
    assert everything(tmp_path) == before
    training = open_workshop(one, Quiet(), 1).training
    samples = [one for (one,) in training.objective.sequences]
    assert (estimate.samples, estimate.valid, estimate.duplicates, estimate.cut) == (9, 2, 1, 0)
    assert estimate.tokens == sum(map(len, samples)) and estimate.learnt == sum(one.learnt.sum() for one in samples)
    assert estimate.steps == training.steps == 10
    assert bool(estimate.lower_seconds) == ("lora.top_layers=1" in changes)
    assert estimate.seconds > estimate.step_seconds > 0 and estimate.judging_seconds > 0 and estimate.memory > 10**7
    assert estimate.speaking_seconds > 0
    assert estimate.disk > estimate.disk_afterwards > 12 * estimate.parameters


def test_where_nobody_is_asked_no_time_is_planned_for_it(base: Path, tmp_path: Path) -> None:
    assert estimate_run(recipe(tmp_path, base, "sft", "questions=[]"), Quiet(), 1).speaking_seconds == 0


def test_what_is_cut_is_counted(base: Path, tmp_path: Path) -> None:
    assert estimate_run(recipe(tmp_path, base, "sft", "longest=30"), Quiet(), 1).cut == 8


def test_the_base_is_asked_once_about_preferences(base: Path, tmp_path: Path) -> None:
    assert estimate_run(recipe(tmp_path, base, "dpo"), Quiet(), 1).step_seconds > 0


def test_the_command_shows_it(base: Path, tmp_path: Path) -> None:
    recipe(tmp_path, base, "sft")
    given = [str(tmp_path / "recipe.toml"), "--plan", "--threads", "1"]
    shown = CliRunner().invoke(command, given)
    assert shown.exit_code == 0 and "8 samples to learn from, 2 to judge by" in shown.stdout, shown.output
    assert [line.split()[0] for line in shown.stdout.splitlines()[-3:]] == ["time", "memory", "disk"]
    told = json.loads(CliRunner().invoke(command, [*given, "--json"]).stdout)
    assert told["event"] == "plan" and told["samples"] == 8 and told["seconds"] > 0
    assert not (tmp_path / "out.run").exists()
