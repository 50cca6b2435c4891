"""How far a pull is: written by the thread that pulls, told to the loop, and stopped from there."""

import asyncio
import time
from collections.abc import Callable

from gadfly.errors import DownloadError

__all__ = ["Pulling"]

_OFTEN = 0.2  # seconds between two pieces of news


class Pulling:
    """A `Progress`. `tell` is called on the loop when there is news, though not for every block that arrives."""

    def __init__(self, text: str, tell: Callable[[], None]) -> None:
        self.text = text
        self.done = 0
        self.total: int | None = None
        self.stopped = False
        self._tell = tell
        self._told = 0.0
        self._loop = asyncio.get_running_loop()

    def note(self, text: str) -> None:
        self.text = text
        self._progress(at_once=True)

    def advance(self, done: int, total: int | None) -> None:
        self.text, self.done, self.total = "pulling", done, total
        self._progress(at_once=done == total)

    def stop(self) -> None:
        """The pull ends when it next has any progress; what has arrived is kept."""
        self.stopped = True

    def _progress(self, at_once: bool) -> None:
        if self.stopped:
            raise DownloadError("stopped; what has arrived is kept")
        if at_once or time.monotonic() - self._told > _OFTEN:
            self._told = time.monotonic()
            self._loop.call_soon_threadsafe(self._tell)
