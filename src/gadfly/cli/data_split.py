"""gadfly data split: what is learnt, what is watched meanwhile and what judges in the end."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from gadfly.cli.data_report import FILE, JSON, first_lines, require_free

__all__ = ["split"]


@click.command("split")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--out", required=True, type=FILE, help="The folder to write.")
@click.option("--valid", type=float, default=0.1, help="The share to watch training with.  [0.1]")
@click.option("--test", type=float, default=0.0, help="The share to judge by in the end.  [0]")
@click.option("--group", default="group", help="The key of meta that keeps lines together.  [group]")
@JSON
def split(files: Sequence[Path], out: Path, valid: float, test: float, group: str, as_json: bool) -> None:
    """Divide lines into train.jsonl, valid.jsonl and test.jsonl of a new folder.

    Where a line goes follows from what it says, whatever else is in the files, and so is the same every time. Lines
    that begin with the same question, or have the same group in their meta, stay together.
    """
    from gadfly.train.data.split import divide

    require_free(out)
    done = divide(files, out, valid, test, group)
    if as_json:
        problems = [{"file": str(path), "line": one.line, "text": one.text} for path, one in done.problems]
        told = {"lines": done.lines, "groups": done.groups, "refused": done.refused, "problems": problems}
        click.echo(json.dumps({"out": str(out), **told}, indent=2))
        return
    first_lines([f"{path}:{one.line}: {one.text}" for path, one in done.problems], done.refused)
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(done.lines.items(), key=lambda one: -one[1]))
    click.echo(f"{out}: {parts} lines, of {done.groups:,} groups that stay together.")
