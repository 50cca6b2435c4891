"""A conversation in a file: JSON that a person can read, and that survives being written when the power fails.

    {
      "format": "gadfly-chat", "version": 1,
      "persona": "gadfly", "wit": 0.5,
      "system": null,                            a system prompt of the user's own, instead of the persona's
      "turns": [
        {
          "user": "What is a gadfly?",
          "first": 0,                            the turns before this number were out of the model's sight
          "attempt": 0,                          answers to this question that were thrown away
          "reply": null | {
            "text": "…", "persona": "gadfly", "wit": 0.5, "notice": null,
            "finish_reason": "stop",             or "length", "cancelled"
            "usage": {"prompt_tokens": 9, "cached_tokens": 0, "completion_tokens": 5,
                      "prefill_seconds": 0.1, "decode_seconds": 0.2}
          }
        }
      ]
    }

The ids of the answer's tokens are not kept: another model would not understand them.
"""

import errno
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from gadfly.chat.values import Reply, Turn
from gadfly.completion import Completion, FinishReason, Usage
from gadfly.errors import CapacityError, NotFoundError, RequestError

__all__ = ["Record", "read_record", "record_of", "write_record"]

FORMAT, VERSION = "gadfly-chat", 1
FILE_LIMIT = 64_000_000  # bytes
NUMBER_LIMIT = 2**53  # above it, JSON of other programs is not exact
_ROOM_RAN_OUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Record:
    """What a file holds; `persona` is a name."""

    persona: str
    wit: float
    system: str | None
    turns: tuple[Turn, ...]


def write_record(path: Path, record: Record) -> None:
    """Write aside, then put in place; only another conversation is ever replaced.

    Raises RequestError if something else is there or nothing can be written, CapacityError if the disk is full.
    """
    table = {
        "format": FORMAT,
        "version": VERSION,
        "persona": record.persona,
        "wit": record.wit,
        "system": record.system,
        "turns": [_turn_table(turn) for turn in record.turns],
    }
    data = (json.dumps(table, ensure_ascii=False, indent=2) + "\n").encode()
    try:
        path = path.resolve()
        if path.exists() and path.stat().st_size and not _is_record(path):
            raise RequestError(f"{path} exists and is no conversation; choose another name")
        _write_whole(path, data)
    except OSError as error:
        kind = CapacityError if error.errno in _ROOM_RAN_OUT else RequestError
        raise kind(f"{path} cannot be written: {error.strerror}; choose another place") from error
    except ValueError as error:  # a name that no file can have
        raise RequestError(f"{str(path)!r} cannot be written: {error}; choose another name") from error


def read_record(path: Path) -> Record:
    """Raises NotFoundError if there is no such file, RequestError naming what is wrong with it."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:  # some names no file can have
        raise RequestError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', error)}") from error
    if len(data) > FILE_LIMIT:
        raise RequestError(f"{path} is larger than {FILE_LIMIT} bytes, so it is no conversation")
    try:
        return record_of(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path} is no conversation: {error}") from error


def _write_whole(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}.", delete=False) as file:
        aside = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink()
            raise


def _is_record(path: Path) -> bool:
    try:
        read_record(path)
    except RequestError:
        return False
    return True


def _turn_table(turn: Turn) -> dict[str, object]:
    return {"user": turn.user, "first": turn.first, "attempt": turn.attempt, "reply": _reply_table(turn.reply)}


def _reply_table(reply: Reply | None) -> dict[str, object] | None:
    if reply is None:
        return None
    return {
        "text": reply.text,
        "persona": reply.persona,
        "wit": reply.wit,
        "notice": reply.notice,
        "finish_reason": reply.completion.finish_reason,
        "usage": asdict(reply.completion.usage),
    }


def record_of(data: object) -> Record:
    """A record from JSON. Raises ValueError saying what is wrong, as does everything below."""
    table = _table(data, "the file", ("format", "version", "persona", "wit", "system", "turns"))
    if table["format"] != FORMAT or table["version"] != VERSION:
        found = f"{table['format']!r:.40} {table['version']!r:.40}"
        raise ValueError(f"its format and version are {found}; this Gadfly reads {FORMAT!r} {VERSION}")
    if not isinstance(table["turns"], list):
        raise ValueError("turns is no list")
    turns = tuple(_turn(item, number) for number, item in enumerate(table["turns"]))
    return Record(_text(table, "persona"), _wit(table), _text_or_none(table, "system"), turns)


def _turn(data: object, number: int) -> Turn:
    table = _table(data, f"turn {number}", ("user", "first", "attempt", "reply"))
    reply = None if table["reply"] is None else _reply(table["reply"], number)
    return Turn(_text(table, "user"), reply, _count(table, "first", most=number), _count(table, "attempt"))


def _reply(data: object, number: int) -> Reply:
    place = f"the reply of turn {number}"
    table = _table(data, place, ("text", "persona", "wit", "notice", "finish_reason", "usage"))
    if table["finish_reason"] not in get_args(FinishReason):
        raise ValueError(f"finish_reason is {table['finish_reason']!r:.40} in {place}")
    spent = _table(table["usage"], f"usage of {place}", tuple(field.name for field in fields(Usage)))
    usage = Usage(
        *(_count(spent, key) for key in ("prompt_tokens", "cached_tokens", "completion_tokens")),
        *(_number(spent, key) for key in ("prefill_seconds", "decode_seconds")),
    )
    completion = Completion(_text(table, "text"), (), table["finish_reason"], usage)
    return Reply(completion.text, completion, _text(table, "persona"), _wit(table), _text_or_none(table, "notice"))


def _table(data: object, place: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(data, dict) or data.keys() != set(keys):
        raise ValueError(f"{place} does not have exactly the keys {', '.join(keys)}")
    return data


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is {value!r:.40}; expected a text")
    value.encode()  # half a character, which JSON can express, is a ValueError too
    return value


def _text_or_none(table: Mapping[str, Any], key: str) -> str | None:
    return None if table[key] is None else _text(table, key)


def _number(table: Mapping[str, Any], key: str, most: float = NUMBER_LIMIT) -> float:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{key} is {value!r:.40}; expected a number from 0 to {most}")
    return value


def _count(table: Mapping[str, Any], key: str, most: float = NUMBER_LIMIT) -> int:
    value = _number(table, key, most)
    if not isinstance(value, int):
        raise ValueError(f"{key} is {value!r:.40}; expected a whole number")
    return value


def _wit(table: Mapping[str, Any]) -> float:
    return _number(table, "wit", most=1)
