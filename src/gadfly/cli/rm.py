"""gadfly rm: remove models from this machine."""

import sys

import click

from gadfly.errors import RequestError
from gadfly.hub.library import Entry, Library
from gadfly.hub.progress import size_text
from gadfly.settings import home

__all__ = ["command"]


@click.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(names: tuple[str, ...], yes: bool) -> None:
    """Remove models from this machine, half-finished and damaged ones too. Files outside GADFLY_HOME are never deleted.

    \b
    gadfly rm smollm2
    gadfly rm smollm2 mistral-7b --yes
    """
    library = Library(home())
    here = {entry.name: entry for entry in library.list()}
    for name in names:
        if name not in here and name not in library.damaged() and name not in library.unfinished():
            library.find(name)
    what = ", ".join(_described(name, here.get(name)) for name in names)
    if not yes:
        if not (sys.stdin and sys.stdin.isatty()):
            raise RequestError(f"removing {what} needs a yes, and nobody can be asked here; add --yes")
        if not click.confirm(f"Remove {what}?"):
            raise click.exceptions.Exit(1)
    for name in dict.fromkeys(names):
        library.remove(name, lambda: click.echo("waiting for a pull of it to end", err=True))
    click.echo(f"Removed {what}.")


def _described(name: str, entry: Entry | None) -> str:
    if entry is None:
        return name
    if entry.kept == "reference":
        return f"{name} (the file stays at {entry.path})"
    return f"{name} ({size_text(entry.size)})"
