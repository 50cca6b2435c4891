"""From the name of a model to a model in hand, for the commands that talk: fetched if need be, with progress shown."""

import atexit
import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import click

from gadfly.cli.progress import showing_progress
from gadfly.hub.library import Library
from gadfly.hub.progress import Progress, size_text
from gadfly.settings import Settings, home

if TYPE_CHECKING:
    from gadfly.llm import LLM

__all__ = ["load_model"]

PATIENCE = 1.0  # seconds that nobody asks what is going on
LARGE = 10**9  # bytes of disk that are not taken without a word


def load_model(
    name: str,
    settings: Settings,
    context: int | None = None,
    experts: str | None = None,
    contexts: int = 1,
    adapters: Mapping[str | Path, float] | None = None,
) -> "LLM":
    """Fetch what is not here yet, then load it, with a cache for `contexts` contexts. Raises GadflyError."""
    library = Library(home())
    path = library.resolve(name)
    if path is None:
        from gadfly.hub.pull import ensure  # the network: only for what is not here

        with showing_progress() as progress:
            path = ensure(name, library, progress, settings.offline)
    cache = None if settings.origins["cache"] == "default" else settings.cache
    with ExitStack() as stack, nothing_to_collect():
        from gadfly.llm import load  # numpy and the native code: not before a download that may fail

        packing = Packing(stack)
        llm = load(
            path,
            threads=settings.threads,
            context=context,
            memory=settings.memory,
            experts=experts,
            cache=cache,
            packing=packing,
            allow=allow_disk,
            contexts=contexts,
            adapters=adapters,
        )
    for note in llm.notes:
        click.echo(note, err=True)
    return llm


def allow_disk(folder: Path, size: int, free: int) -> bool:
    """Ask, where there is a terminal, whether a model may be packed there; otherwise nobody has allowed it."""
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return False
    question = (
        "This model is larger than the memory at hand, so it is read from disk while it runs. That is several times "
        f"quicker if it is packed first, once, into {size_text(size)} at {folder}, which has {size_text(free)} free "
        "(gadfly rm --cache deletes it). Pack it?"
    )
    return click.confirm(question, err=True)


@contextmanager
def nothing_to_collect() -> Iterator[None]:
    """Inside, nobody looks for cycles of garbage: a vocabulary alone is some hundred thousand objects that will stay.

    Looking through them again and again while they are made takes five hundredths of a start, and a last time when the
    process ends, as much.
    """
    atexit.register(gc.freeze)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Packing:
    """Shows how far packing is, until `stack` ends; if it is little and done in a moment, nothing at all."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._began = perf_counter()
        self._progress: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._progress is None:
            if total < LARGE and perf_counter() - self._began < PATIENCE:
                return
            self._progress = self._stack.enter_context(showing_progress())
            room = size_text(total)
            self._progress.note(
                f"packing the weights, once, into {room} of disk, so that later starts are quick (see --cache)"
            )
        self._progress.advance(done, total)
