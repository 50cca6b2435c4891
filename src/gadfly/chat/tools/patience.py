"""How long somebody waits for a tool, and how they stop waiting.

Whoever waits looks at the clock and at `cancelled` every twentieth of a second, so that a call ends at any moment.
"""

import queue
import threading
from collections.abc import Callable
from time import monotonic
from typing import Protocol, TypeVar

from gadfly.errors import ToolError

__all__ = ["GLANCE", "Patience", "ToolStopped"]

GLANCE = 0.05  # seconds between two looks at the clock

T = TypeVar("T")


class Lock(Protocol):
    """One of threading's, of either kind."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...


class ToolStopped(ToolError):
    """Whoever asked does not want the answer any more."""


class Patience:
    """So many `seconds` from now, or until `cancelled` is set."""

    def __init__(self, seconds: float, cancelled: threading.Event | None = None) -> None:
        self.seconds = seconds
        self.cancelled = cancelled or threading.Event()
        self._end = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until it ends."""
        return max(0.0, self._end - monotonic())

    @property
    def over(self) -> bool:
        return self.cancelled.is_set() or not self.left

    def check(self, who: str) -> None:
        """Raises ToolStopped if it was cancelled, ToolError if the time is up; `who` was waited for."""
        if self.cancelled.is_set():
            raise ToolStopped(f"{who} was stopped before it answered")
        if not self.left:
            raise ToolError(f"{who} did not answer within {self.seconds:g} s; try again, or give it more `seconds`")

    def hold(self, lock: Lock, who: str) -> None:
        """Acquire a lock. Raises like `check`."""
        while not lock.acquire(timeout=GLANCE):
            self.check(who)

    def outcome(self, work: Callable[[], T], who: str) -> T:
        """What `work` returns or raises, in a thread of its own that is left behind if it takes too long."""
        results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                results.put((work(), None))
            except BaseException as error:  # raised again by whoever waits
                results.put((None, error))

        threading.Thread(target=run, daemon=True, name=f"ask {who}").start()
        while True:
            try:
                result, error = results.get(timeout=GLANCE)
            except queue.Empty:
                self.check(who)
                continue
            if error is not None:
                raise error
            return result  # type: ignore[return-value]
