"""Pulls that the app has asked for: they go on when the page is closed, and every page hears how far they are.

What has arrived is kept when one is stopped or fails; the next continues from there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from gadfly.api.errors import failure_of
from gadfly.errors import BusyError, DownloadError, GadflyError
from gadfly.hub.progress import Progress

__all__ = ["Pulls"]

log = logging.getLogger("gadfly.server")

_OFTEN = 0.2  # seconds between two pieces of news
_MOST = 8  # at once; two of them move, the others wait


class _Pull:
    """One under way, written by its thread. `tell` is called on the loop when there is news."""

    def __init__(self, name: str, tell: Callable[["_Pull"], None]) -> None:
        self.name = name
        self.done = 0
        self.total: int | None = None
        self.text = "waiting"
        self.error: str | None = None
        self.task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._tell = tell
        self._told = 0.0
        self._stopped = False

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    def note(self, text: str) -> None:
        self.text = text
        self._progress(at_once=True)

    def advance(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total
        self._progress(at_once=done == total)

    def stop(self) -> None:
        self._stopped = True

    def state(self) -> dict[str, Any]:
        return {"name": self.name, "done": self.done, "total": self.total, "text": self.text, "error": self.error}

    def _progress(self, at_once: bool) -> None:
        if self._stopped:
            raise DownloadError("stopped; what has arrived is kept")
        if at_once or time.monotonic() - self._told > _OFTEN:
            self._told = time.monotonic()
            self._loop.call_soon_threadsafe(self._tell, self)


class Pulls:
    """`tell` gets the state of a pull whenever it changes, and `finished` is called when one has come to its end."""

    def __init__(self, tell: Callable[[Mapping[str, Any]], None], finished: Callable[[], None]) -> None:
        self._pulls: dict[str, _Pull] = {}
        self._tell = tell
        self._finished = finished

    def states(self) -> dict[str, Mapping[str, Any]]:
        """Of those that run, and those that have failed since."""
        return {name: pull.state() for name, pull in self._pulls.items()}

    def begin(self, name: str, work: Callable[[Progress], Any]) -> Mapping[str, Any]:
        """Have `work` pull in some thread, unless it does already. Raises BusyError if there are too many."""
        found = self._pulls.get(name)
        if found is None or not found.running:
            if sum(pull.running for pull in self._pulls.values()) >= _MOST:
                raise BusyError(f"{_MOST} pulls are under way; wait for one, or stop it", 60.0)
            found = self._pulls[name] = _Pull(name, lambda pull: self._tell(pull.state()))
            found.task = asyncio.create_task(self._run(found, work))
        return found.state()

    def stop(self, name: str) -> None:
        """Stop a pull soon, and forget one that has failed."""
        if found := self._pulls.get(name):
            found.stop()
            if not found.running:
                del self._pulls[name]

    async def close(self) -> None:
        """Stop all. Threads that wait for a network end when they hear of it."""
        for pull in self._pulls.values():
            pull.stop()
            if pull.task is not None:
                pull.task.cancel()

    async def _run(self, pull: _Pull, work: Callable[[Progress], Any]) -> None:
        try:
            await work(pull)
            pull.text = "here"
        except Exception as error:
            if not isinstance(error, GadflyError):
                log.exception("pulling %s failed", pull.name)
            pull.text, pull.error = "failed", failure_of(error).message
        finally:
            if pull.error is None or pull._stopped:
                self._pulls.pop(pull.name, None)
            self._tell({**pull.state(), "finished": True})
            self._finished()
