"""Conversations to learn from, a JSON object per line:

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…", "train": true}],
     "dial": 0.8, "weight": 1.0, "meta": {"source": "own", "licence": "CC0-1.0"}}

Without `train`, every message of the assistant is learnt. A damaged line is a problem with its number, and no more:
whoever has the file decides whether to go on without it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from gadfly.conversation import Message, Role
from gadfly.errors import NotFoundError, RequestError

__all__ = ["Lesson", "Problem", "read_lessons"]

LONGEST_LINE = 4_000_000  # bytes
MOST_MESSAGES = 1000
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Lesson:
    """A conversation; `learnt` says of each message whether the model is to learn it. `line` is where it stands."""

    messages: tuple[Message, ...]
    learnt: tuple[bool, ...]
    dial: float | None = None
    weight: float = 1.0
    meta: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line of a file of lessons."""

    line: int
    text: str


def read_lessons(path: Path) -> Iterator[Lesson | Problem]:
    """Line by line, in memory for one line. Raises NotFoundError or RequestError if the file cannot be read at all."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    while not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE)):
                        pass
                    yield Problem(number, f"is longer than {LONGEST_LINE} bytes")
                elif line.strip():
                    yield _lesson(line, number)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error


def _lesson(line: bytes, number: int) -> Lesson | Problem:
    try:
        table = json.loads(line.decode())
        if not isinstance(table, dict):
            raise ValueError(f"is {_kind(table)}; expected an object with messages")
        messages, learnt = _messages(table.get("messages"))
        meta = table.get("meta", {})
        if not isinstance(meta, dict):
            raise ValueError(f"meta is {_kind(meta)}; expected an object")
        dial = table.get("dial")
        return Lesson(
            messages,
            learnt,
            None if dial is None else _number("dial", dial, 0, 1),
            _number("weight", table.get("weight", 1.0), 0, 1000),
            meta,
            number,
        )
    except UnicodeDecodeError as error:
        return Problem(number, f"is not UTF-8: byte {error.start} is {line[error.start]:#04x}")
    except json.JSONDecodeError as error:
        return Problem(number, f"is not JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return Problem(number, "is nested too deeply")
    except ValueError as error:
        return Problem(number, str(error))


def _messages(given: Any) -> tuple[tuple[Message, ...], tuple[bool, ...]]:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_MESSAGES:
        raise ValueError(f"messages is {_kind(given)}; expected a list of 1 to {MOST_MESSAGES}")
    messages: list[Message] = []
    learnt: list[bool] = []
    for number, item in enumerate(given, 1):
        if not isinstance(item, dict):
            raise ValueError(f"message {number} is {_kind(item)}; expected an object")
        content, train = item.get("content"), item.get("train")
        role = next((known for known in ROLES if known == item.get("role")), None)
        if role is None:
            raise ValueError(f"message {number} has the role {item.get('role')!r:.40}; there are {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise ValueError(f"the content of message {number} is {_kind(content)}; expected text")
        if not content.isprintable() and _has_surrogates(content):
            raise ValueError(f"message {number} has half a character in it")
        if train not in (None, True, False) or (train and role != "assistant"):
            raise ValueError(f"message {number} has train: {train!r:.40}; only what the assistant says can be learnt")
        messages.append(Message(role, content))
        learnt.append(role == "assistant" and train is not False)
    if not any(learnt):
        raise ValueError("nothing in it is to be learnt: there is no message of the assistant with train: true")
    return tuple(messages), tuple(learnt)


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _number(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r:.40}; expected a number from {low:g} to {high:g}")
    return float(value)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "missing"
        case dict():
            return "an object"
        case list():
            return f"a list of {len(value)}"
        case str():
            return "text"
    return repr(value)[:40]
