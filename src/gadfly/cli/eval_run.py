"""A run of gadfly eval: asks a model, at one strength or along the dial, and shows what came of it."""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.cli.eval_table import dial_lines, verdict_lines
from gadfly.cli.options import read_adapters
from gadfly.cli.printable import printable
from gadfly.errors import RequestError

if TYPE_CHECKING:
    from gadfly.evaluate.gate import Gate
    from gadfly.evaluate.judge import Verdict
    from gadfly.evaluate.question import Task
    from gadfly.evaluate.subject import Subject
    from gadfly.llm import LLM

__all__ = ["judge_model"]


def judge_model(
    model: str,
    given: Sequence[str],
    limit: int | None,
    conditions: Sequence[str],
    as_json: bool,
    *,
    dial: int | None,
    adapters: Sequence[str],
    **options: Any,
) -> None:
    """Exits with 1 if a gate does not hold, with 130 after Ctrl-C. Raises GadflyError."""
    from gadfly.cli.loading import load_model
    from gadfly.completion import Sampling
    from gadfly.evaluate.dial import steps_of
    from gadfly.evaluate.gate import Gate
    from gadfly.evaluate.journal import read_journal
    from gadfly.evaluate.subject import AT_ONCE, Manner, Subject
    from gadfly.settings import load_settings

    if dial and options["against"]:
        raise click.UsageError("With --dial the base is strength 0; leave out --against.")
    gates = [Gate.parse(text) for text in conditions]
    tasks = [_task(one, limit, options["seed"]) for one in given]
    sampling = Sampling(temperature=options["temperature"], seed=options["seed"])
    manner = Manner(options["persona"], options["wit"], options["system"], sampling, options["max_tokens"])
    base = read_journal(options["against"])[1] if options["against"] else None
    settings = load_settings({"model": model, "threads": options["threads"]})
    llm = load_model(model, settings, options["context"], contexts=AT_ONCE, adapters=read_adapters(adapters))
    subject = Subject(llm, manner)
    told = {"model": model, "terms": subject.terms}
    if dial is None:
        (verdicts,) = _run(llm, tasks, {None: lambda: subject}, subject, options["out"], base)
        passed = _show(told, verdicts, gates, as_json)
    else:
        if not any(subject.strengths.values()):
            raise RequestError("no adapter is on, so there is no dial to turn; name one with --adapter")
        steps = steps_of(dial)
        turned: dict[float | None, Callable[[], Subject]] = {
            step: _turned(Subject, llm, manner, subject.strengths, step) for step in steps
        }
        passed = _show_dial(told, steps, _run(llm, tasks, turned, subject, options["out"], None), gates, as_json)
    if not passed:
        raise click.exceptions.Exit(1)


def _show(told: Mapping[str, Any], verdicts: "Sequence[Verdict]", gates: "Sequence[Gate]", as_json: bool) -> bool:
    """Whether all gates hold."""
    results = [(gate.text, gate.passed(verdicts)) for gate in gates]
    if as_json:
        click.echo(json.dumps({**told, "tasks": [_table(one) for one in verdicts], "gates": dict(results)}, indent=2))
    else:
        click.echo("\n".join(verdict_lines(verdicts)))
        for text, passed in results:
            click.echo(f"{'holds' if passed else 'DOES NOT HOLD'}: {printable(text)}")
    return all(passed for _, passed in results)


def _show_dial(
    told: Mapping[str, Any],
    steps: Sequence[float],
    sweep: "Sequence[Sequence[Verdict]]",
    gates: "Sequence[Gate]",
    as_json: bool,
) -> bool:
    """Whether all gates hold at every step."""
    reaches = [(gate.text, _reach(gate, steps, sweep)) for gate in gates]
    if as_json:
        places = [
            {"step": step, "tasks": [_table(one) for one in verdicts]}
            for step, verdicts in zip(steps, sweep, strict=True)
        ]
        click.echo(json.dumps({**told, "dial": places, "gates": dict(reaches)}, indent=2))
    else:
        click.echo("\n".join(dial_lines(steps, sweep)))
        for text, reach in reaches:
            click.echo(f"{'holds nowhere' if reach is None else f'holds up to {reach:g}'}: {printable(text)}")
    return all(reach == 1.0 for _, reach in reaches)


