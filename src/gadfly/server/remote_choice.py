"""One of the answers to a request that is written elsewhere: filled by the thread of a `Pool`, taken from by others."""

import threading
from collections import deque
from collections.abc import Callable, Iterator

from gadfly.api.openai_upstream import Reader
from gadfly.completion import Usage
from gadfly.conversation import AnswerEvent, Finished

__all__ = ["RemoteChoice"]


class RemoteChoice:
    """See `gadfly.answer.Choice`. `reader` reads the stream that its events are put out of, `stop` ends the request."""

    prompt = ()

    def __init__(self, reader: Reader, stop: Callable[[], None]) -> None:
        self.finished = False
        self.error: Exception | None = None
        self._events: deque[AnswerEvent] = deque()
        self._news = threading.Event()
        self._reader = reader
        self._stop = stop

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    @property
    def fingerprint(self) -> str:
        return self._reader.fingerprint

    def put(self, event: AnswerEvent) -> None:
        self._events.append(event)
        self._news.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self._news.set()

    def take(self) -> list[AnswerEvent]:
        taken: list[AnswerEvent] = []
        failed = self.error  # looked at first: nothing comes after it
        while self._events:
            taken.append(self._events.popleft())
        self.finished = self.finished or (bool(taken) and isinstance(taken[-1], Finished))
        if failed and not taken and not self.finished:
            self.finished = True
            raise failed
        return taken

    def __iter__(self) -> Iterator[AnswerEvent]:
        while not self.finished:
            self._news.wait()
            self._news.clear()
            yield from self.take()
            if self.error:
                self._news.set()

    def cancel(self) -> None:
        self._stop()
