"""What is preferred to what, and what is thought of single answers; a JSON object per line:

    {"prompt": [messages], "chosen": {message}, "rejected": {message}, "kind": "edit", "weight": 1.0, "meta": {…}}
    {"prompt": [messages], "reply": {message}, "label": true, "kind": "thumb", "weight": 1.0, "meta": {…}}

An answer may also be a list of one message, as `gadfly chats export --format pairs` writes it. `kind` says why it is
believed (edit, regenerate, arena, vote, thumb, plain …) and decides nothing. A prompt ends with what is answered: it is
never empty, and not the assistant's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gadfly.conversation import Message
from gadfly.lines import Problem, Row, kind_of, read_as
from gadfly.train.data.chats import MOST_MESSAGES, message_of, meta_of, number_of

__all__ = ["Preference", "Thumb", "preference_of", "read_preferences", "read_thumbs", "thumb_of"]


@dataclass(frozen=True)
class Preference:
    """Of two answers to the same prompt, `chosen` is better. `line` is where it stands."""

    prompt: tuple[Message, ...]
    chosen: Message
    rejected: Message
    kind: str = ""
    weight: float = 1.0
    meta: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True)
class Thumb:
    """An answer that was found good (`label`) or bad, with nothing to compare it with."""

    prompt: tuple[Message, ...]
    reply: Message
    label: bool
    kind: str = ""
    weight: float = 1.0
    meta: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0


def read_preferences(path: Path) -> Iterator[Preference | Problem]:
    """Line by line. Raises NotFoundError or RequestError if the file cannot be read at all."""
    return read_as(path, preference_of)


def read_thumbs(path: Path) -> Iterator[Thumb | Problem]:
    """Line by line. Raises NotFoundError or RequestError if the file cannot be read at all."""
    return read_as(path, thumb_of)


def preference_of(row: Row) -> Preference | Problem:
    """What a line says, or what is wrong with it."""
    table = row.table
    try:
        chosen, rejected = _answer(table, "chosen"), _answer(table, "rejected")
        if chosen == rejected:
            raise ValueError("chosen and rejected are the same, so nothing is preferred")
        return Preference(_prompt(table), chosen, rejected, _kind(table), _weight(table), meta_of(table), row.line)
    except ValueError as error:
        return Problem(row.line, str(error))


def thumb_of(row: Row) -> Thumb | Problem:
    """What a line says, or what is wrong with it."""
    table = row.table
    try:
        label = table.get("label")
        if not isinstance(label, bool):
            raise ValueError(f"label is {kind_of(label)}; expected true or false")
        reply = _answer(table, "reply")
        return Thumb(_prompt(table), reply, label, _kind(table), _weight(table), meta_of(table), row.line)
    except ValueError as error:
        return Problem(row.line, str(error))


def _prompt(table: Mapping[str, Any]) -> tuple[Message, ...]:
    given = table.get("prompt")
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_MESSAGES:
        raise ValueError(f"prompt is {kind_of(given)}; expected a list of 1 to {MOST_MESSAGES} messages")
    prompt = tuple(message_of(item, f"message {number} of the prompt") for number, item in enumerate(given, 1))
    if prompt[-1].role == "assistant":
        raise ValueError("the prompt ends with the assistant; expected what it answers")
    return prompt


def _answer(table: Mapping[str, Any], name: str) -> Message:
    given = table.get(name)
    if isinstance(given, list) and len(given) == 1:
        (given,) = given
    message = message_of(given, name)
    if message.role != "assistant" or not message.content.strip():
        raise ValueError(f"{name} is of the role {message.role} or empty; expected an answer of the assistant")
    return message


def _kind(table: Mapping[str, Any]) -> str:
    kind = table.get("kind", table.get("because", ""))
    if not isinstance(kind, str):
        raise ValueError(f"kind is {kind_of(kind)}; expected text")
    return kind


def _weight(table: Mapping[str, Any]) -> float:
    return number_of("weight", table.get("weight", 1.0), 0, 1000)
