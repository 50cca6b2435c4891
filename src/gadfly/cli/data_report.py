"""What the commands of gadfly data have in common: their options, and reports that do not flood a terminal."""

from collections.abc import Sequence
from pathlib import Path

import click

from gadfly.cli.printable import printable
from gadfly.errors import RequestError

__all__ = ["FILE", "JSON", "first_lines", "require_free"]

MOST_SHOWN = 10  # of what is wrong in the same way
FILE = click.Path(path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


def first_lines(lines: Sequence[str], count: int) -> None:
    """The first of them on stderr, and how many there are beside these."""
    for line in lines[:MOST_SHOWN]:
        click.echo(printable(line), err=True)
    if count > MOST_SHOWN:
        click.echo(f"… and {count - MOST_SHOWN:,} more; --json has up to a thousand", err=True)


def require_free(out: Path) -> None:
    """Raises RequestError if there is something already."""
    if out.exists():
        raise RequestError(f"{out} exists; remove it or choose another name")
