"""What the app asks for when it plans a run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from gadfly.api.fields import Fields, check_text
from gadfly.chat.exports.pairs import Licences
from gadfly.errors import RequestError
from gadfly.server.workshop.job import METHODS, Method
from gadfly.server.workshop.recipe import SETTINGS

__all__ = ["Draft", "read_draft"]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_FILES = 20
_QUESTIONS = 3


@dataclass(frozen=True)
class Draft:
    """`files` are ids, `chats` the licences of answers that are learnt, `settings` by the names of `SETTINGS`.

    `questions` are what it is asked while it learns; without any, those of `gadfly train`.
    """

    model: str
    method: Method
    name: str | None = None
    chats: str | None = None
    files: tuple[str, ...] = ()
    valid: float = 0.1
    settings: Mapping[str, float] = field(default_factory=dict)
    questions: tuple[str, ...] = ()
    start: bool = False


def read_draft(body: Mapping[str, Any]) -> Draft:
    """Raises RequestError naming what is wrong."""
    fields = Fields(dict(body))
    method = fields.need_one_of("method", METHODS)
    name = fields.text("name")
    if name is not None and not _NAME.fullmatch(name):
        raise fields.wrong("name", "up to 40 small letters, digits and -")
    chats = fields.need_one_of("chats", get_args(Licences)) if "chats" in fields else None
    files = tuple(check_text(file, path, 100) for path, file in fields.items("files", _FILES))
    if method == "text" and chats:
        raise RequestError("chats are no texts; learn from them with another method", "chats")
    if len(set(files)) != len(files):
        raise fields.wrong("files", "each file once")
    valid = fields.number("valid", 0, 0.5)
    return Draft(
        fields.need_text("model", 200),
        method,
        name,
        chats,
        files,
        0.1 if valid is None else valid,
        _settings(fields.table("settings") or Fields({}, "settings"), method),
        tuple(_question(one, path) for path, one in fields.items("questions", _QUESTIONS)),
        fields.flag("start"),
    )


def _question(given: object, path: str) -> str:
    found = check_text(given, path, 200).strip()
    if not found or not found.isprintable():
        raise RequestError(f"{path} is {found!r:.40}; expected a question in one line", path)
    return found


def _settings(fields: Fields, method: Method) -> dict[str, float]:
    found = {}
    for name in fields:
        if name not in SETTINGS:
            raise RequestError(f"{fields.at(name)[:80]} is no setting; there are {', '.join(SETTINGS)}", "settings")
        _, whole, low, high, _ = SETTINGS[name]
        value = fields.whole(name, int(low), int(high)) if whole else fields.number(name, low, high)
        if value is not None and (name != "beta" or method in ("dpo", "kto")):
            found[name] = value if whole else float(value)
    return found
