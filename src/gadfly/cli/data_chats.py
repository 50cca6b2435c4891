"""gadfly data from-chats: what users thought of answers, as data to learn from."""

import json
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, BinaryIO, get_args

import click

from gadfly.chat.exports.pairs import Licences
from gadfly.cli.data_report import FILE, JSON, require_free
from gadfly.settings import home

__all__ = ["from_chats"]


@click.command("from-chats")
@click.option("--out", required=True, type=FILE, help="The folder to write.")
@click.option("--owner", default="", help="Whose, where gadfly serve has keys: the name of a key.")
@click.option(
    "--licences",
    type=click.Choice(get_args(Licences)),
    default="free",
    help="Answers that models may be trained on freely, or under conditions, or all. Default: free.",
)
@JSON
def from_chats(out: Path, owner: str, licences: Licences, as_json: bool) -> None:
    """Gather what you thought of answers in the chats that are kept here.

    Corrections, votes and thumbs on versions of an answer become preferences (pairs.jsonl), answers with a thumb up
    conversations to learn from (lessons.jsonl), thumbs on answers without another to compare thumbs.jsonl. Answers of
    models whose licence forbids training on them are left out, and counted. Exit code 1 if there is nothing.
    """
    from gadfly.chat.store import Store
    from gadfly.lines import line_of
    from gadfly.train.data.opinions import Gathered, gather
    from gadfly.weights.disk import new_file, replacing_folder

    require_free(out)
    gathered = Gathered()
    with closing(Store(home() / "chats.sqlite")) as store:
        lines = gather(store, owner, licences, gathered)
        first = next(lines, None)
        if first is not None:
            with replacing_folder(out.absolute(), 0) as aside, ExitStack() as stack:
                parts: dict[str, BinaryIO] = {}
                for name, table in _after(first, lines):
                    if name not in parts:
                        parts[name] = stack.enter_context(new_file(aside / name))
                    parts[name].write(line_of(table))
                stack.close()  # on disk before the folder has its name
    if as_json:
        click.echo(json.dumps({"out": str(out), "lines": gathered.lines, "left_out": gathered.left_out}, indent=2))
    else:
        for what, count in gathered.left_out.items():
            click.echo(f"{count} answers or pairs are left out: training on them is {what}", err=True)
        for name, count in gathered.lines.items():
            click.echo(f"{out / name}: {count:,} lines")
        if not gathered.lines:
            click.echo("Nothing: no answer has a correction, a vote or a thumb that may be learnt from.", err=True)
    if not gathered.lines:
        raise click.exceptions.Exit(1)


def _after(first: Any, rest: Iterable[Any]) -> Iterable[Any]:
    yield first
    yield from rest
