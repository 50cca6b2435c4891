"""A source of tools as a user has written it down: a program, an address, or a search engine.

command   a program that speaks MCP on its stdin and stdout; it is started when it is needed
url       an MCP server that is reached over HTTP
searxng   the address of a SearXNG, which is searched by a tool of our own
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from gadfly.errors import SettingsError

__all__ = ["SECONDS", "ToolServer", "is_server_name", "read_server"]

SECONDS = 60.0  # for a call, unless it is said
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")

Kind = Literal["command", "url", "searxng"]


@dataclass(frozen=True)
class ToolServer:
    """Exactly one of `command`, `url` and `searxng` is set. A command runs in `folder`, with `env` in its environment.

    `seconds` is how long a call may take.
    """

    name: str
    command: tuple[str, ...] = ()
    folder: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    searxng: str = ""
    seconds: float = SECONDS

    @property
    def kind(self) -> Kind:
        return "command" if self.command else "url" if self.url else "searxng"

    @property
    def place(self) -> str:
        """The command or the address, for people: without what may be secret."""
        return " ".join(self.command) or self.url or self.searxng

    @property
    def table(self) -> dict[str, Any]:
        """As `read_server` reads it: what was set."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "name"}
        values = {key: value for key, value in values.items() if value and (key != "seconds" or value != SECONDS)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def is_server_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def read_server(name: str, table: object, place: str) -> ToolServer:
    """A server from a table of settings. Raises SettingsError naming `place` and the key that is wrong."""
    if not is_server_name(name):
        raise SettingsError(f"{place}: {name!r:.60} is no name for tools; use up to 32 of a-z, 0-9, _ and -")
    if not isinstance(table, dict):
        raise SettingsError(f"{place} is {table!r:.60}; expected a table")
    for key, value in table.items():
        if key not in _RULES:
            close = get_close_matches(key, _RULES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_RULES)}"
            raise SettingsError(f"{place}: {key!r:.60} means nothing to tools; {hint}")
        expected, accepts = _RULES[key]
        if not accepts(value):
            raise SettingsError(f"{place}: {key} is {value!r:.60}; expected {expected}")
    kinds = [key for key in ("command", "url", "searxng") if key in table]
    if len(kinds) != 1:
        raise SettingsError(f"{place} has {' and '.join(kinds) or 'no address'}; it takes one of command, url, searxng")
    for key, kind in (("folder", "command"), ("env", "command"), ("headers", "url")):
        if key in table and kinds != [kind]:
            raise SettingsError(f"{place}: {key} is for tools with a {kind}, and these have a {kinds[0]}")
    values: dict[str, Any] = {**table, "command": tuple(table.get("command", ()))}
    return ToolServer(name, **values)


def _is_text(value: object, longest: int = 4096) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and "\0" not in value and value.isprintable()


def _is_command(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 256 and all(map(_is_argument, value)) and bool(value[0])


def _is_argument(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 65536 and "\0" not in value


def _is_environment(value: object) -> bool:
    return isinstance(value, dict) and all(
        key.isidentifier() and key.isascii() and _is_argument(text) for key, text in value.items()
    )


def _are_headers(value: object) -> bool:
    return isinstance(value, dict) and all(
        _HEADER.fullmatch(key) and isinstance(text, str) and text.isascii() and _is_text(text)
        for key, text in value.items()
    )


def _is_address(value: object) -> bool:
    if not _is_text(value):
        return False
    try:
        parts = urlsplit(str(value))
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        return named and not parts.fragment and parts.username is None  # secrets belong into headers, which nobody sees
    except ValueError:
        return False


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.1 <= value <= 3600


_RULES: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "command": ('a list such as ["python3", "server.py"]', _is_command),
    "folder": (
        'the path of a folder, such as "~/notes"',
        lambda value: _is_text(value) and (Path(str(value)).is_absolute() or str(value).startswith("~")),
    ),
    "env": ("a table of names and texts", _is_environment),
    "url": ('an address such as "https://example.org/mcp"', _is_address),
    "headers": ("a table of names and texts", _are_headers),
    "searxng": ('an address such as "http://localhost:8888"', _is_address),
    "seconds": ("a number from 0.1 to 3600", _is_duration),
}
