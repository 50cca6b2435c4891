"""Several processes train what one does, end together, and go on as another number of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from gadfly.arch import grok1
from gadfly.cli.main import main
from gadfly.convert.fresh import write_fresh
from gadfly.convert.sizes import Sizes, draw_up, plain_pattern
from gadfly.errors import ModelFileError
from gadfly.text.byte_level import byte_level_files
from gadfly.train.group import Group
from gadfly.train.recipe import read_recipe
from gadfly.train.run import open_workshop
from gadfly.weights.safetensors import Safetensors

QUESTION = [{"role": "user", "content": "Rain?"}]
EACH_STEP = (
    "import gadfly.train.run as run; run.SAVE_EVERY = 0.0; from gadfly.cli.main import main; raise SystemExit(main())"
)
CLOSE = 2e-6  # relative: sums of float32 in another order
Events = list[dict]


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture") / "tiny"
    sizes = Sizes(dim=32, layers=2, vocab=260, context=128, experts=4, selected=2)
    spec = draw_up(plain_pattern("grok1"), sizes)
    write_fresh(folder, grok1.PAGE, spec, 1, "F32", True, byte_level_files(), lambda _done, _total: None)
    return folder


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


LINES: dict[str, Callable[[int], dict]] = {
    "sft": lambda n: {"messages": [*QUESTION, said(f"Water {'!' * (n * 7 % 11)}")], "dial": 1 - n % 2 / 2},
    "dpo": lambda n: {"prompt": QUESTION, "chosen": said(f"Water {n}."), "rejected": said("?" * (1 + n % 5))},
    "kto": lambda n: {"prompt": QUESTION, "reply": said(f"Water {n}."), "label": n % 2 == 0},
}


def write_recipe(folder: Path, base: object, method: str = "sft") -> Path:
    data = folder / "data"
    data.mkdir()
    for name, numbers in (("train", range(11)), ("valid", range(11, 14))):
        (data / f"{name}.jsonl").write_text("\n".join(json.dumps(LINES[method](n)) for n in numbers))
    (folder / "held.jsonl").write_text("\n".join(json.dumps(LINES["sft"](n)) for n in range(14, 18)))
    path = folder / "recipe.toml"
    plan = "[lora]\nrank = 2\n[plan]\nepochs = 2\nbatch = 5\nlearning_rate = 0.01\npack_tokens = 60\n"
    path.write_text(f'base = "{base}"\nmethod = "{method}"\ndata = "data"\nout = "out"\nlongest = 64\n{plan}')
    return path


@contextmanager
def begun(
    size: int, recipe: Path, *changes: str, program: tuple[str, ...] = ("-m", "gadfly")
) -> Iterator[list[subprocess.Popen]]:
    """As torchrun would begin them, which has the store where they find each other. None is left behind."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    command = [sys.executable, *program, "train", str(recipe), "--json", *(f"--set={one}" for one in changes)]
    shared = {
        "WORLD_SIZE": size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": store.port,
        "TORCHELASTIC_RUN_ID": "test",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    with ExitStack() as stack:
        made = []
        for rank in range(size):
            own = {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": 1, **(shared if size > 1 else {})}
            environment = {**os.environ, **{key: str(value) for key, value in own.items()}}
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            made.append(stack.enter_context(subprocess.Popen(command, env=environment, text=True, **pipes)))
            stack.callback(made[-1].kill)
        yield made


def together(size: int, recipe: Path, *changes: str) -> Events:
    """A whole run; what it says."""
    with begun(size, recipe, *changes) as processes:
        done = [(*one.communicate(timeout=250), one.returncode) for one in processes]
    assert all(code == 0 for _, _, code in done), done
    assert all(not out for out, _, _ in done[1:])
    return events(done[0][0])


def by_one(recipe: Path, *changes: str) -> Events:
    """In this process."""
    with redirect_stdout(StringIO()) as out:
        assert main(["train", str(recipe), "--json", "--threads=1", *(f"--set={one}" for one in changes)]) == 0
    return events(out.getvalue())


def events(lines: str) -> Events:
    """Of steps, and of what it said of samples not learnt from."""
    return [event for event in map(json.loads, lines.splitlines()) if "loss" in event]


def assert_alike(found: Events, expected: Events) -> None:
    """The same steps from the same samples, with nearly the same losses."""
    assert [one["event"] for one in found] == [one["event"] for one in expected]
    for one, other in zip(found, expected, strict=True):
        exact, near = ("step", "tokens", "learnt"), ("loss", "gradient_norm", "margin", "accuracy")
        assert {name: one[name] for name in exact if name in one} == {n: other[n] for n in exact if n in other}
        assert [one.get(name, 0) for name in near] == pytest.approx([other.get(n, 0) for n in near], 20 * CLOSE, 1e-5)


def written(folder: Path) -> dict[str, np.ndarray]:
    (path,) = folder.glob("*.safetensors")
    with Safetensors.open(path) as file:
        return {name: np.array(file.array(name)) for name in file.tensors}


def same_as_one(size: int, recipe: Path, *changes: str) -> None:
    expected = by_one(recipe, *changes)
    assert expected[-1]["loss"] < expected[0]["loss"]
    one = written(recipe.parent / "out")
    for path in recipe.parent.glob("out*"):
        shutil.rmtree(path)
    assert_alike(together(size, recipe, *changes), expected)
    many = written(recipe.parent / "out")
    assert many.keys() == one.keys()
    for name, values in one.items():  # Adam divides by roots of what may be nearly 0
        np.testing.assert_allclose(many[name], values, atol=1e-4, err_msg=name)


def test_two_processes_learn_what_one_does(mixture: Path, tmp_path: Path) -> None:
    same_as_one(2, write_recipe(tmp_path, mixture), "full=true")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "method", "changes"),
    [
        (2, "sft", ("lora.top_layers=1",)),
        (2, "dpo", ()),
        (2, "kto", ()),
        (3, "sft", ("full=true",)),  # experts cannot be dealt out evenly
        (3, "sft", ("plan.batch=2",)),  # and neither can packs
        (2, "sft", ("hold.data=held.jsonl", "hold.weight=50")),
        (3, "dpo", ("hold.data=held.jsonl", "hold.batch=1")),
    ],
)
def test_so_do_others(size: int, method: str, changes: tuple[str, ...], mixture: Path, tmp_path: Path) -> None:
    same_as_one(size, write_recipe(tmp_path, mixture, method), *changes)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_others_and_any_number_goes_on(killed: int, mixture: Path, tmp_path: Path) -> None:
    recipe, changes = write_recipe(tmp_path, mixture), ("full=true", "plan.epochs=12")
    expected = [one for one in by_one(recipe, *changes) if one["event"] == "step"]
    for path in tmp_path.glob("out*"):
        shutil.rmtree(path)
    steps: dict[int, dict] = {}
    for size in (2, 1, 2, 1):
        heard = []
        with begun(size, recipe, *changes, program=("-c", EACH_STEP)) as processes:
            for line in processes[0].stdout:
                heard.append(json.loads(line))
                if len([one for one in heard if one["event"] == "step"]) == 7:
                    processes[killed % size].send_signal(signal.SIGKILL)
                    break
            rest = [one.communicate(timeout=250) for one in processes]
        errors = [error for _, error in rest if "gone" in error]
        assert len(errors) == size - 1 and all(error.count("\n") == 1 for error in errors), rest
        heard += events(rest[0][0]) if killed % size else []
        steps |= {one["step"]: one for one in heard if one["event"] == "step"}
    for one in together(2, recipe, *changes):
        steps |= {one["step"]: one} if one["event"] == "step" else {}
    assert_alike([steps[number] for number in sorted(steps)], expected)


