"""Shows a pull or a conversion on stderr: a bar on a terminal, a line now and then in a pipe or a log.

Neither says more than the other, and colour carries no meaning.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import click

from gadfly.hub.progress import Progress, size_text

__all__ = ["showing_progress"]


@contextmanager
def showing_progress() -> Iterator[Progress]:
    """An observer for `gadfly.hub.pull`, for as long as the block runs."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield _Lines()
        return
    with _Bar() as bar:
        yield bar


class _Lines:
    """Notes as they come, and how far it is every tenth of the way."""

    def __init__(self) -> None:
        self._tenth = 0

    def note(self, text: str) -> None:
        self._tenth = 0
        click.echo(text, err=True)

    def advance(self, done: int, total: int | None) -> None:
        tenth = done * 10 // total if total else done // 100_000_000
        if tenth > self._tenth:
            self._tenth = tenth
            click.echo(f"{size_text(done)} of {size_text(total)}" if total else size_text(done), err=True)


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bars.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def note(self, text: str) -> None:
        self._bars.reset(self._task, total=None, visible=False)
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def advance(self, done: int, total: int | None) -> None:
        self._bars.update(self._task, completed=done, total=total, visible=True)
