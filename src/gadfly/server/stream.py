"""Bytes to a client while they arise, and how the dialects frame them.

A client that takes nothing is cut off by its `connection`; one that leaves is noticed here, at once, whether or not
there is anything to send.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any, TypeVar

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["DONE", "HEARTBEAT", "Streamed", "json_line", "named_event", "unless_gone", "unnamed_event"]

T = TypeVar("T")

DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": still here\n\n"


def unnamed_event(value: Any) -> bytes:
    """A server-sent event as OpenAI's older APIs have it."""
    return b"data: %s\n\n" % _in_one_line(value)


def named_event(value: Any) -> bytes:
    """A server-sent event that is called what its `type` says."""
    name: str = value["type"]
    return b"event: %s\n%s" % (name.encode(), unnamed_event(value))


def json_line(value: Any) -> bytes:
    """A line of NDJSON."""
    return _in_one_line(value) + b"\n"


def _in_one_line(value: Any) -> bytes:
    """JSON that is one line also to those who take Unicode's other ends of lines for such: httpx, str.splitlines."""
    data: bytes = orjson.dumps(value)
    for end in "\x85\u2028\u2029":
        data = data.replace(end.encode(), b"\\u%04x" % ord(end))
    return data


class Streamed(Response):
    """Sends what `chunks` yields. At the end, or when the client leaves before, `ending` is closed."""

    def __init__(self, chunks: AsyncGenerator[bytes, None], media_type: str, ending: AsyncExitStack) -> None:
        self._chunks = chunks
        self._ending = ending
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        async with self._ending, aclosing(self._chunks):
            await unless_gone(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T | None:
    """What `work` returns; it is cancelled, and there is nothing, if the client leaves before.

    The body of the request has to have been read.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
