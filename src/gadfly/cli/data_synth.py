"""gadfly data synth: the answers of a larger model, as conversations to learn from."""

import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from gadfly.chat.exports.pairs import ALLOWED, Licences
from gadfly.cli.data_report import FILE, JSON
from gadfly.cli.printable import printable
from gadfly.errors import RequestError

if TYPE_CHECKING:
    from gadfly.lines import Problem

__all__ = ["synth"]

MOST_SHOWN = 10


@click.command("synth")
@click.argument("prompts", type=FILE)
@click.option("--teacher", required=True, metavar="URL", help="A server that speaks OpenAI's API.")
@click.option("--out", required=True, type=FILE, help="The file to write, or to go on with.")
@click.option("--model", help="Which of its models. Default: the only one.")
@click.option("--key", envvar="GADFLY_TEACHER_KEY", help="Of the server. Better: set GADFLY_TEACHER_KEY.")
@click.option("--system", metavar="TEXT", help="A system prompt for prompts that have none; it is written, too.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.7, help="Of its answers.  [0.7]")
@click.option("--max-tokens", type=click.IntRange(1), default=512, help="Longer answers are left out.  [512]")
@click.option(
    "--logprobs", type=click.IntRange(1, 20), help="Also keep the likeliest so many tokens of every place, to learn."
)
@click.option("--limit", type=click.IntRange(1), help="Ask only the first so many prompts.")
@click.option("--at-once", type=click.IntRange(1, 64), default=4, help="Questions at the same time.  [4]")
@click.option(
    "--licences",
    type=click.Choice(get_args(Licences)),
    default="free",
    help="Teachers whose outputs may be trained on freely, or under conditions, or all. Default: free.",
)
@JSON
def synth(
    prompts: Path,
    teacher: str,
    out: Path,
    model: str | None,
    key: str | None,
    system: str | None,
    temperature: float,
    max_tokens: int,
    logprobs: int | None,
    limit: int | None,
    at_once: int,
    licences: Licences,
    as_json: bool,
) -> None:
    """Have a model that is served elsewhere answer PROMPTS, and write what it says as conversations to learn from.

    PROMPTS are lines of {"prompt": …} or {"messages": […]}, or a .txt with one in each line. What has been answered is
    not asked again, so the same command goes on after Ctrl-C. Every answer says whose it is and under which licence.
    Exit code 1 if a prompt has no answer.

    \b
    gadfly data synth prompts.txt --teacher http://localhost:8000 --out lessons.jsonl
    gadfly data synth prompts.txt --teacher http://localhost:8000 --logprobs 20 --out lessons.jsonl
    """
    from gadfly.train.data.distillation import distil, verdict
    from gadfly.train.data.teacher import Teacher

    with Teacher(teacher, model, key, temperature, max_tokens, logprobs) as asked:
        allowed = verdict(asked)
        if allowed.training not in ALLOWED[licences]:
            raise RequestError(
                f"training on answers of {asked.name} is {allowed.training}: {allowed.why}; see --licences"
            )
        listener = _Listener()
        done = distil(prompts, out, asked, listener, at_once=at_once, most=limit, system=system)
    listener.end()
    if as_json:
        told = {"out": str(out), "model": asked.name, "lessons": done.lessons, "new": done.new, "failed": done.failed}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{out}: {done.lessons:,} conversations, {done.new:,} of them new; {done.failed:,} unanswered.")
    if done.failed or not done.finished:
        raise click.exceptions.Exit(1)


class _Listener:
    """What goes wrong, and how far it is: over the same line on a terminal, every tenth of the way elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._problems, self._tenth = 0, 0
        self._lock = threading.Lock()

    def problem(self, file: Path, problem: "Problem") -> None:
        with self._lock:
            self._problems += 1
            if self._problems <= MOST_SHOWN:
                start = "\r\033[K" if self._live else ""
                click.echo(f"{start}{printable(f'{file}:{problem.line}: {problem.text}')}", err=True)

    def answered(self, done: int, total: int) -> None:
        with self._lock:
            if self._live:
                click.echo(f"\r\033[K{done:,} of {total:,} prompts", err=True, nl=False)
            elif done * 10 // total > self._tenth:
                self._tenth = done * 10 // total
                click.echo(f"{done:,} of {total:,} prompts", err=True)

    def end(self) -> None:
        if self._live:
            click.echo("\r\033[K", err=True, nl=False)
        if self._problems > MOST_SHOWN:
            click.echo(f"… and {self._problems - MOST_SHOWN:,} more like these", err=True)
