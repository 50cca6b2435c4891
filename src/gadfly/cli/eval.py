"""gadfly eval: judges a model by files of questions, and the answers of the app by the votes of those who read them."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gadfly.cli.eval_run import judge_model
from gadfly.cli.eval_table import rank_lines
from gadfly.cli.options import adapter_option
from gadfly.settings import home

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
@adapter_option
@click.option(
    "--dial", type=click.IntRange(2, 101), help="Turn adapters up in so many steps, from 0 to their strength."
)
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

    With --dial, numbers are those of every step, compared with the base; gates have to hold at each, and it is told up
    to which they do.

    \b
    gadfly eval smollm2 book.txt TruthfulQA.csv --limit 100
    gadfly eval smollm2 --task xstest_prompts.csv --out base.jsonl
    gadfly eval ./mine.gguf --task xstest_prompts.csv --against base.jsonl --gate "xstest.safe_refused<=base+0.02"
    gadfly eval smollm2 --adapter my-gadfly=1 --dial 6 --task pairs.jsonl --task book.txt --gate "perplexity<=base*1.1"
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
    judge_model(model, given, limit, gates, as_json, **options)


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
