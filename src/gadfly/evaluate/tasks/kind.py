"""What a kind of file is: how it is recognised, how its rows become questions, and what is made of the outcomes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from gadfly.conversation import Message, Role
from gadfly.evaluate.metric import Metric
from gadfly.evaluate.question import Found, Outcome, Question
from gadfly.lines import kind_of

__all__ = ["Kind", "asked_in", "text_in"]

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Kind:
    """`fits` says by the keys of a row whether it is of this kind, `questions` what it asks (raising ValueError).

    `right` says of an outcome whether it is; None where there is no right and wrong.
    """

    name: str
    fits: Callable[[Mapping[str, Any]], bool]
    questions: Callable[[Mapping[str, Any], str], Iterable[Question]]
    metrics: Callable[[Found], dict[str, Metric]]
    right: Callable[[Any, Outcome], bool | None] = lambda *_: None


def text_in(row: Mapping[str, Any], *names: str) -> str:
    """The first of these that the row has. Raises ValueError unless it is text that says something."""
    name = next((name for name in names if name in row), names[0])
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is {'empty' if isinstance(value, str) else kind_of(value)}; expected text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} has half a character in it")
    return value


def asked_in(row: Mapping[str, Any], *names: str) -> tuple[Message, ...]:
    """A question as it stands in a row: a text, or messages of a conversation. Raises ValueError."""
    name = next((name for name in names if name in row), names[0])
    given = row.get(name)
    if not isinstance(given, list):
        return (Message("user", text_in(row, *names)),)
    if not given or not all(isinstance(item, dict) and item.get("role") in ROLES for item in given):
        raise ValueError(f"{name} is {kind_of(given)}; expected messages with roles {', '.join(ROLES)}")
    return tuple(Message(item["role"], text_in(item, "content")) for item in given)
