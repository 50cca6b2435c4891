"""Keys that let people in: what a key is, and the file under GADFLY_HOME that knows them.

The file has a hash of each key and not the key, which is shown once, when it is made. A key is 32 random bytes, so one
round of SHA-256 is enough: there is nothing to guess. Who has to show a key, and for what, is decided in `gate`.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from gadfly.errors import NotFoundError, RequestError, SettingsError
from gadfly.hub.disk import lock, write_whole, writing

__all__ = ["SCOPES", "Key", "KeyFile", "Scope", "digest_of", "matching", "new_key"]

Scope = Literal["chat", "models", "metrics", "tools", "train"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LIMIT = 1_000_000  # bytes
_VERSION = 1


@dataclass(frozen=True)
class Key:
    """Someone who may come in: to ask models (`chat`), fetch and remove them (`models`), read `metrics`, use `tools`,
    teach models (`train`).

    `digest` is the SHA-256 of the key, `per_minute` how many requests it may make (None: any number), `created` an ISO
    8601 time.
    """

    name: str
    digest: str
    scopes: tuple[Scope, ...] = SCOPES
    per_minute: int | None = None
    created: str = ""


def new_key(name: str, scopes: Sequence[str] = SCOPES, per_minute: int | None = None) -> tuple[Key, str]:
    """A fresh key and its text, which is nowhere else. Raises RequestError for values that make no sense."""
    if not _NAME.fullmatch(name):
        raise RequestError(f"{name!r} is no name for a key; use up to 64 letters, digits and . _ -")
    checked = _checked(scopes)
    if per_minute is not None and not 1 <= per_minute <= 1_000_000:
        raise RequestError(f"a key for {per_minute} requests a minute is no use; choose from 1 to 1000000")
    text = f"gadfly-{secrets.token_urlsafe(32)}"
    return Key(name, digest_of(text), checked, per_minute, datetime.now(UTC).isoformat(timespec="seconds")), text


def digest_of(text: str) -> str:
    """The SHA-256 of a key, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def matching(text: str, keys: Iterable[Key]) -> Key | None:
    """The key that `text` is, found in a time that does not depend on which one it is, or on how nearly."""
    digest, found = digest_of(text), None
    for key in keys:
        if hmac.compare_digest(digest, key.digest):
            found = key
    return found


class KeyFile:
    """GADFLY_HOME/keys.json. A server notices what `gadfly keys` changes while it runs."""

    def __init__(self, home: Path) -> None:
        self._file = home / "keys.json"
        self._seen: tuple[int, int] | None = None  # size and time of change of what was read
        self._keys: tuple[Key, ...] = ()

    def list(self) -> tuple[Key, ...]:
        """Every key, oldest first. Raises SettingsError if the file is damaged."""
        try:
            state = self._file.stat()
        except OSError:
            return ()
        if (seen := (state.st_size, state.st_mtime_ns)) != self._seen:
            self._keys, self._seen = self._read(), seen
        return self._keys

    def add(self, key: Key) -> None:
        """Raises RequestError if there is a key of this name."""
        with writing(self._file.parent):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if any(key.name == other.name for other in self.list()):
                raise RequestError(f"there is a key called {key.name} already; remove it, or choose another name")
            self._write([*self.list(), key])

    def rescope(self, name: str, more: Collection[str] = (), less: Collection[str] = ()) -> Key:
        """The key with other scopes; whoever has it need not get another.

        Raises NotFoundError if there is none of this name, RequestError for no scope, or one that is none.
        """
        with self._locked():
            keys = self.list()
            found = next((key for key in keys if key.name == name), None)
            if found is None:
                raise _unknown(name)
            scopes = _checked({*found.scopes, *more} - set(less))
            changed = replace(found, scopes=scopes)
            self._write([changed if key is found else key for key in keys])
        return changed

    def remove(self, name: str) -> None:
        """Raises NotFoundError if there is none of this name."""
        with self._locked():
            kept = [key for key in self.list() if key.name != name]
            if len(kept) == len(self.list()):
                raise _unknown(name)
            self._write(kept)

    def _locked(self) -> Any:
        return lock(self._file.with_name("keys.lock"), lambda: None)

    def _write(self, keys: Sequence[Key]) -> None:
        with writing(self._file):
            write_whole(self._file, json.dumps({"version": _VERSION, "keys": [asdict(k) for k in keys]}).encode())
        self._seen = None

    def _read(self) -> tuple[Key, ...]:
        try:
            with self._file.open("rb") as opened:
                data = json.loads(opened.read(_LIMIT))
            if data["version"] != _VERSION:
                raise ValueError(f"version is {data['version']!r}, not {_VERSION}")
            return tuple(_key(item) for item in data["keys"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise SettingsError(
                f"{self._file} is damaged ({error}); delete it, then make new keys: gadfly keys new NAME"
            ) from error


def _checked(scopes: Collection[str]) -> tuple[Scope, ...]:
    if not scopes or not set(scopes) <= set(SCOPES):
        raise RequestError(f"the scopes of a key are {', '.join(scopes) or 'none'}; choose from {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in scopes)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"there is no key called {name!r}; gadfly keys list shows what there is")


def _key(item: Mapping[str, Any]) -> Key:
    key = Key(**{**item, "scopes": tuple(item["scopes"])})
    known = _NAME.fullmatch(key.name) and re.fullmatch(r"[0-9a-f]{64}", key.digest) and set(key.scopes) <= set(SCOPES)
    if not known or not (key.per_minute is None or (isinstance(key.per_minute, int) and key.per_minute > 0)):
        raise ValueError(f"a key is {key.name!r:.80}, {key.scopes!r:.80}")
    return key
