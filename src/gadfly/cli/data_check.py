"""gadfly data check: what is wrong with data, by line."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gadfly.cli.data_report import FILE, JSON, first_lines
from gadfly.cli.data_view import prompts_of
from gadfly.cli.printable import printable
from gadfly.cli.progress import showing_progress
from gadfly.hub.progress import Silent

if TYPE_CHECKING:
    from gadfly.train.data.check import Check

__all__ = ["check"]

LARGE = 5_000_000  # bytes: what takes more than a moment


@click.command("check")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=FILE)
@click.option("--model", help="Count tokens as this model sees them, and say what is cut off.")
@click.option("--longest", type=click.IntRange(8, 2**20), default=1024, help="Tokens of a line that are read.  [1024]")
@click.option("--against", multiple=True, type=FILE, help="An evaluation set that must not be in it; repeatable.")
@JSON
def check(paths: Sequence[Path], model: str | None, longest: int, against: Sequence[Path], as_json: bool) -> None:
    """Report what is wrong with data, by line: damage, duplicates, nothing to learn, what is cut off, leaks, licences.

    PATH is a file of lines, or a folder with train.jsonl, valid.jsonl and test.jsonl. Exit code 1 if anything is wrong.
    Lines that differ in capitals or punctuation only, and licences with conditions, are told, but are not wrong.
    """
    from gadfly.train.data.check import Check, data_files
    from gadfly.train.data.leaks import Leaks

    prompts, context = prompts_of(model) if model else (None, longest)
    found = Check(prompts, min(longest, context), Leaks(against) if against else None)
    files = data_files(paths)
    done, total = 0, sum(path.stat().st_size for path in files if path.exists())

    def advanced(size: int) -> None:
        nonlocal done
        done += size
        progress.advance(min(done, total), total)  # what is unpacked on the way is more

    with showing_progress() if total > LARGE else nullcontext(Silent()) as progress:
        for path in files:
            found.read(path, advanced)
    if as_json:
        click.echo(json.dumps(found.report(), indent=2))
    else:
        _show(found)
    if found.wrong:
        raise click.exceptions.Exit(1)


def _show(found: "Check") -> None:
    for name, counts in found.files.items():
        has = ", ".join(
            f"{getattr(counts, field):,} {field}"
            for field in ("lessons", "preferences", "thumbs", "texts", "messages", "characters")
            if getattr(counts, field)
        )
        tokens = f"; {counts.tokens:,} tokens, {counts.learnt:,} learnt, {counts.longest:,} at most in a line"
        click.echo(f"{printable(name)}: {has or 'nothing'}{tokens if counts.tokens else ''}")
    for kind, count in found.counts.items():
        first_lines([f"{one.file}:{one.line}: {kind}: {one.text}" for one in found.findings if one.kind == kind], count)
    told = ", ".join(f"{count:,} {kind}" for kind, count in found.counts.items())
    click.echo(f"{'Not in order' if found.wrong else 'In order'}{f': {told}' if told else ''}.")
