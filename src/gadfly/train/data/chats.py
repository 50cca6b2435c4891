"""Conversations to learn from, a JSON object per line:

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…", "train": true}],
     "dial": 0.8, "weight": 1.0, "meta": {"source": "own", "licence": "CC0-1.0"}}

Without `train`, every message of the assistant is learnt. What a teacher found `likely` may stand beside it: see
`likely`. A damaged line is a problem with its number, and no more:
whoever has the file decides whether to go on without it. What is preferred to what is in `preferences` beside this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from gadfly.conversation import Message, Role
from gadfly.lines import Problem, Row, kind_of, read_as
from gadfly.train.data.likely import Choice, choices_of

__all__ = ["MOST_MESSAGES", "Lesson", "Problem", "lesson_of", "message_of", "meta_of", "number_of", "read_lessons"]

MOST_MESSAGES = 1000
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Lesson:
    """A conversation; `learnt` says of each message whether the model is to learn it. `line` is where it stands.

    `likely` are what a teacher found likely of answers, by the number of their message.
    """

    messages: tuple[Message, ...]
    learnt: tuple[bool, ...]
    dial: float | None = None
    weight: float = 1.0
    meta: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0
    likely: Mapping[int, tuple[Choice, ...]] = field(default_factory=dict)


def read_lessons(path: Path) -> Iterator[Lesson | Problem]:
    """Line by line, in memory for one line. Raises NotFoundError or RequestError if the file cannot be read at all."""
    return read_as(path, lesson_of)


def lesson_of(row: Row) -> Lesson | Problem:
    """What a line says, or what is wrong with it."""
    try:
        table = row.table
        messages, learnt = _messages(table.get("messages"))
        dial = table.get("dial")
        return Lesson(
            messages,
            learnt,
            None if dial is None else number_of("dial", dial, 0, 1),
            number_of("weight", table.get("weight", 1.0), 0, 1000),
            meta_of(table),
            row.line,
            {
                number: choices_of(item["likely"], f"`likely` of message {number + 1}")
                for number, item in enumerate(table["messages"])
                if "likely" in item and learnt[number]
            },
        )
    except ValueError as error:
        return Problem(row.line, str(error))


def _messages(given: Any) -> tuple[tuple[Message, ...], tuple[bool, ...]]:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_MESSAGES:
        raise ValueError(f"messages is {kind_of(given)}; expected a list of 1 to {MOST_MESSAGES}")
    messages: list[Message] = []
    learnt: list[bool] = []
    for number, item in enumerate(given, 1):
        message = message_of(item, f"message {number}")
        train = item.get("train")
        if train not in (None, True, False) or (train and message.role != "assistant"):
            raise ValueError(f"message {number} has train: {train!r:.40}; only what the assistant says can be learnt")
        messages.append(message)
        learnt.append(message.role == "assistant" and train is not False)
    if not any(learnt):
        raise ValueError("nothing in it is to be learnt: there is no message of the assistant with train: true")
    return tuple(messages), tuple(learnt)


def message_of(item: Any, name: str) -> Message:
    """Raises ValueError saying what is wrong with the message that errors call `name`."""
    if not isinstance(item, dict):
        raise ValueError(f"{name} is {kind_of(item)}; expected an object")
    content = item.get("content")
    role = next((known for known in ROLES if known == item.get("role")), None)
    if role is None:
        raise ValueError(f"{name} has the role {item.get('role')!r:.40}; there are {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise ValueError(f"the content of {name} is {kind_of(content)}; expected text")
    if not content.isprintable() and _has_surrogates(content):
        raise ValueError(f"{name} has half a character in it")
    return Message(role, content)


def meta_of(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a line says of itself. Raises ValueError if that is no object."""
    meta = table.get("meta", {})
    if not isinstance(meta, dict):
        raise ValueError(f"meta is {kind_of(meta)}; expected an object")
    return meta


def number_of(name: str, value: Any, low: float, high: float) -> float:
    """Raises ValueError unless it is a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r:.40}; expected a number from {low:g} to {high:g}")
    return float(value)


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
