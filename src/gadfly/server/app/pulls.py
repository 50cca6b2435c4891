"""Pulls that the app has asked for: they go on when the page is closed, and every page hears how far they are.

What has arrived is kept when one is stopped or fails; the next continues from there.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from gadfly.api.errors import failure_of
from gadfly.errors import BusyError, GadflyError
from gadfly.hub.progress import Progress
from gadfly.server.pulling import Pulling

__all__ = ["Pulls"]

log = logging.getLogger("gadfly.server")

_MOST = 8  # at once; two of them move, the others wait


class _Pull(Pulling):
    """One under way. `error` is why it has failed."""

    def __init__(self, name: str, tell: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__("waiting", lambda: tell(self.state()))
        self.name = name
        self.error: str | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    def state(self) -> dict[str, Any]:
        return {"name": self.name, "done": self.done, "total": self.total, "text": self.text, "error": self.error}


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
            found = self._pulls[name] = _Pull(name, self._tell)
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
            if pull.error is None or pull.stopped:
                self._pulls.pop(pull.name, None)
            self._tell({**pull.state(), "finished": True})
            self._finished()
