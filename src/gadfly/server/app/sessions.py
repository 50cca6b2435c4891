"""Who has shown a key to the chat app's page: a random cookie instead of the key, which no page has to remember.

GADFLY_HOME/sessions.json has a hash of each cookie beside that of the key that was shown, so that neither can be read
there, a restart of the server asks nobody again, and a key that is removed takes its sessions along.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers

from gadfly.errors import SettingsError
from gadfly.hub.disk import lock, write_whole, writing
from gadfly.server.keys import Key

__all__ = ["LIFETIME", "Sessions", "cookie_name"]

LIFETIME = 30 * 24 * 3600  # seconds
_MOST = 1000  # the oldest go first
_LIMIT = 1_000_000  # bytes
_VERSION = 1
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Session:
    digest: str  # of the cookie
    key: str  # digest of the key
    created: float  # seconds since 1970


class Sessions:
    """Safe to use by several servers at once."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = home / "sessions.json"
        self._clock = clock
        self._seen: tuple[int, int] | None = None  # size and time of change of what was read
        self._sessions: tuple[_Session, ...] = ()

    def key(self, headers: Headers, keys: Iterable[Key]) -> Key | None:
        """The key that was shown for the cookie among these headers."""
        if not (cookie := _cookie(headers)):
            return None
        digest = _digest(cookie)
        found = next((one for one in self._list() if one.digest == digest), None)
        return next((key for key in keys if found and key.digest == found.key), None)

    def begin(self, key: Key) -> str:
        """A new cookie for whoever has shown this key."""
        cookie = secrets.token_urlsafe(32)
        with writing(self._file.parent):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._write([*self._list(), _Session(_digest(cookie), key.digest, self._clock())][-_MOST:])
        return cookie

    def end(self, headers: Headers) -> None:
        """Forget the cookie among these headers, if there is one."""
        if cookie := _cookie(headers):
            with self._locked():
                self._write([one for one in self._list() if one.digest != _digest(cookie)])

    def _list(self) -> list[_Session]:
        """Those that are not too old."""
        try:
            state = self._file.stat()
        except OSError:
            return []
        if (seen := (state.st_size, state.st_mtime_ns)) != self._seen:
            self._sessions, self._seen = self._read(), seen
        return [one for one in self._sessions if self._clock() - one.created < LIFETIME]

    def _locked(self) -> Any:
        return lock(self._file.with_name("sessions.lock"))

    def _write(self, sessions: list[_Session]) -> None:
        with writing(self._file):
            write_whole(self._file, json.dumps({"version": _VERSION, "sessions": list(map(asdict, sessions))}).encode())
        self._seen = None

    def _read(self) -> tuple[_Session, ...]:
        try:
            with self._file.open("rb") as opened:
                data = json.loads(opened.read(_LIMIT))
            if data["version"] != _VERSION:
                raise ValueError(f"version is {data['version']!r}, not {_VERSION}")
            found = tuple(
                _Session(str(one["digest"]), str(one["key"]), float(one["created"])) for one in data["sessions"]
            )
            if not all(_HEX.fullmatch(one.digest) and _HEX.fullmatch(one.key) for one in found):
                raise ValueError("a digest is none")
            return found
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise SettingsError(
                f"{self._file} is damaged ({error}); delete it, and the app asks for its key again"
            ) from error


def cookie_name(host: str) -> str:
    """Cookies do not know ports, so those of several servers on a machine need names of their own."""
    return f"gadfly-{host.rpartition(':')[2] if host.rpartition(':')[2].isdigit() else 'app'}"


def _cookie(headers: Headers) -> str | None:
    name = cookie_name(headers.get("host", ""))
    for part in headers.get("cookie", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return None


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
