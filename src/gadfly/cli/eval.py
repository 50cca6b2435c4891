"""gadfly eval: judges a model by files of questions, and the answers of the app by the votes of those who read them."""

import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.cli.eval_table import rank_lines, verdict_lines
from gadfly.cli.printable import printable
from gadfly.settings import home

if TYPE_CHECKING:
    from gadfly.evaluate.judge import Verdict
    from gadfly.evaluate.question import Task

__all__ = ["command"]

FILE = click.Path(path_type=Path)


@click.command("eval")
@click.argument("model", required=False)
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option("--task", "named", multiple=True, metavar="[KIND=]FILE", help="A file of questions; repeatable.")
@click.option("--limit", type=click.IntRange(1), help="Draw so many questions of each file.")
@click.option("--persona", help="Who answers. Default: nobody, the model as its template has it.")
@click.option("--wit", type=click.FloatRange(0, 1), default=0.5, help="Of the persona.  [0.5]")
@click.option("--system", help="A system prompt.")
@click.option("--temperature", type=float, default=0.0, help="0 always takes the likeliest word.  [0]")
@click.option("--seed", type=int, default=0, help="Of what is drawn: questions, and words.  [0]")
@click.option("--max-tokens", type=click.IntRange(1), help="Cut answers off after so many. Default: the task's.")
@click.option("--context", type=click.IntRange(16), help="Tokens the model can see. Default: up to 8192.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Processors to use. Default: all.")
@click.option("--out", type=FILE, help="Keep outcomes in this file, a .jsonl; with it, the same command goes on.")
@click.option("--against", type=FILE, help="Compare with the outcomes of another run: what its --out has written.")
@click.option("--gate", "gates", multiple=True, metavar="CONDITION", help="Exit code 1 unless it holds; repeatable.")
@click.option("--votes", is_flag=True, help="No model: strengths from the blind votes in the app.")
@click.option("--all-votes", is_flag=True, help="Also votes of those who saw whose the answers were.")
@click.option("--owner", default="", help="Whose votes, where gadfly serve has keys: the name of a key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(
    model: str | None,
    files: Sequence[str],
    named: Sequence[str],
    limit: int | None,
    gates: Sequence[str],
    votes: bool,
    all_votes: bool,
    owner: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Judge MODEL by files of questions: how well it reads, what it knows, whom it refuses, whom it prefers.

    A file is recognised by its ending or its keys: plain text (perplexity), TruthfulQA, GSM8K, XSTest, paired prompts
    (even_handedness), preference pairs, multiple choice (choice, letters), questions with short answers (exact).
    KIND= says which, where that is not enough. Numbers come with 95 % intervals.

    A gate is a condition such as xstest.safe_refused<=0.03 or, with --against, perplexity<=base*1.1. Exit code 1 if one
    does not hold. Refusals are told by phrases, of which docs/eval.md has the list.

    \b
    gadfly eval smollm2 book.txt TruthfulQA.csv --limit 100
    gadfly eval smollm2 --task xstest_prompts.csv --out base.jsonl
    gadfly eval ./mine.gguf --task xstest_prompts.csv --against base.jsonl --gate "xstest.safe_refused<=base+0.02"
    gadfly eval --votes
    """
    if votes or all_votes:
        if model or files or named:
            raise click.UsageError("--votes is of all chats; name no model and no files.")
        _show_votes(owner, not all_votes, as_json)
        return
    given = [*files, *named]
    if not model or not given:
        raise click.UsageError("Name a model and a file of questions, or see --help.")
    _judge(model, given, limit, gates, as_json, **options)


def _judge(
    model: str, given: Sequence[str], limit: int | None, conditions: Sequence[str], as_json: bool, **options: Any
) -> None:
    from gadfly.cli.loading import load_model
    from gadfly.completion import Sampling
    from gadfly.evaluate.gate import Gate
    from gadfly.evaluate.journal import Journal, read_journal
    from gadfly.evaluate.judge import ask, judge
    from gadfly.evaluate.subject import AT_ONCE, Manner, Subject
    from gadfly.settings import load_settings

    seed, out, against = options["seed"], options["out"], options["against"]
    gates = [Gate.parse(text) for text in conditions]
    tasks = [_task(one, limit, seed) for one in given]
    sampling = Sampling(temperature=options["temperature"], seed=seed)
    manner = Manner(options["persona"], options["wit"], options["system"], sampling, options["max_tokens"])
    base = read_journal(against)[1] if against else None
    settings = load_settings({"model": model, "threads": options["threads"]})
    llm = load_model(model, settings, options["context"], contexts=AT_ONCE)
    subject, progress = Subject(llm, manner), _Progress()
    with Journal(out, {"model": _identity(llm), **manner.terms}) as journal:
        try:
            ask(tasks, subject, journal, progress.advanced)
        except KeyboardInterrupt:
            progress.end()
            kept = "the same command goes on" if out else "nothing is kept without --out"
            click.echo(f"Stopped; {kept}.", err=True)
            raise click.exceptions.Exit(130) from None
        progress.end()
        verdicts = [judge(task, journal.outcomes, base) for task in tasks]
    results = [(gate, gate.passed(verdicts)) for gate in gates]
    if as_json:
        told = {"model": model, "terms": manner.terms, "tasks": [_table(one) for one in verdicts]}
        click.echo(json.dumps({**told, "gates": {gate.text: passed for gate, passed in results}}, indent=2))
    else:
        click.echo("\n".join(verdict_lines(verdicts)))
        for gate, passed in results:
            click.echo(f"{'holds' if passed else 'DOES NOT HOLD'}: {printable(gate.text)}")
    if not all(passed for _, passed in results):
        raise click.exceptions.Exit(1)


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


def _show_votes(owner: str, blind: bool, as_json: bool) -> None:
    from gadfly.chat.store import Store
    from gadfly.evaluate.arena import ranked, votes_of

    with closing(Store(home() / "chats.sqlite")) as store:
        ranks = ranked(votes_of(store, owner, blind))
    if as_json:
        click.echo(json.dumps([asdict(rank) for rank in ranks], indent=2))
    elif ranks:
        click.echo("\n".join(rank_lines(ranks)))
    else:
        which = "blind votes between" if blind else "votes between"
        click.echo(f"There are no {which} different models, personas or strengths yet.", err=True)
    if not ranks:
        raise click.exceptions.Exit(1)


class _Progress:
    """A line on stderr that is written over on a terminal, and every tenth of the way a line elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._task, self._began, self._first, self._shown = "", 0.0, 0, -1

    def advanced(self, task: "Task", done: int, total: int) -> None:
        if task.id != self._task:
            self._task, self._began, self._first, self._shown = task.id, time.monotonic(), done, -1
        each = (time.monotonic() - self._began) / (done - self._first) if done > self._first else 0.0
        left = int(each * (total - done))
        text = f"{task.kind} {done}/{total}" + (f"  {left // 60}:{left % 60:02} left" if each else "")
        if self._live:
            click.echo(f"\r\033[K{text}", err=True, nl=False)
        elif done * 10 // max(1, total) > self._shown:
            self._shown = done * 10 // max(1, total)
            click.echo(text, err=True)

    def end(self) -> None:
        if self._live:
            click.echo("\r\033[K", err=True, nl=False)
