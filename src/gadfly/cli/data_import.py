"""gadfly data import: data of other programs in our own form."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from gadfly.cli.data_report import FILE, JSON, first_lines, require_free

__all__ = ["take_in"]


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--out", required=True, type=FILE, help="The file to write, a .jsonl.")
@click.option("--format", "form", help="messages, sharegpt, alpaca, completion, pairs, thumbs, text. Default: told.")
@click.option("--licence", help="Of the data, where it does not say so itself, for example CC0-1.0.")
@click.option("--source", help="Where it comes from, where it does not say so itself.")
@click.option("--pairs-from-plain", is_flag=True, help="Preferences of answers over the same in a plain voice.")
@JSON
def take_in(
    files: Sequence[Path],
    out: Path,
    form: str | None,
    licence: str | None,
    source: str | None,
    pairs_from_plain: bool,
    as_json: bool,
) -> None:
    """Bring data of other programs into our own form, and tell what was taken and what was not.

    Lines or arrays of JSON, or tables (.csv, .tsv), of ShareGPT, Alpaca, prompts with completions, preference pairs,
    thumbs or messages, told by the keys of every line; and plain text (.txt, .md), in passages. Names may end in .gz.

    With --pairs-from-plain, conversations with "plain" (a text per answer: the same in a plain voice) become pairs, in
    which the answer is preferred to the plain one. Exit code 1 if nothing could be taken.
    """
    from gadfly.train.data.foreign import FORMS
    from gadfly.train.data.taking import Report, take
    from gadfly.weights.disk import replacing

    if form not in (None, *FORMS):
        raise click.UsageError(f"There is no format {form!r}; choose from {', '.join(FORMS)}.")
    require_free(out)
    meta = {name: value for name, value in (("licence", licence), ("source", source)) if value}
    reports = {path: Report() for path in files}
    with replacing(out) as file:
        for path, report in reports.items():
            for line in take(path, report, form, meta, pairs_from_plain):
                file.write(line)
    taken = sum((report.taken for report in reports.values()), Counter[str]())
    if not taken:
        out.unlink()
    if as_json:
        told = {
            str(path): {
                "taken": report.taken,
                "refused": report.refused,
                "problems": [asdict(one) for one in report.problems],
            }
            for path, report in reports.items()
        }
        click.echo(json.dumps({"out": str(out), "taken": taken, "files": told}, indent=2))
    else:
        for path, report in reports.items():
            lines = [f"{path}:{problem.line}: {problem.text}" for problem in report.problems]
            first_lines(lines, report.refused)
        kinds = ", ".join(f"{count:,} {name}" for name, count in taken.most_common()) or "nothing"
        refused = sum(report.refused for report in reports.values())
        click.echo(f"Taken: {kinds}{f' -> {out}' if taken else ''}. Not taken: {refused:,} lines.")
    if not taken:
        raise click.exceptions.Exit(1)
