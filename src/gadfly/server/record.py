"""One request as the operator sees it: an id, a line in the log, counts. None of them has what was said.

    2026-11-26T04:12:31Z 192.168.1.7 anna POST /v1/chat/completions 200 2.318s smollm2 31+12 req_5f0c…

In this order: when, who, the name of the key, what, how it ended, how long it took, the model, tokens read (how many of
them computed before is in the metrics) and written, the id, which clients may choose and always get back.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gadfly.completion import Usage
from gadfly.server.keys import Key
from gadfly.server.refusals import refusal

__all__ = ["Record", "Recorder"]

log = logging.getLogger("gadfly.server")
access_log = logging.getLogger("gadfly.server.access")

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_STRANGE = re.compile(r"[^!-~]+")


@dataclass
class Record:
    """What is known of a request; whoever learns more writes it here. `route` is its path with {names} for values."""

    id: str
    began: float
    address: str = "-"
    key: Key | None = None
    route: str = ""
    model: str = ""
    usages: list[Usage] = field(default_factory=list)
    status: int = 0
    first_byte: float | None = None  # seconds from the beginning
    seconds: float = 0.0

    @property
    def client(self) -> str:
        """Whose turn it is among others: the key's, or else the address's."""
        return self.key.name if self.key else self.address

    @classmethod
    def of(cls, scope: Scope) -> "Record":
        """The record of the request that `scope` describes."""
        record = scope["gadfly.record"]
        assert isinstance(record, Record)
        return record


class Recorder:
    """The outermost application: makes the record, gives the id back, and tells `observe` at the end."""

    def __init__(
        self, app: ASGIApp, observe: Callable[[Record, str], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._app = app
        self._observe = observe
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id_ = given if _ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
        record = Record(id_, self._clock(), scope["client"][0] if scope.get("client") else "-")
        scope["gadfly.record"] = record

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = record.id
            elif message.get("body") and record.first_byte is None:
                record.first_byte = self._clock() - record.began
            await send(message)

        try:
            await self._app(scope, receive, recorded)
        except Exception:  # a bug: everything that a client can cause has been answered by now
            log.exception("%s %s failed", record.id, _plain(scope["path"]))
            if not record.status:
                await refusal(RuntimeError(), scope["path"], record.id)(scope, receive, recorded)
        finally:
            record.seconds = self._clock() - record.began
            route = scope.get("route")
            record.route = getattr(route, "path", "") or "elsewhere"
            self._observe(record, scope["method"])
            access_log.info("%s", _line(record, scope))


def _line(record: Record, scope: Scope) -> str:
    words = [
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        record.address,
        record.key.name if record.key else "-",
        scope["method"],
        _plain(scope["path"])[:200],
        str(record.status) if record.status else "gone",
        f"{record.seconds:.3f}s",
        record.model or "-",
        f"{sum(u.prompt_tokens for u in record.usages)}+{sum(u.completion_tokens for u in record.usages)}",
        record.id,
    ]
    return " ".join(words)


def _plain(path: str) -> str:
    """A path as one word of a line, whatever was in it."""
    return _STRANGE.sub("?", path)
