"""How a pull tells what it is doing, without knowing whether anyone looks.

`gadfly.cli.progress` draws it; whoever pulls from a program passes `Silent()` or an observer of their own.
"""

from typing import Protocol

__all__ = ["Progress", "Silent", "size_text"]


class Progress(Protocol):
    def note(self, text: str) -> None:
        """Something a person may want to know: a source is skipped, another pull is waited for."""

    def advance(self, done: int, total: int | None) -> None:
        """`done` of `total` bytes of the current file are here; None: the source does not say how many there are."""


class Silent:
    def note(self, text: str) -> None:
        pass

    def advance(self, done: int, total: int | None) -> None:
        pass


def size_text(size: int) -> str:
    """Bytes for people, in powers of ten: "98.4 MB"."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if size >= 0.9995 * 10**power:
            return f"{size / 10**power:.3g} {unit}"
    return f"{size} bytes"
