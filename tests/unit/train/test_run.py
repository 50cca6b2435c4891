"""Whole runs from recipes, as a user has them: begun, stopped, gone on with, and what came of them loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import gadfly
from gadfly.errors import GadflyError, RequestError, SettingsError
from gadfly.model.transformer import forward
from gadfly.train.new import NewConfig
from gadfly.train.recipe import Recipe, read_recipe
from gadfly.train.run import Workshop, open_workshop
from gadfly.weights.adapter import read_adapter
from gadfly.weights.load import open_model

ASKED = [{"role": "user", "content": "Rain?"}]
LINES = {
    "sft": lambda n: {"messages": [*ASKED, {"role": "assistant", "content": f"Water {n}."}]},
    "text": lambda n: {"text": f"It rains {n} times a day, and then it rains again."},
    "dpo": lambda n: {
        "prompt": ASKED,
        "chosen": {"role": "assistant", "content": f"Water {n}."},
        "rejected": {"role": "assistant", "content": "No idea."},
    },
    "kto": lambda n: {
        "prompt": ASKED,
        "reply": {"role": "assistant", "content": f"Water {n}."},
        "label": n % 2 == 0,
    },
}


class Quiet:
    def __init__(self) -> None:
        self.judged: list[float] = []
        self.losses: list[float] = []
        self.said: list[tuple[int, str, str]] = []

    def problem(self, *_: object) -> None: ...
    def note(self, text: str) -> None: ...
    def prepared(self, *_: object) -> None: ...
    def began(self, *_: object) -> None: ...

    def advanced(self, _, report) -> None:
        self.losses.append(report.judged.loss)

    def evaluated(self, _: int, judged) -> None:
        self.judged.append(judged.loss)

    def tried(self, step: int, said) -> None:
        self.said += [(step, one.prompt, one.text) for one in said]


def recipe(folder: Path, base: object, method: str, *changes: str) -> Recipe:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for name, numbers in (("train", range(8)), ("valid", range(8, 10))):
        (data / f"{name}.jsonl").write_text("\n".join(json.dumps(LINES[method](n)) for n in numbers))
    path = folder / "recipe.toml"
    plan = "[lora]\nrank = 2\n[plan]\nepochs = 2\nbatch = 2\nlearning_rate = 0.01\n"
    path.write_text(f'base = "{base}"\nmethod = "{method}"\ndata = "data"\nout = "out"\nlongest = 64\n{plan}')
    return read_recipe(path, changes)


def stopping_after(workshop: Workshop, steps: int) -> Callable[[], bool]:
    return lambda: workshop.training.step >= steps


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".safetensors"}


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("sft", ()),
        ("dpo", ()),
        ("kto", ()),
        ("text", ()),
        ("sft", ("full=true",)),
        ("text", ("full=true",)),
        ("sft", ("lora.top_layers=1",)),
        ("dpo", ("lora.top_layers=1",)),
    ],
)
def test_a_run_that_is_stopped_and_gone_on_with_makes_the_same(
    method: str, changes: tuple[str, ...], base: Path, tmp_path: Path
) -> None:
    one, quiet = recipe(tmp_path, base, method, *changes), Quiet()
    assert open_workshop(one, quiet, 1).work()
    made = files(one.folder)
    assert made and quiet.losses[-1] < quiet.losses[0] and len(quiet.judged) == 9
    again = read_recipe(tmp_path / "recipe.toml", (*changes, "out=again"))
    workshop = open_workshop(again, Quiet(), 1)
    assert not workshop.work(stopping_after(workshop, 3))
    assert open_workshop(again, Quiet(), 1).work()
    assert files(again.folder) == made
    facts = json.loads((one.folder / "gadfly.json").read_text())
    assert (facts["method"], facts["steps"]) == (method, 8)
    with pytest.raises(RequestError, match="exists"):
        open_workshop(one, Quiet())


def test_a_run_is_asked_before_it_learns_and_afterwards(base: Path, tmp_path: Path) -> None:
    one, quiet = recipe(tmp_path, base, "sft", "plan.epochs=50", 'questions=["Rain?"]'), Quiet()
    open_workshop(one, quiet, 1).work()
    (first, _, before), (last, prompt, text) = quiet.said[0], quiet.said[-1]
    assert (first, last, prompt) == (0, 200, "Rain?") and text.startswith("Water ") and before != text


def test_nobody_is_asked_where_there_are_no_questions_and_texts_are_gone_on_with(base: Path, tmp_path: Path) -> None:
    quiet = Quiet()
    open_workshop(recipe(tmp_path, base, "sft", "questions=[]"), quiet, 1).work()
    assert not quiet.said
    open_workshop(recipe(tmp_path, base, "text", "out=other"), quiet, 1).work()
    assert [said[:2] for said in quiet.said[:2]] == [(0, "It rains 8 times"), (0, "It rains 9 times")]


def test_a_run_does_not_go_on_with_another_base(base: Path, tmp_path: Path) -> None:
    other = shutil.copytree(base, tmp_path / "base")
    one = recipe(tmp_path, other, "sft")
    workshop = open_workshop(one, Quiet(), 1)
    assert not workshop.work(stopping_after(workshop, 1))
    (other / "model.safetensors").touch()  # as whoever makes it anew does
    with pytest.raises(RequestError, match="another recipe, data or model"):
        open_workshop(one, Quiet(), 1).work()


def test_an_adapter_of_preferences_is_one_like_any_other(base: Path, tmp_path: Path) -> None:
    one = recipe(tmp_path, base, "dpo")
    open_workshop(one, Quiet(), 1).work()
    file = open_model(base)
    assert read_adapter(one.folder, file.page, file.spec).rank == 2


def test_a_model_that_learnt_whole_loads_here_and_in_transformers(base: Path, tmp_path: Path) -> None:
    one = recipe(tmp_path, base, "sft", "full=true")
    workshop = open_workshop(one, Quiet(), 1)
    workshop.work()
    llm, ids = gadfly.load(one.folder, backend="reference"), list(b"Rain falls.")
    trained, found = workshop.training.trainable, llm.logits(ids)
    from gadfly.batch import Batch, Span

    with torch.no_grad():
        batch = Batch.of([Span(ids, 0, (), range(len(ids)))])
        expected = forward(trained.spec, trained.weights, batch, trained.backend, None).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(one.folder)
    with torch.no_grad():
        np.testing.assert_allclose(theirs(torch.tensor([ids])).logits[0].numpy(), found, atol=1e-4)


@pytest.mark.parametrize(("method", "experts"), [("text", 1), ("sft", 4)])
def test_a_new_model_is_as_large_as_its_budget_learns_and_talks(method: str, experts: int, tmp_path: Path) -> None:
    changes = ("new.budget=60K", f"new.experts={experts}", "new.context=64", "plan.batch=64", "plan.pack_tokens=4096")
    one, quiet = recipe(tmp_path, "new", method, *changes), Quiet()
    workshop = open_workshop(one, quiet, 1)
    planned = workshop.training.plan.epochs * sum(len(s) for (s,) in workshop.training.objective.sequences)
    spec = workshop.training.trainable.spec
    assert spec.blocks[0].ffn.experts == experts
    assert round(planned) == json.loads((workshop.checkpoints / "begun" / "budget.json").read_text())["tokens"]
    assert not workshop.work(stopping_after(workshop, 15))
    assert quiet.losses[-1] < quiet.losses[0] - 1
    again = open_workshop(one, quiet, 1)
    assert again.run == workshop.run
    again.training.steps = 20  # of some hundreds
    assert again.work()
    llm = gadfly.load(one.folder)
    assert llm.spec == spec and len(llm.generate("It rains", max_tokens=4, ignore_eos=True).ids) == 4
    assert llm.has_template


def test_a_budget_of_time_takes_the_deepest_model_that_sees_enough(tmp_path: Path, monkeypatch) -> None:
    from gadfly.train import new

    monkeypatch.setattr(new, "_seconds_per_token", lambda spec, *_: len(spec.blocks) ** 2 * 1e-6)
    told, plan = [], recipe(tmp_path, "new", "text").plan
    new.make_new(tmp_path / "model", NewConfig(budget="20 s"), plan, 64, told.append)
    spec, tokens = open_model(tmp_path / "model").spec, new.planned_tokens(tmp_path / "model")
    assert tokens == int(20 / (len(spec.blocks) ** 2 * 1e-6)) > 20 * new._met(spec)
    assert len(told) == len(spec.blocks) + 1
    before = (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns
    new.make_new(tmp_path / "model", NewConfig(budget="20 s"), plan, 64, told.append)
    with pytest.raises(RequestError, match="another budget"):
        new.make_new(tmp_path / "model", NewConfig(budget="1 h"), plan, 64, told.append)
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("method=rl", "method is 'rl'; there are sft, distil, text, dpo, kto"),
        ("full=1", "full is 1; expected true or false"),
        ("preference.beta=0", "beta is 0"),
        ("new.budget=much", "budget is 'much'"),
        ("new.experts=0", "experts is 0"),
        ("longest=2", "longest is 2"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(base: Path, tmp_path: Path, change: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        recipe(tmp_path, base, "sft", change)


def test_judgements_are_not_learnt_by_whole_models(base: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="learns an adapter"):
        recipe(tmp_path, base, "dpo", "full=true")
    assert recipe(tmp_path, base, "dpo", "full=true", "method=text").makes_model


def test_whole_models_are_not_learnt_with_half_the_bits(base: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="small steps"):
        recipe(tmp_path, base, "sft", "full=true", "plan.precision=bfloat16")


def test_data_of_another_method_is_nothing_to_learn(base: Path, tmp_path: Path) -> None:
    one = recipe(tmp_path, base, "sft")
    with pytest.raises(GadflyError, match="nothing that can be learnt by the method kto"):
        open_workshop(read_recipe(tmp_path / "recipe.toml", ["method=kto"]), Quiet(), 1)
    assert one.method == "sft"
