"""Ctrl-C as a request to stop at the next good moment, for work that can go on later."""

import _thread
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

__all__ = ["stop_with_input", "stopping"]


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


def stop_with_input() -> None:
    """From now on the end of standard input is a Ctrl-C: whoever started this may be dead, and cannot press it."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        _thread.interrupt_main()

    Thread(target=wait, daemon=True).start()