def _turned(
    make: "type[Subject]", llm: "LLM", manner: Any, strengths: Mapping[str, float], step: float
) -> "Callable[[], Subject]":
    return lambda: make(llm, replace(manner, adapters={name: step * full for name, full in strengths.items()}))


def _run(
    llm: "LLM",
    tasks: "Sequence[Task]",
    subjects: "Mapping[float | None, Callable[[], Subject]]",
    whole: "Subject",
    out: Path | None,
    base: Any,
) -> "list[list[Verdict]]":
    """Verdicts of every place of the dial; those along it are compared with the first."""
    from gadfly.evaluate.journal import Journal
    from gadfly.evaluate.judge import ask, judge

    progress = _Progress()
    with Journal(out, {"model": _identity(llm), **whole.terms}) as journal:
        try:
            for dial, make in subjects.items():
                ask(tasks, make(), journal, progress.at(dial), dial)
        except KeyboardInterrupt:
            progress.end()
            kept = "the same command goes on" if out else "nothing is kept without --out"
            click.echo(f"Stopped; {kept}.", err=True)
            raise click.exceptions.Exit(130) from None
        progress.end()
        known = base if None in subjects else journal.outcomes
        first = next(iter(subjects))
        return [[judge(task, journal.outcomes, known, dial, first) for task in tasks] for dial in subjects]


def _reach(gate: "Gate", steps: Sequence[float], sweep: "Sequence[Sequence[Verdict]]") -> float | None:
    """The last step up to which a gate holds at all; None: not even for the base."""
    reach = None
    for step, verdicts in zip(steps, sweep, strict=True):
        if not gate.passed(verdicts):
            break
        reach = step
    return reach


def _task(given: str, limit: int | None, seed: int) -> "Task":
    from gadfly.evaluate.tasks import KINDS, open_task

    kind, equals, name = given.partition("=")
    if equals and kind in KINDS:
        return open_task(Path(name), kind, limit, seed)
    return open_task(Path(given), None, limit, seed)


def _identity(llm: Any) -> str:
    """Of the weights: the digest that the library knows, or what of a file tells it from another."""
    provenance = llm.provenance
    return provenance.digest or f"{llm.path.name}, {llm.path.stat().st_size} bytes"


def _table(verdict: "Verdict") -> dict[str, Any]:
    task = verdict.task

    def numbers(metrics: Any) -> dict[str, Any]:
        return {
            name: {key: value if math.isfinite(value) else None for key, value in asdict(metric).items()}
            for name, metric in metrics.items()
        }

    return {
        "kind": task.kind,
        "file": str(task.file),
        "sha256": task.digest,
        "questions": len(task.questions),
        "left_out": task.left_out,
        "skipped": verdict.skipped,
        "metrics": numbers(verdict.metrics),
        "base": numbers(verdict.base),
    }


class _Progress:
    """A line on stderr that is written over on a terminal, and every tenth of the way a line elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._task, self._began, self._first, self._shown = "", 0.0, 0, -1

    def at(self, dial: float | None) -> "Callable[[Task, int, int], None]":
        """Whom to tell at this place of the dial."""
        place = "" if dial is None else f" at {dial:g}"
        return lambda task, done, total: self._advanced(task, place, done, total)

    def _advanced(self, task: "Task", place: str, done: int, total: int) -> None:
        if task.id + place != self._task:
            self._task, self._began, self._first, self._shown = task.id + place, time.monotonic(), done, -1
        each = (time.monotonic() - self._began) / (done - self._first) if done > self._first else 0.0
        left = int(each * (total - done))
        text = f"{task.kind}{place} {done}/{total}" + (f"  {left // 60}:{left % 60:02} left" if each else "")
        if self._live:
            click.echo(f"\r\033[K{text}", err=True, nl=False)
        elif done * 10 // max(1, total) > self._shown:
            self._shown = done * 10 // max(1, total)
            click.echo(text, err=True)

    def end(self) -> None:
        if self._live:
            click.echo("\r\033[K", err=True, nl=False)
