"""gadfly train: makes an adapter or a model as a recipe says."""

import json
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gadfly.cli.printable import printable
from gadfly.cli.stopping import stop_with_input, stopping
from gadfly.cli.train_plan import show_estimate
from gadfly.errors import RequestError

if TYPE_CHECKING:
    from gadfly.lines import Problem
    from gadfly.train.report import Judgement, Report
    from gadfly.train.training import Training
    from gadfly.train.trial import Said

__all__ = ["command"]

MOST_PROBLEMS = 10  # that are shown of a file


@click.command("train")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Another value than the recipe's; repeatable."
)
@click.option(
    "--plan", "planned", is_flag=True, help="Only say what it will take and learn from; some steps are timed."
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Processors to use. Default: all.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object per step on stdout.")
@click.option("--until-eof", is_flag=True, help="Stop as by Ctrl-C when stdin ends, as it does with who started this.")
def command(
    recipe: Path, changes: Sequence[str], planned: bool, threads: int | None, as_json: bool, until_eof: bool
) -> None:
    """Teach a model from examples, texts, preferences or thumbs, as RECIPE says, or make a small one from nothing.

    What is learnt is an adapter, a small folder beside the model, which stays as it is; or, if the recipe says so, a
    model. Ctrl-C stops after the step under way, and the same command goes on from there, as it does after a crash.
    gadfly chat --adapter lets an adapter speak, and gadfly convert --adapter makes a model of both. Needs the extra:
    pip install 'gadfly[train]'

    \b
    gadfly train recipe.toml --plan
    gadfly train recipe.toml
    gadfly train recipe.toml --set plan.epochs=1 --set lora.rank=8
    torchrun --nproc-per-node 2 -m gadfly train recipe.toml
    """
    if find_spec("torch") is None:
        raise RequestError("training needs PyTorch, which is not installed: pip install 'gadfly[train]'")
    from gadfly.train.group import joined
    from gadfly.train.recipe import read_recipe
    from gadfly.train.run import open_workshop

    if until_eof:
        stop_with_input()
    with joined() as group:
        read = read_recipe(recipe, changes)
        watcher = _Watcher(as_json) if group is None or group.first else _Silent()
        if planned:
            if group is not None:
                raise RequestError("--plan times the steps of one process; ask without torchrun")
            show_estimate(read, watcher, threads, as_json)
            return
        with stopping(together=group is not None) as stop:
            workshop = open_workshop(read, watcher, threads, group)
            finished = workshop.work(lambda: bool(stop))
    if group is not None and not group.first:
        sys.exit(0 if finished else 130)
    if not finished:
        step, steps = workshop.training.step, workshop.training.steps
        click.echo(f"\nStopped after step {step} of {steps}; the same command goes on from there.", err=True)
        sys.exit(130)
    if read.makes_model:
        click.echo(f"{read.folder}: a model.", err=as_json)
        click.echo(f"Try it: gadfly chat --model {read.folder}", err=as_json)
        return
    click.echo(f"{read.folder}: an adapter for {read.base}.", err=as_json)
    click.echo(f"Try it: gadfly chat {read.base} --adapter {read.folder}", err=as_json)


class _Silent:
    """Of a process that another one speaks for."""

    def problem(self, file: Path, problem: "Problem") -> None: ...
    def note(self, text: str) -> None: ...
    def prepared(self, done: int, total: int) -> None: ...
    def began(self, training: "Training", train: int, valid: int, resumed: bool) -> None: ...
    def advanced(self, training: "Training", report: "Report") -> None: ...
    def evaluated(self, step: int, judged: "Judgement") -> None: ...
    def tried(self, step: int, said: "Sequence[Said]") -> None: ...


class _Watcher:
    """Lines on stdout; on a terminal the line of the current step is written over by the next."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._problems: dict[Path, int] = {}
        self._began, self._first = 0.0, 0
        self._live = sys.stdout.isatty() and not as_json

    def problem(self, file: Path, problem: "Problem") -> None:
        self._problems[file] = count = self._problems.get(file, 0) + 1
        if self._json:
            if count <= MOST_PROBLEMS:
                self._say("", {"event": "problem", "file": file.name, "line": problem.line, "text": problem.text})
            return
        if count <= MOST_PROBLEMS:
            click.echo(f"{file}:{problem.line}: {printable(problem.text)}", err=True)
        if count == MOST_PROBLEMS:
            click.echo(f"{file}: more lines like these are left out without a word", err=True)

    def began(self, training: "Training", train: int, valid: int, resumed: bool) -> None:
        self._began, self._first = time.monotonic(), training.step
        parameters = sum(one.numel() for one in training.trainable.parameters.values())
        where = f"going on after step {training.step}" if resumed else "beginning"
        self._say(
            f"{train:,} samples to learn from, {valid:,} to judge by; {parameters:,} numbers to learn in "
            f"{training.steps} steps; {where}",
            {"event": "began", "train": train, "valid": valid, "steps": training.steps, "step": training.step},
        )

    def advanced(self, training: "Training", report: "Report") -> None:
        each = (time.monotonic() - self._began) / (report.step - self._first)
        left = each * (training.steps - report.step)
        text = (
            f"step {report.step}/{training.steps}  {_shown(report.judged)}  "
            f"{report.tokens / report.seconds:.0f} tokens/s  {int(left) // 60}:{int(left) % 60:02} left"
        )
        said = {name: value for name, value in vars(report).items() if name != "judged"}
        self._say(text, {"event": "step", **said, **_told(report.judged)}, live=True)

    def evaluated(self, step: int, judged: "Judgement") -> None:
        self._say(
            f"after step {step}: {_shown(judged)} on what it has not seen",
            {"event": "judged", "step": step, **_told(judged)},
        )

    def tried(self, step: int, said: "Sequence[Said]") -> None:
        for one in said:
            text = printable(" ".join(one.text.split()))
            self._say(
                f"{f'after step {step}' if step else 'before'}: {printable(' '.join(one.prompt.split()))} … {text}",
                {"event": "tried", "step": step, "prompt": one.prompt, "text": one.text},
            )

    def prepared(self, done: int, total: int) -> None:
        if self._live or self._json:
            self._say(f"{done} of {total}", {"event": "prepared", "done": done, "total": total}, live=True)

    def note(self, text: str) -> None:
        self._say(text, {"event": "note", "text": text})

    def _say(self, text: str, event: dict[str, object], live: bool = False) -> None:
        if self._json:
            click.echo(json.dumps({"at": round(time.time(), 3), **event}))
        elif self._live:
            click.echo(f"\r\033[K{text}" if live else f"\r\033[K{text}\n", nl=False)
        else:
            click.echo(text)
        sys.stdout.flush()


def _shown(judged: "Judgement") -> str:
    figures = "".join(f"  {name} {value:.3f}" for name, value in judged.figures.items())
    return f"loss {judged.loss:.4f}{figures}"


def _told(judged: "Judgement") -> dict[str, float]:
    return {"loss": judged.loss, **judged.figures}
