"""How a thread that does not wait tells one that does that nobody wants its result any more."""

import threading
from collections.abc import Callable

__all__ = ["Cancellation"]


class Cancellation:
    """Whoever works says with `then` what is to be done if the work is given up; whoever gives it up calls `cancel`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Callable[[], object]] = []
        self._cancelled = False

    def then(self, end: Callable[[], object]) -> None:
        """Have `end` called when the work is given up, which may have been before."""
        with self._lock:
            self._ends.append(end)
            cancelled = self._cancelled
        if cancelled:
            end()

    def cancel(self) -> None:
        """Does not wait. The second time nothing happens."""
        with self._lock:
            ends, self._cancelled = () if self._cancelled else tuple(self._ends), True
        for end in ends:
            end()
