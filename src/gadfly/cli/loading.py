"""From the name of a model to a model in hand, for the commands that talk: fetched if need be, with progress shown."""

from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING

import click

from gadfly.cli.progress import showing_progress
from gadfly.hub.library import Library
from gadfly.hub.progress import Progress
from gadfly.settings import Settings, home

if TYPE_CHECKING:
    from gadfly.llm import LLM

__all__ = ["load_model"]

PATIENCE = 1.0  # seconds that nobody asks what is going on


def load_model(name: str, settings: Settings, context: int | None = None, experts: str | None = None) -> "LLM":
    """Fetch what is not here yet, then load it. Raises GadflyError."""
    library = Library(home())
    path = library.resolve(name)
    if path is None:
        from gadfly.hub.pull import ensure  # the network: only for what is not here

        with showing_progress() as progress:
            path = ensure(name, library, progress, settings.offline)
    from gadfly.llm import load  # numpy and the native code: not before a download that may fail

    cache = None if settings.origins["cache"] == "default" else settings.cache
    with ExitStack() as stack:
        packing = Packing(stack)
        llm = load(path, threads=settings.threads, context=context, experts=experts, cache=cache, packing=packing)
    for note in llm.notes:
        click.echo(note, err=True)
    return llm


class Packing:
    """Shows how far packing is, until `stack` ends; if it is done in a moment, nothing at all."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._began = perf_counter()
        self._progress: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._progress is None:
            if perf_counter() - self._began < PATIENCE:
                return
            self._progress = self._stack.enter_context(showing_progress())
            self._progress.note("packing the weights, once, so that later starts are quick (see --cache)")
        self._progress.advance(done, total)
