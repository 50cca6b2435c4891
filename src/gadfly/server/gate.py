"""Who may come in: the middleware that looks at Host, Origin and key of a request before anything else does.

A page in somebody's browser can send requests to this machine, and with a name of its own that points here (DNS
rebinding) it can read the answers. So a Host has to be ours, and an Origin, which every browser sends with such
requests, too. Whoever else could reach us has to show a key, and its scopes say what it is good for. The chat app has a
stricter rule: its page shows the key once and then a cookie, and pages of others are never answered.
"""

import math
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gadfly.errors import GadflyError
from gadfly.server.app.sessions import Sessions
from gadfly.server.keys import Key, matching
from gadfly.server.keys import Scope as KeyScope
from gadfly.server.rates import Rates
from gadfly.server.record import Record
from gadfly.server.refusals import Refused, refusal

__all__ = ["Gate", "House", "is_loopback"]

# The first that a path begins with says which scope a key needs for it; None: anybody may.
_SCOPES: Sequence[tuple[str, KeyScope | None]] = (
    ("/health/", None),
    ("/app/api/session", None),
    ("/metrics", "metrics"),
    *((f"/api/{name}", "models") for name in ("pull", "create", "copy", "delete")),
    *((f"/v1/{name}", "train") for name in ("files", "fine_tuning")),
    ("/", "chat"),
)
_PAGE = re.compile(
    r"/|/assets/.*|/[\w.-]+\.(js|css|html|svg|png|ico|webmanifest)"
)  # the app itself, which is no secret


@dataclass(frozen=True)
class House:
    """The rules. `host` is the address that is listened on; `keys` is asked at every request, as they may change.

    In a `closed` house nobody does anything without a key. `hosts` and `origins` are welcome besides our own; the
    origin "*" is any. `sessions` know the cookies of the chat app's page.
    """

    host: str = "127.0.0.1"
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    keys: Callable[[], Sequence[Key]] = tuple
    closed: bool = False
    rates: Rates = field(default_factory=Rates)
    sessions: Sessions | None = None

    def admit(self, headers: Headers, path: str, scheme: str, method: str = "GET") -> Key | None:
        """The visitor's key; None if it has none and needs none. Raises Refused."""
        self._check_host(headers.getlist("host"))
        own = f"{scheme}://{headers['host'].lower()}"
        if not self.welcomes(headers.get("origin"), own):
            raise Refused("forbidden", f"pages from {headers['origin']:.100} may not ask here; see --allow-origin")
        app = path.startswith("/app/")
        if app and not self._from_our_page(headers, own):
            raise Refused("forbidden", "only the page of this server may ask here")
        scope = next(scope for start, scope in _SCOPES if path.startswith(start) or start == "/")
        if _PAGE.fullmatch(path):
            scope = None
        text = _key_text(headers)
        key = matching(text, self.keys()) if text else None
        if key is None and app and self.sessions and ("origin" in headers or method in ("GET", "HEAD")):
            key = self.sessions.key(headers, self.keys())
        if key is None:
            if self.closed and scope is not None:
                reason = "this key is not known here" if text else "this takes a key, as a Bearer token or x-api-key"
                raise Refused("unauthorised", reason, {"www-authenticate": "Bearer"})
            return None
        if scope is not None and scope not in key.scopes:
            raise Refused("forbidden", f"the key {key.name} is good for {', '.join(key.scopes)}, but not for {scope}")
        if key.per_minute is not None and (wait := self.rates.wait(key.name, key.per_minute)):
            more = f"the key {key.name} is good for {key.per_minute} requests a minute"
            raise Refused("too_many", more, {"retry-after": str(math.ceil(wait))})
        return key

    def welcomes(self, origin: str | None, own: str) -> bool:
        """Whether what asks is no page in a browser, one of ours, or one of those that were named."""
        return origin is None or origin == own or "*" in self.origins or origin in self.origins

    def _from_our_page(self, headers: Headers, own: str) -> bool:
        """Whether what asks is no page of another's, named in `origins` or not.

        Behind a proxy that speaks TLS, our page has an origin that we know only because somebody has named it.
        """
        origin = headers.get("origin")
        if origin is None:  # as in what a page may get without being asked for its origin
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        return origin == own or (origin in self.origins and urlsplit(origin).netloc == headers["host"].lower())

    def _check_host(self, given: Sequence[str]) -> None:
        if len(given) != 1:
            raise Refused("invalid", f"a request has one Host header; this one has {len(given)}")
        name = _name(given[0])
        if name is None or not self._is_ours(name):
            raise Refused("forbidden", f"this server is not called {given[0]:.100}; see --allow-host")

    def _is_ours(self, name: str) -> bool:
        if name in ("localhost", self.host) or name in self.hosts or is_loopback(name):
            return True
        if is_loopback(self.host):
            return False
        own = socket.gethostname().lower()
        return _is_address(name) or name in (own, f"{own}.local")  # an address is nobody's to point elsewhere


class Gate:
    """Lets in whom the house admits, and tells browsers that pages which are welcome may read the answers."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, record = Headers(scope=scope), Record.of(scope)
        origin = headers.get("origin")

        async def shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                if scope["path"].startswith("/app/"):  # what was said here stays here: in no cache, and no other page
                    answer.update({"cache-control": "no-store", "x-content-type-options": "nosniff"})
                elif origin is not None:
                    answer.update({"access-control-allow-origin": origin, "vary": "origin"})
            await send(message)

        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            welcome = self._house.welcomes(origin, "")
            await _preflight(welcome)(scope, receive, shared if welcome else send)
            return
        try:
            record.key = self._house.admit(headers, scope["path"], scope["scheme"], scope["method"])
        except GadflyError as error:  # Refused, or a damaged file of keys
            await refusal(error, scope["path"], record.id)(scope, receive, send)
            return
        await self._app(scope, receive, shared)


def is_loopback(name: str) -> bool:
    """Whether an address, or the name localhost, can be reached from this machine alone."""
    return name == "localhost" or (_is_address(name) and ip_address(name).is_loopback)


def _preflight(welcome: bool) -> Response:
    """A browser asks before it sends what a page could not send by itself; it has no key to show yet."""
    if not welcome:
        return Response(status_code=403)
    headers = {
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": "*, authorization, x-api-key",
        "access-control-max-age": "600",
    }
    return Response(status_code=204, headers=headers)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str | None:
    """A Host header without its port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and parts.username is None else None


def _key_text(headers: Headers) -> str:
    kind, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
