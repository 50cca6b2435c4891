"""gadfly data view: what is trained, as text in which the learnt tokens stand out, or with a token per line."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gadfly.cli.data_report import FILE, JSON
from gadfly.cli.printable import printable
from gadfly.errors import RequestError
from gadfly.settings import home

if TYPE_CHECKING:
    from gadfly.answer import Prompts
    from gadfly.train.data.shown import Shown

__all__ = ["lines_of", "prompts_of", "table_of", "view"]

COLOURS = ("green", "cyan")  # taking turns, so that one sees where a token ends


@click.command("view")
@click.argument("path", type=FILE)
@click.option("--model", default="smollm2", help="Whose template and tokenizer.  [smollm2]")
@click.option("--longest", type=click.IntRange(8, 2**20), default=1024, help="Tokens of a line that are read.  [1024]")
@click.option("--line", type=click.IntRange(1), help="Only what stands in this line.")
@click.option("--limit", type=click.IntRange(1), default=3, help="So many lines at most.  [3]")
@click.option("--tokens", is_flag=True, help="A token per line, with its id.")
@JSON
def view(path: Path, model: str, longest: int, line: int | None, limit: int, tokens: bool, as_json: bool) -> None:
    """Show what is trained, token by token, as the model sees it.

    What is learnt is in colour, changing from token to token, or in ⟦brackets⟧ where there is none; what is only read
    is dim. Tokens of the template are written out.
    """
    from gadfly.lines import Problem
    from gadfly.train.data.native import read_native
    from gadfly.train.data.shown import shown

    prompts, context = prompts_of(model)
    left = limit
    for found in read_native(path):
        number = found.line if isinstance(found, Problem) else found[0].line
        if line not in (None, number):
            continue
        if isinstance(found, Problem):
            click.echo(printable(f"{path}:{number}: {found.text}"), err=True)
            continue
        try:
            sequences = list(shown(found[1], prompts, min(longest, context)))
        except RequestError as error:
            click.echo(printable(f"{path}:{number}: {error}"), err=True)
            continue
        for one in sequences:
            if as_json:
                click.echo(json.dumps(asdict(one), ensure_ascii=False))
            else:
                click.echo("\n".join(table_of(one) if tokens else lines_of(one, sys.stdout.isatty())))
        left -= 1
        if not left:
            return
    if left == limit:
        raise RequestError(f"{path} has nothing to show{f' in line {line}' if line else ''}; see `gadfly data check`")


def prompts_of(model: str) -> "tuple[Prompts, int]":
    """How a model that is here writes conversations, and the tokens that it can read."""
    from gadfly.answer import Prompts
    from gadfly.hub.library import Library
    from gadfly.weights.load import open_model

    file = open_model(Library(home()).require(model))
    return Prompts.of(file), file.spec.context


def lines_of(shown: "Shown", colour: bool) -> Iterator[str]:
    """A head, and the text; learnt runs in colours or in brackets."""
    yield _head(shown)
    text, inside = "", False
    for number, token in enumerate(shown.tokens):
        said = printable(token.text)
        if colour:
            style = {"fg": COLOURS[number % 2]} if token.learnt else {"dim": True}
            text += click.style(said, reverse=token.control, **style)
            continue
        if token.learnt != inside:
            text += "⟦" if token.learnt else "⟧"
            inside = token.learnt
        text += said
    yield text + ("⟧" if inside else "")


def table_of(shown: "Shown") -> Iterator[str]:
    """A head, and a line for each token: its place and id, whether it is learnt, and its text."""
    yield _head(shown)
    for number, token in enumerate(shown.tokens):
        mark = "learnt" if token.learnt else ""
        yield printable(f"{number:>6} {token.id:>7}  {mark:<6}  {token.text if token.control else repr(token.text)}")


def _head(shown: "Shown") -> str:
    learnt = sum(token.learnt for token in shown.tokens)
    cut = f"; {shown.cut} more are cut off" if shown.cut else ""
    return f"line {shown.line}, {shown.what}: {len(shown.tokens)} tokens, {learnt} learnt{cut}"
