"""What was not taken in, and why: keys and values for a page that says it in its own language, and `str` in English."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["REASONS", "Extent", "Place", "Reason", "Skipped"]

REASONS: Mapping[str, str] = {
    # of a file
    "many": "has more than {limit} conversations; the rest was left out",
    "large": "has more than {limit} bytes in it",
    "unpack": "cannot be unpacked: {detail}",
    "zip": "is a damaged zip: {detail}",
    "none": "is a zip without any JSON in it",
    "text": "is no JSON in UTF-8: byte {byte} is none of a text",
    "empty": "is empty",
    "comma": "is cut off or damaged: a comma is missing",
    "end": "is missing: the file was cut off",
    # of a conversation
    "cut": "is cut off",
    "character": "is damaged: {character} stands where a conversation should",
    "damaged": "is damaged: {detail}",
    "size": "is larger than {values} values or {characters} characters",
    "deep": "is nested too deeply; export it without nesting (LibreChat: not recursive)",
    "value": "is {value}; expected a conversation",
    "format": "is of no format known here; it has {keys}",
    "object": "{part} is {value}; expected an object",
    "list": "{part} is {value}; expected a list",
    "role": "message {message} is from {role}, who is nobody known here",
    "silent": "nothing is said in it",
    "long": "it has {messages} messages; {limit} are taken",
    "here": "is here already",
    "refused": "{detail}",
    # of a part of one
    "pictures": "{count} pictures or sounds",
    "files": "{count} files without text",
    "names": "{count} files, of which the export has only the names",
    "kinds": "{count} parts of the kind {kind}, which are other files",
    "roles": "{count} messages of the unknown role {role}",
    "like": "for the like reasons",
}

Extent = Literal["file", "whole", "onwards", "after", "end", "in", "more"]
_EXTENTS: Mapping[Extent, str] = {
    "file": "the file",
    "whole": "conversation {number}",
    "onwards": "conversation {number} and what follows",
    "after": "what follows conversation {number}",
    "end": "the end of the list",
    "in": "in conversation {number}",
    "more": "{number} more",
}


class Reason(ValueError):
    """`key` is one of REASONS; whoever reads a conversation raises it, or notes it of a part."""

    def __init__(self, key: str, **values: str | int) -> None:
        super().__init__(REASONS[key].format(**values))
        self.key = key
        self.values = values


@dataclass(frozen=True)
class Place:
    """Where in a file; `file` is its name within a zip, `number` counts conversations from 1, or those `more`."""

    extent: Extent
    file: str = ""
    number: int = 0
    title: str = ""

    def __str__(self) -> str:
        if self.extent == "file" and self.file:
            return repr(self.file)
        told = _EXTENTS[self.extent].format(number=self.number)
        return (f"{self.file!r}, " if self.file else "") + told + (f" {self.title!r}" if self.title else "")


@dataclass(frozen=True)
class Skipped:
    """What was not taken, and why."""

    place: Place
    reason: Reason

    def table(self) -> dict[str, Any]:
        """As JSON: in English, and as what a page words itself."""
        place, reason = self.place, self.reason
        where = {"extent": place.extent, "file": place.file, "number": place.number, "title": place.title}
        return {"what": str(place), "why": str(reason), "place": where, "reason": reason.key, "values": reason.values}
