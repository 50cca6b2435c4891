"""Character cards of other programs, as personas: JSON of version 1, 2 or 3, alone or within a PNG, and our own TOML.

    PNG       a tEXt chunk `ccv3` or `chara` with base64 of the JSON
    1         name, description, personality, scenario, first_mes, mes_example
    2, 3      the same and more within `data`; `spec` says chara_card_v2 or chara_card_v3

A card has one voice, so the dial of wit does not change it. What a persona has no place for is left out and told.
Source: the specifications of Tavern's cards, versions 1 to 3.
"""

import base64
import json
import re
import struct
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gadfly.chat.persona import EXAMPLES_LIMIT, TEXT_LIMIT
from gadfly.errors import RequestError

__all__ = ["Card", "read_card"]

_PNG = b"\x89PNG\r\n\x1a\n"
_JSON_LIMIT = 8_000_000  # bytes
_NAME_LENGTH = 40
_LEFT_OUT = {
    "character_book": "its lore book",
    "alternate_greetings": "other greetings",
    "post_history_instructions": "instructions behind the conversation",
    "assets": "pictures",
    "group_only_greetings": "greetings for groups",
}
_SPEAKER = re.compile(r"^\{\{(user|char)\}\}: ?", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Card:
    """`persona` is the table of a persona's file, without its name; `name` suggests one; `notes`: what has no place."""

    name: str
    persona: Mapping[str, Any]
    notes: tuple[str, ...]


def read_card(data: bytes) -> Card:
    """Raises RequestError saying why it is none."""
    if data.startswith(_PNG):
        data = _within(data)
    if len(data) > _JSON_LIMIT:
        raise RequestError(f"this card is larger than {_JSON_LIMIT} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError("this is no character card: neither a PNG with one in it, nor text") from None
    if not text.lstrip().startswith("{"):
        return _own(text)
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"this card is no JSON: {error}") from None
    fields = table.get("data") if "spec" in table else table
    if not isinstance(fields, dict) or not _said(fields, "name") or not isinstance(fields.get("first_mes"), str):
        raise RequestError("this JSON is no character card: it has no name or no first_mes")
    return _card(fields)


def _own(text: str) -> Card:
    """A persona's file."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"this is neither a character card nor a persona in TOML: {error}") from None
    name = table.pop("name", None)
    return Card(_slug(name) if isinstance(name, str) else "persona", table, ())


def _card(fields: Mapping[str, Any]) -> Card:
    name = _said(fields, "name")
    notes = [what for key, what in _LEFT_OUT.items() if fields.get(key)]

    def filled(key: str) -> str:
        text = re.sub(r"\{\{char\}\}|<BOT>", name, _said(fields, key), flags=re.IGNORECASE)
        return re.sub(r"\{\{user\}\}|<USER>", "the user", text, flags=re.IGNORECASE).strip()

    parts = [filled("system_prompt").replace("{{original}}", "").strip() or f"You are {name}."]
    parts += [filled(key) for key in ("description", "personality", "scenario")]
    system = "\n\n".join(part for part in parts if part)
    examples = _examples(_said(fields, "mes_example"), name)
    for what, long in (("the end of its description", system), ("the end of its greeting", filled("first_mes"))):
        if len(long) > TEXT_LIMIT:
            notes.append(f"{what}, which is too long")
    if len(examples) > EXAMPLES_LIMIT:
        notes.append(f"all but {EXAMPLES_LIMIT} of its examples")
    voice = {
        "wit": 0.0,
        "system": system[:TEXT_LIMIT],
        "greeting": filled("first_mes")[:TEXT_LIMIT] or f"I am {name}.",
        "examples": examples[:EXAMPLES_LIMIT],
    }
    about = (filled("creator_notes") or filled("personality") or filled("description") or name).splitlines()[0]
    return Card(_slug(name), {"description": about[:300].strip() or name, "voices": [voice]}, tuple(notes))


def _examples(text: str, name: str) -> list[list[str]]:
    """What a user said and what the character answered; lines of one speaker belong together."""
    pairs: list[list[str]] = []
    for part in re.split(r"<START>", text.replace("\r", ""), flags=re.IGNORECASE):
        marks = list(_SPEAKER.finditer(part))
        ends = [*(mark.start() for mark in marks[1:]), len(part)]
        turns = [(mark[1].lower(), part[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=False)]
        for (who, asked), (other, answered) in pairwise(turns):
            if (who, other) == ("user", "char") and asked and answered:
                pairs.append([_plain(asked, name)[:TEXT_LIMIT], _plain(answered, name)[:TEXT_LIMIT]])
    return pairs


def _plain(text: str, name: str) -> str:
    return text.replace("{{char}}", name).replace("{{user}}", "the user")


def _said(fields: Mapping[str, Any], key: str) -> str:
    """A text, with halves of characters replaced; empty for anything else."""
    value = fields.get(key)
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else ""


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:_NAME_LENGTH].strip("-") or "persona"


def _within(data: bytes) -> bytes:
    """The JSON within a PNG."""
    found = dict(reversed(list(_texts(data))))
    packed = found.get(b"ccv3") or found.get(b"chara")
    if packed is None:
        raise RequestError("there is no character card in this PNG")
    try:
        return base64.b64decode(packed, validate=True)
    except ValueError:
        raise RequestError("the character card in this PNG is damaged: it is no base64") from None


def _texts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keywords and texts of the tEXt chunks, up to where the file ends or makes no sense."""
    place = len(_PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if len(body) < length:
            return
        if kind == b"tEXt":
            keyword, zero, text = body.partition(b"\0")
            if zero:
                yield keyword, text
        place += 12 + length
