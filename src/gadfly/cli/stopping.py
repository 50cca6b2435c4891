"""Ctrl-C as a request to stop at the next good moment, for work that can go on later."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["stopping"]


@contextmanager
def stopping(together: bool = False) -> Iterator[list[int]]:
    """A list that the first Ctrl-C puts something into; the second ends the program at once.

    Processes that work `together` are also told with SIGTERM, and one more word does not end one of them alone.
    """
    pressed: list[int] = []

    def note(number: int, _: object) -> None:
        pressed.append(number)
        if not together:
            signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)[: 1 + together]}
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
