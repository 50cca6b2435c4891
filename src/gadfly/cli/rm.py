"""gadfly rm: remove models from this machine, or only what has been packed of them."""

import sys
from pathlib import Path

import click

from gadfly.errors import RequestError
from gadfly.hub.library import Entry, Library
from gadfly.hub.progress import size_text
from gadfly.settings import home
from gadfly.weights.cache import Cache

__all__ = ["command"]


@click.command("rm")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option(
    "--cache", "packed", is_flag=True, help="Only weights packed for quick starts; without NAME, all of them."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(names: tuple[str, ...], packed: bool, yes: bool) -> None:
    """Remove models from this machine, half-finished and damaged ones too. Files outside GADFLY_HOME are never deleted.

    What was packed of a model for quick starts goes with it; --cache removes that alone, which costs nothing but the
    next start.

    \b
    gadfly rm smollm2
    gadfly rm smollm2 mistral-7b --yes
    gadfly rm --cache
    """
    library, cache = Library(home()), Cache(home())
    if packed:
        size = sum(cache.size(model) for model in _models(names, library)) if names else cache.size()
        for model in _models(names, library):
            cache.remove(model)
        if not names:
            cache.clear()
        click.echo(f"Removed {size_text(size)} of packed weights.")
        return
    if not names:
        raise click.UsageError("Which model? Write its NAME, as gadfly list shows it, or --cache.")
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
        cache.remove(here[name].path if name in here else library.place(name))
        library.remove(name, lambda: click.echo("waiting for a pull of it to end", err=True))
    click.echo(f"Removed {what}.")


def _models(names: tuple[str, ...], library: Library) -> list[Path]:
    """Names of models that are here, or paths of any."""
    return [library.resolve(name) or library.find(name).path for name in names]


def _described(name: str, entry: Entry | None) -> str:
    if entry is None:
        return name
    if entry.kept == "reference":
        return f"{name} (the file stays at {entry.path})"
    return f"{name} ({size_text(entry.size)})"
