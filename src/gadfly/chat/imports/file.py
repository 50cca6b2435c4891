"""The items of a file: JSON, JSON lines, or a zip of them. It may lie, be cut off, or be made to burst.

Items of a list are measured, then parsed, one by one: memory holds one conversation at a time, and what stands around
a damaged one is taken. What is unpacked is counted as it comes out, not believed from a header.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO

from gadfly.chat.imports.reasons import Place, Reason, Skipped

__all__ = ["BYTES", "ITEMS", "PARTS", "items_of"]

BYTES = 512_000_000  # of text altogether
ITEMS = 100_000  # conversations
_MEMBERS = 10_000  # of a zip
_OTHERS = ("user.json", "users.json", "message_feedback.json", "model_comparisons.json", "shared_conversations.json")
PARTS = 4_000_000  # strings, lists and objects of one conversation: each takes some hundred bytes of memory
_ITEM = 128_000_000  # characters of one conversation
_DEPTH = 500
_OPENING, _CLOSING = "[{", "]}"
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[\[\]{}]', re.DOTALL)  # group 1 is empty if a string does not end
_WORD = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s,\[\]{}"]++', re.DOTALL)
_SOLID = re.compile(r"[^ \t\r\n]")

Item = tuple[Place, object]


def items_of(data: bytes) -> Iterator[Item | Skipped]:
    """Conversations, still in the shape of their program."""
    count = 0
    for file, text in _texts(data):
        if isinstance(text, Skipped):
            yield text
            continue
        for item in _items(file, text):
            count += 1
            if count > ITEMS:
                yield Skipped(Place("file", file), Reason("many", limit=ITEMS))
                return
            yield item


def _texts(data: bytes) -> Iterator[tuple[str, str | Skipped]]:
    if data[:4] != b"PK\x03\x04":
        yield "", _decoded("", data) if len(data) <= BYTES else _too_large("")
        return
    left = BYTES
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith((".json", ".jsonl"))]
            for member in members[:_MEMBERS]:
                name = member.filename[:100]
                if member.filename.rpartition("/")[2] in _OTHERS:
                    continue
                try:
                    with archive.open(member) as opened:
                        content = opened.read(left + 1)
                except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
                    yield name, Skipped(Place("file", name), Reason("unpack", detail=str(error)))
                    continue
                if len(content) > left:
                    yield name, _too_large(name)
                    return
                left -= len(content)
                yield name, _decoded(name, content)
            if not members:
                yield "", Skipped(Place("file"), Reason("none"))
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError) as error:
        yield "", Skipped(Place("file"), Reason("zip", detail=str(error)))


def _too_large(name: str) -> Skipped:
    return Skipped(Place("file", name), Reason("large", limit=BYTES))


def _decoded(name: str, data: bytes) -> str | Skipped:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start and len(data) - error.start < 4:  # cut off within a character
            return data[: error.start].decode("utf-8-sig", "replace")
        return Skipped(Place("file", name), Reason("text", byte=error.start))


def _items(file: str, text: str) -> Iterator[Item | Skipped]:
    """The items of a list; or a value, and then others on lines of their own."""
    at = _next(text, 0)
    listed = text[at : at + 1] == "["
    position = _next(text, at + 1) if listed else at
    number = 0
    while position < len(text):
        if listed and text[position] == "]":
            return
        number += 1
        try:
            end = _extent(text, position)
        except Reason as reason:
            yield Skipped(Place("onwards", file, number), reason)
            return
        yield _parsed(Place("whole", file, number), text[position:end])
        position = _next(text, end)
        if listed and text[position : position + 1] == ",":
            position = _next(text, position + 1)
        elif listed and text[position : position + 1] != "]":
            yield Skipped(Place("after", file, number), Reason("comma"))
            return
    if listed:
        yield Skipped(Place("end", file), Reason("end"))
    elif not number:
        yield Skipped(Place("file", file), Reason("empty"))


def _extent(text: str, start: int) -> int:
    """Where the value that begins there ends, found before any of it takes memory. Raises Reason."""
    if text[start] not in _OPENING:
        if (word := _WORD.match(text, start)) is None:
            raise Reason("character", character=repr(text[start]))
        return word.end()
    depth = 0
    for parts, token in enumerate(_TOKEN.finditer(text, start)):
        if parts > PARTS or token.end() - start > _ITEM:
            raise Reason("size", values=PARTS, characters=_ITEM)
        if token[1] == "":
            break
        depth += (token[0] in _OPENING) - (token[0] in _CLOSING)
        if depth > _DEPTH:
            raise Reason("deep")
        if not depth:
            return token.end()
    raise Reason("cut")


def _parsed(where: Place, text: str) -> Item | Skipped:
    try:
        return where, json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        return Skipped(where, Reason("damaged", detail=str(error)[:200]))


def _next(text: str, position: int) -> int:
    """The first place from there on that is not blank."""
    found = _SOLID.search(text, position)
    return found.start() if found else len(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number that JSON has")
