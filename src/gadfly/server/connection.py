"""One HTTP connection that has limits: what uvicorn's own waits for without end is cut off here.

A request has to arrive within a time and its head within a size; a client has to take what waits for it; and requests
may not pile up behind one that is being answered. Uvicorn tells an answer that its client has left only if it is the
last on the connection; here all are told, so that each gives its place in the model back.
"""

import asyncio
from asyncio import TimerHandle
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gadfly.server.limits import Limits
from gadfly.server.refusals import Refused, refusal

__all__ = ["Connection", "connection_class"]


class Connection(HttpToolsProtocol):
    """See the module. `limits` is set by `connection_class`, as uvicorn makes the objects."""

    limits = Limits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._arriving: TimerHandle | None = None
        self._stalled: TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._in_head = True
        self._head = 0  # bytes of a header that is arriving
        self._fields = 0  # bytes of the headers that have arrived
        self._too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arriving = self._abort_after(self.limits.arrival)

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._arriving)
        _stop(self._stalled)
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():  # refused already
            return
        inside = self._in_head
        super().data_received(data)
        if inside and self._in_head and not self.transport.is_closing():
            self._head += len(data)  # of a header without an end, which the parser keeps to itself
            if self._head > self.limits.head:
                self._too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head, self._fields = True, 0, 0
        _stop(self._arriving)
        self._arriving = self._abort_after(self.limits.arrival)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
        if len(self.pipeline) > self.limits.pipelined:
            self.transport.abort()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        _stop(self._arriving)

    def pause_writing(self) -> None:
        super().pause_writing()
        _stop(self._stalled)
        self._stalled = self._abort_after(self.limits.stall)

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self._stalled)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what is no request, or too much of one. Within an answer there is no place for it."""
        if self._running is not None and not self._running.response_complete:
            self.transport.abort()
            return
        status, text = _TOO_LARGE if self._too_large else _NO_HTTP
        body = b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":null}}' % text
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        chosen: Any = _full if app is service_unavailable else app
        super()._start_asgi_task(cycle, chosen)

    def _count(self, size: int) -> None:
        """Of a head. What is raised here becomes an error of the parser, and that a call of `send_400_response`."""
        self._fields += size
        if self._fields > self.limits.head or len(self.headers) > self.limits.headers:
            self._too_large = True
            raise OverflowError

    def _abort_after(self, seconds: float) -> TimerHandle:
        return self.loop.call_later(seconds, self.transport.abort)


_TOO_LARGE = b"431 Request Header Fields Too Large", b"the head of the request is too large"
_NO_HTTP = b"400 Bad Request", b"this is no HTTP request that can be understood"


def _stop(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    """What uvicorn says with fewer words: there are as many connections as there may be."""
    headers = {"retry-after": "1", "connection": "close"}
    refused = Refused("busy", "too many connections are open; try again in a second", headers)
    await refusal(refused, scope["path"], "")(scope, receive, send)


def connection_class(limits: Limits) -> type[Connection]:
    """A class of connections with these limits, for `uvicorn.Config(http=...)`."""
    return type("Connection", (Connection,), {"limits": limits})