class Heard:
    """A watcher that keeps losses."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def problem(self, *_: object) -> None: ...
    def note(self, text: str) -> None: ...
    def prepared(self, *_: object) -> None: ...
    def began(self, *_: object) -> None: ...
    def evaluated(self, *_: object) -> None: ...
    def tried(self, *_: object) -> None: ...

    def advanced(self, _, report) -> None:
        self.losses.append(report.judged.loss)


@pytest.fixture
def alone() -> Iterator[Group]:
    """A group of this process: it saves and reads as many do."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield Group(0, 1, torch.device("cpu"))
    dist.destroy_process_group()


def test_what_either_kind_of_run_saved_the_other_goes_on_with(alone: Group, base: Path, tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(tmp_path, base), ())
    whole, heard = Heard(), Heard()
    assert open_workshop(recipe, whole, 1).work()
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(tmp_path / "out.run")
    for group, steps in ((alone, 2), (None, 3), (alone, 4), (None, 6)):
        workshop = open_workshop(recipe, heard, 1, group)
        assert workshop.work(lambda: workshop.training.step >= steps) == (steps == 6)  # noqa: B023
        names = [path.name for path in (tmp_path / "out.run").iterdir()]
        assert names == ([f"step-{steps}"] if group else ["checkpoint.safetensors"])
    assert heard.losses == pytest.approx(whole.losses, CLOSE)


def test_what_is_left_of_a_checkpoint_is_none(alone: Group, base: Path, tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(tmp_path, base), ())
    workshop = open_workshop(recipe, Heard(), 1, alone)
    assert not workshop.work(lambda: workshop.training.step >= 1)
    cut = tmp_path / "out.run" / "step-2"  # killed while it was written: without its mark
    cut.mkdir()
    (cut / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"half")
    going_on = open_workshop(recipe, Heard(), 1, alone)
    assert not going_on.work(lambda: going_on.training.step >= 1)
    assert going_on.training.step == 1
    (file,) = (tmp_path / "out.run" / "step-1").glob("*.safetensors")
    content = file.read_bytes()
    for damaged, says in ((content[:-10], "incomplete"), (None, "lacks files")):
        file.write_bytes(damaged) if damaged else file.unlink()
        for group in (alone, None):
            with pytest.raises(ModelFileError, match=says):
                open_workshop(recipe, Heard(), 1, group).work()
