"""From the name of a model to a model in hand, for the commands that talk: fetched if need be, with progress shown."""

from typing import TYPE_CHECKING

import click

from gadfly.cli.progress import showing_progress
from gadfly.hub.library import Library
from gadfly.settings import Settings, home

if TYPE_CHECKING:
    from gadfly.llm import LLM

__all__ = ["load_model"]


def load_model(name: str, settings: Settings, context: int | None = None, experts: str | None = None) -> "LLM":
    """Fetch what is not here yet, then load it. Raises GadflyError."""
    library = Library(home())
    path = library.resolve(name)
    if path is None:
        from gadfly.hub.pull import ensure  # the network: only for what is not here

        with showing_progress() as progress:
            path = ensure(name, library, progress, settings.offline)
    from gadfly.llm import load  # numpy and the native code: not before a download that may fail

    llm = load(path, threads=settings.threads, context=context, experts=experts)
    for note in llm.notes:
        click.echo(note, err=True)
    return llm
