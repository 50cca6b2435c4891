"""A conversation of another program, in our words but not yet in our store."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from gadfly.chat.imports.reasons import Reason
from gadfly.chat.values import Message

__all__ = [
    "File",
    "Said",
    "Told",
    "json_list",
    "json_table",
    "list_in",
    "table_in",
    "text_of",
    "texts_in",
    "time_of",
]

_YEAR_5000 = 95_617_584_000.0  # in seconds; larger numbers are milliseconds


@dataclass(frozen=True)
class File:
    """A file that came with a message, as the text that a model was shown of it."""

    name: str
    type: str
    text: str


@dataclass(frozen=True)
class Said:
    """A message and where it belongs. `message` None: a place in the tree with nothing said, to be left out of it."""

    key: str
    parent: str | None
    message: Message | None
    created: float | None = None
    model: str | None = None
    finish: str | None = None
    files: tuple[File, ...] = ()


@dataclass(frozen=True)
class Told:
    """A conversation. `key` is what its program calls it, `leaf` the end of the path that it showed.

    `notes` say what was in it that could not be taken.
    """

    key: str
    title: str
    said: tuple[Said, ...]
    leaf: str | None = None
    created: float | None = None
    updated: float | None = None
    archived: bool = False
    pinned: bool = False
    tags: tuple[str, ...] = ()
    system: str | None = None
    notes: tuple[Reason, ...] = ()


def text_of(value: object) -> str:
    """The text itself, with halves of characters replaced; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def texts_in(content: object) -> list[str]:
    """The texts of content that is one itself, or a list of parts with a `text` each."""
    if isinstance(content, str):
        return [text_of(content)]
    parts = content if isinstance(content, list) else []
    return [text for part in parts if isinstance(part, dict) and (text := text_of(part.get("text")))]


def time_of(value: object) -> float | None:
    """Seconds since 1970 from seconds, milliseconds or an ISO 8601 text; None for anything else."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    if seconds > _YEAR_5000:
        seconds /= 1000
    return seconds if isfinite(seconds) and 0 <= seconds <= _YEAR_5000 else None


def json_table(value: object, what: str) -> Mapping[str, Any]:
    """Raises Reason unless it is one."""
    if not isinstance(value, dict):
        raise Reason("object", part=what, value=f"{value!r:.40}")
    return value


def table_in(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What is there, if it is an object; else an empty one."""
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def list_in(table: Mapping[str, Any], key: str) -> list[Any]:
    """What is there, if it is a list; else an empty one."""
    value = table.get(key)
    return value if isinstance(value, list) else []


def json_list(value: object, what: str) -> list[Any]:
    """Raises Reason unless it is one."""
    if not isinstance(value, list):
        raise Reason("list", part=what, value=f"{value!r:.40}")
    return value
