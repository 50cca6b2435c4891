"""An answer on the screen while it is being written: as it comes, or as Markdown.

`PlainScreen` only ever appends, so it suits pipes, logs, screen readers and terminals without colour. `RichScreen`
prints every finished block once and redraws only the last, unfinished one: nothing that has been read moves.
All text goes through `printable` first.
"""

import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from gadfly.cli.printable import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown

__all__ = ["PlainScreen", "RichScreen", "Screen", "split_blocks"]

REDRAWS_PER_SECOND = 12
ITEM = re.compile(r"([-*+]|\d{1,9}[.)])(\s|$)|\d{1,9}$")  # of a list; or what may become one with the next piece
NUMBER = re.compile(r"\s*(\d{1,9})([.)])\s*")  # "8." answers what 5 + 3 is, and is no list of nothing


class Screen(Protocol):
    def note(self, text: str) -> None:
        """Something that Gadfly itself has to say."""

    def answer(self, name: str, pieces: Iterable[str]) -> None:
        """Show the pieces of what `name` says as they come."""


class PlainScreen:
    """Answers go to `out`; notes too, unless `notes` is another stream. `named`: every answer says whose it is."""

    def __init__(self, out: TextIO | None = None, notes: TextIO | None = None, named: bool = True) -> None:
        self._out = out or sys.stdout
        self._notes = notes or self._out
        self._named = named

    def note(self, text: str) -> None:
        self._notes.write(f"{printable(text)}\n")
        self._notes.flush()

    def answer(self, name: str, pieces: Iterable[str]) -> None:
        if self._named:
            self._out.write(printable(f"{name}: "))
            self._out.flush()
        try:
            for piece in _trimmed(pieces):
                self._out.write(printable(piece))
                self._out.flush()
        finally:
            self._out.write("\n\n" if self._named else "\n")
            self._out.flush()


class RichScreen:
    """For terminals with colour."""

    def __init__(self, console: "Console") -> None:
        self._console = console

    def note(self, text: str) -> None:
        self._console.print(printable(text), style="dim", markup=False, highlight=False)

    def answer(self, name: str, pieces: Iterable[str]) -> None:
        self._console.print(printable(name), style="bold yellow", markup=False, highlight=False)
        rest, first = "", True
        try:
            with _Drawing(self._console) as drawing:
                for piece in _trimmed(pieces):
                    blocks, rest = split_blocks(rest + printable(piece))
                    with drawing.changing(_Tail(rest, first and not blocks), now=bool(blocks)):
                        for block in blocks:
                            self._print(block, first)
                            first = False
        finally:
            if rest.strip() or first:
                self._print(rest, first)
            self._console.print()

    def _print(self, text: str, first: bool) -> None:
        if not first:
            self._console.print()
        self._console.print(markdown(text))


class _Drawing:
    """The live end of the screen, redrawn a few times a second if it has changed, also while the model is thinking.

    rich's own redrawing thread can be between two steps of a print; the lock here keeps the two apart.
    """

    def __init__(self, console: "Console") -> None:
        from rich.live import Live

        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._stale = False
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def __enter__(self) -> Self:
        self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._live.stop()

    @contextmanager
    def changing(self, tail: "_Tail", now: bool) -> Iterator[None]:
        """Show `tail` soon, or `now` and above it what is printed inside."""
        with self._lock:
            self._live.update(tail, refresh=now)
            self._stale = not now
            yield

    def _redraw(self) -> None:
        while not self._ended.wait(1 / REDRAWS_PER_SECOND):
            with self._lock:
                if self._stale:
                    self._live.refresh()
                    self._stale = False


class _Tail:
    """The end of a text that is still growing, as much of it as fits on the screen."""

    def __init__(self, text: str, first: bool) -> None:
        self._text = text
        self._first = first

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment

        lines = console.render_lines(markdown(self._text), options.update(height=None), pad=False)
        shown = lines[-max(1, console.height - 3) :]
        if not self._first:
            yield Segment.line()
        for line in shown:
            yield from line
            yield Segment.line()


def markdown(text: str) -> "Markdown":
    """Markdown as a chat means it: line breaks count, HTML is text, links show their address, a number is a number."""
    from markdown_it import MarkdownIt
    from rich.markdown import Markdown

    made = Markdown("", code_theme="ansi_dark", hyperlinks=False)
    if alone := NUMBER.fullmatch(text):
        text = f"{alone[1]}\\{alone[2]}"
    made.parsed = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).parse(text)
    for token in made.parsed:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"
    return made


def split_blocks(text: str) -> tuple[list[str], str]:
    """Markdown blocks that nothing to come can change any more, and the rest.

    A block has ended where a blank line outside a code fence is followed by a line that is not indented, nor the next
    item of the same list.
    """
    blocks: list[str] = []
    start = position = 0
    fence, blank = "", False
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        begins = blank and stripped and not fence and not line[0].isspace()
        if begins and not (ITEM.match(line) and ITEM.match(text, start)):
            blocks.append(text[start:position])
            start = position
        if fence:
            fence = "" if stripped.startswith(fence) and not stripped.strip(fence[0]) else fence
        elif stripped.startswith(("```", "~~~")):
            fence = stripped[: len(stripped) - len(stripped.lstrip(stripped[0]))]
        blank = not stripped
        position += len(line)
    return blocks, text[start:]


def _trimmed(pieces: Iterable[str]) -> Iterator[str]:
    """Without the blank space that some models begin with."""
    begun = False
    for piece in pieces:
        text = piece if begun else piece.lstrip()
        if text:
            begun = True
            yield text
