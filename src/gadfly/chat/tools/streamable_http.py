"""An MCP server that is reached over HTTP: every message is a POST, its answer JSON or a stream of events.

Redirects are not followed, as headers may hold secrets that are meant for one address. A stream that breaks off is
taken up again where the server has numbered its events.
Source: Model Context Protocol, "Transports", streamable HTTP.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from time import sleep
from typing import TYPE_CHECKING, Any

from gadfly.chat.tools.json_rpc import MESSAGE_LIMIT, answers, parsed, reply
from gadfly.chat.tools.patience import GLANCE, Patience
from gadfly.chat.tools.server import ToolServer
from gadfly.errors import ToolError

if TYPE_CHECKING:
    import httpx2

__all__ = ["StreamableHttp", "bounded", "is_near", "opened"]

_CONNECT = 10.0  # seconds
_FAREWELL = 2.0
_SESSION = "mcp-session-id"
_STREAM = "text/event-stream"
_PAUSE = 5.0  # seconds at most between two looks at a stream that broke off
_TRIES = 5


class StreamableHttp:
    """Talks with the address of `server`. Many threads may ask at once."""

    def __init__(self, server: ToolServer) -> None:
        self.name = server.name
        self.alive = True
        self._url = server.url
        self._headers = {**server.headers, "accept": f"application/json, {_STREAM}", "content-type": "application/json"}
        self._session: dict[str, str] = {}

    def request(
        self, message: Mapping[str, Any], patience: Patience, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """The response. Raises ToolError if there is none: in time, in bounds, or at all."""
        return patience.outcome(lambda: self._post(message, headers or {}, patience), self.name)

    def notify(self, message: Mapping[str, Any], patience: Patience, headers: Mapping[str, str] | None = None) -> None:
        """Say something that has no answer."""
        patience.outcome(lambda: self._post(message, headers or {}, patience), self.name)

    def close(self) -> None:
        """Tell the server that its session is over, if it has one; it may not care."""
        session, self._session, self.alive = self._session, {}, False
        if session:
            patience = Patience(_FAREWELL)
            with suppress(ToolError):
                patience.outcome(lambda: self._leave(session, patience), self.name)

    def _leave(self, session: Mapping[str, str], patience: Patience) -> None:
        with opened("DELETE", self._url, {**self._headers, **session}, patience, self.name):
            pass

    def _post(self, message: Mapping[str, Any], headers: Mapping[str, str], patience: Patience) -> Mapping[str, Any]:
        """The response, or nothing for what is no request."""
        wanted = message.get("id") if "method" in message else None
        content = json.dumps(message).encode()
        sent = {**self._headers, **self._session, **headers}
        with opened("POST", self._url, sent, patience, self.name, content) as response:
            if (refusal := self._refusal(response, patience)) is not None:
                return refusal
            if _SESSION in response.headers:
                self._session = {_SESSION: response.headers[_SESSION]}
            if wanted is None:
                return {}
            if response.headers.get("content-type", "").partition(";")[0].strip().lower() != _STREAM:
                return self._whole(response, wanted, patience)
            found, last, pause = self._streamed(response, wanted, patience, headers)
        for _ in range(_TRIES):
            if found is not None or not last:
                break
            _rest(pause, patience)
            again = {**self._headers, **self._session, **headers, "accept": _STREAM, "last-event-id": last}
            with opened("GET", self._url, again, patience, self.name) as response:
                found = self._refusal(response, patience)
                if found is None:
                    found, last, pause = self._streamed(response, wanted, patience, headers)
        if found is None:
            raise ToolError(f"{self.name} broke off before it answered")
        return found

    def _refusal(self, response: "httpx2.Response", patience: Patience) -> Mapping[str, Any] | None:
        """The error that the server answers with, if it does. Raises ToolError for refusals without one."""
        if response.status_code == 404 and self._session:
            self.alive = False
            raise ToolError(f"{self.name} has forgotten the session; try again, a new one will be begun")
        if response.status_code in (401, 403):
            raise ToolError(f"{self.name} lets nobody in without a key ({response.status_code}); give it in `headers`")
        if response.has_redirect_location:
            target = response.headers.get("location", "")
            raise ToolError(f"{self.name} redirects to {target!r:.200}; use that address if you trust it")
        if response.status_code >= 400:
            message = parsed(bounded(response, patience, self.name))
            if message is None or "error" not in message:
                raise ToolError(f"{self.name} answers {response.status_code} {response.reason_phrase:.100}")
            return message
        return None

    def _whole(self, response: "httpx2.Response", wanted: Any, patience: Patience) -> Mapping[str, Any]:
        message = parsed(bounded(response, patience, self.name))
        if message is None or not answers(message, wanted):
            raise ToolError(f"{self.name} sent something that is no answer (status {response.status_code})")
        return message

    def _streamed(
        self, response: "httpx2.Response", wanted: Any, patience: Patience, headers: Mapping[str, str]
    ) -> tuple[Mapping[str, Any] | None, str, float]:
        """The response if it was among the events, the id of the last one, and seconds to wait before asking again."""
        import httpx2

        heard, last, pause = 0, "", 1.0
        try:
            for event in httpx2.EventSource(response, max_event_size=MESSAGE_LIMIT):
                heard += len(event.data)
                if heard > 2 * MESSAGE_LIMIT:
                    raise ToolError(f"{self.name} sent more than {MESSAGE_LIMIT} bytes and no answer")
                last = event.id or last
                pause = pause if event.retry is None else event.retry / 1000
                message = parsed(event.data)
                if message is not None and answers(message, wanted):
                    return message, last, pause
                if message is not None and (answer := reply(message)) is not None:
                    self._post(answer, headers, patience)
                patience.check(self.name)
        except httpx2.SSEError as error:
            raise ToolError(f"{self.name} sent a stream that cannot be read: {error}") from error
        except httpx2.TransportError:
            if not last:
                raise
        return None, last, pause


@contextmanager
def opened(
    method: str, url: str, headers: Mapping[str, str], patience: Patience, who: str, content: bytes | None = None
) -> Iterator["httpx2.Response"]:
    """The head of a response, which is not compressed. Raises ToolError for what happens on the way."""
    import httpx2

    timeout = httpx2.Timeout(max(patience.left, GLANCE), connect=min(_CONNECT, max(patience.left, GLANCE)))
    sent = {"user-agent": "gadfly", **headers, "accept-encoding": "identity"}
    try:
        near = is_near(httpx2.URL(url).host)
        with (
            httpx2.Client(timeout=timeout, trust_env=not near) as client,  # what is near needs no proxy
            client.stream(method, url, headers=sent, content=content) as response,
        ):
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise ToolError(f"{who} compresses its answers, though it was asked not to")
            yield response
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        if isinstance(error, httpx2.ReadTimeout):
            patience.check(who)
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        raise ToolError(f"{who} cannot be reached: {reason}") from error


def bounded(response: "httpx2.Response", patience: Patience, who: str) -> bytes:
    """The body, if it is not too large."""
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        patience.check(who)
        if len(body) > MESSAGE_LIMIT:
            raise ToolError(f"{who} sent more than {MESSAGE_LIMIT} bytes")
    return bytes(body)


def is_near(host: str) -> bool:
    """Whether what is asked is on this machine."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _rest(seconds: float, patience: Patience) -> None:
    sleep(min(max(seconds, 0.0), _PAUSE, patience.left))
