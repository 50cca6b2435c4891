"""What open pages hear: a `Feed` for each of them, and who tells them all.

News waits in a feed until its page takes it. Text that is being written does not wait there: a feed knows how far its
page has read and takes the rest from the answer itself, so a slow page gets larger pieces and nobody keeps anything for
it. A page that falls behind with news is cut off; it comes back and gets everything afresh.

Everything here happens on the event loop.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import orjson

from gadfly.server.stream import HEARTBEAT

__all__ = ["Draft", "Feed", "Feeds", "event"]

_MOST = 1000  # pieces of news that wait for a page
_RETRY = b"retry: 1000\n\n"  # milliseconds until a browser asks again


def event(name: str, value: Any) -> bytes:
    """A server-sent event."""
    data: bytes = orjson.dumps(value)
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


class Draft(Protocol):
    """An answer that is being written: pieces of text (or of thought: True), to which more are added."""

    @property
    def node(self) -> int: ...
    @property
    def pieces(self) -> list[tuple[bool, str]]: ...


class _Reader:
    """How far a page has read a draft: which pieces, and how long that was for it, which counts in UTF-16."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._seen = len(draft.pieces)
        self._length = {kind: sum(_units(text) for one, text in draft.pieces if one == kind) for kind in (False, True)}

    def read(self) -> Iterator[bytes]:
        pieces = self._draft.pieces[self._seen :]
        self._seen += len(pieces)
        for thought in (True, False):
            if text := "".join(text for one, text in pieces if one == thought):
                at = self._length[thought]
                self._length[thought] += _units(text)
                yield event("delta", {"node": self._draft.node, "at": at, "reasoning" if thought else "text": text})


class Feed:
    """The news of a page: of all chats of its owner or, with `chat`, of what is going on in one of them."""

    def __init__(self, owner: str, chat: str | None) -> None:
        self.owner = owner
        self.chat = chat
        self._news: deque[tuple[bytes, Draft | None]] = deque()
        self._reading: dict[int, _Reader] = {}
        self._wake = asyncio.Event()
        self._ended = False

    def put(self, news: bytes) -> None:
        if len(self._news) >= _MOST:
            self._news.clear()
            self.end()
        if not self._ended:
            self._news.append((news, None))
            self._wake.set()

    def follow(self, draft: Draft) -> None:
        """From what there is of it now, which the page is told otherwise."""
        self._reading[draft.node] = _Reader(draft)

    def more(self) -> None:
        """There is more of a draft that is followed."""
        self._wake.set()

    def finish(self, draft: Draft, news: bytes) -> None:
        """Its last text, and then this."""
        self._news.append((news, draft))
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def chunks(self, first: bytes, heartbeat: float) -> AsyncGenerator[bytes, None]:
        """What to send; a sign of life where there has been nothing for so many seconds."""
        yield _RETRY + first
        while True:
            try:
                async with asyncio.timeout(heartbeat):
                    await self._wake.wait()
            except TimeoutError:
                yield HEARTBEAT
                continue
            self._wake.clear()
            ended = self._ended  # by now: what comes while a chunk is sent is sent, too
            if chunk := b"".join(self._take()):
                yield chunk
            if ended:
                return

    def _take(self) -> Iterator[bytes]:
        while self._news:
            news, finished = self._news.popleft()
            if finished is not None and (reader := self._reading.pop(finished.node, None)):
                yield from reader.read()
            yield news
        for reader in self._reading.values():
            yield from reader.read()


class Feeds:
    """All that are open now."""

    def __init__(self) -> None:
        self._open: set[Feed] = set()
        self._closed = False

    @contextmanager
    def open(self, owner: str, chat: str | None = None) -> Iterator[Feed]:
        feed = Feed(owner, chat)
        if self._closed:
            feed.end()
        self._open.add(feed)
        try:
            yield feed
        finally:
            self._open.discard(feed)

    def __contains__(self, feed: Feed) -> bool:
        return feed in self._open

    def tell(self, owner: str | None, name: str, value: Any, chat: str | None = None) -> None:
        """Pages of `owner` (None: everybody's) that look at this chat, or at the whole if there is none."""
        news = event(name, value)
        for feed in self.of(owner, chat):
            feed.put(news)

    def shown(self) -> set[tuple[str, str]]:
        """Owners and chats that pages look at."""
        return {(feed.owner, feed.chat) for feed in self._open if feed.chat is not None}

    def of(self, owner: str | None, chat: str | None) -> list[Feed]:
        return [feed for feed in self._open if owner in (None, feed.owner) and feed.chat == chat]

    def close(self) -> None:
        """End all of them, and any that is opened yet: the server is about to."""
        self._closed = True
        for feed in self._open:
            feed.end()


def _units(text: str) -> int:
    """Its length for a browser: a character beyond the first 65,536 counts twice."""
    return len(text) + sum(character > "\uffff" for character in text)
