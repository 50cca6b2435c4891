"""Typed access to a JSON object that a client sent and that may hold anything.

A field that is absent or null has its default, one that nobody asks for is ignored, and one of the wrong type or out
of range is a RequestError that names it by its path, as in `messages[2].content`. What fields mean is not known here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from gadfly.errors import RequestError

__all__ = ["NESTING_LIMIT", "Fields", "check_json", "check_text"]

NESTING_LIMIT = 64  # of schemas, arguments and whatever else is passed on as JSON

_Name = TypeVar("_Name", bound=str)


class Fields:
    """The fields of one object. `path` says where in the request it lies; "" is the request itself."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise _wrong(path, value, "an object")
        self._table: dict[str, Any] = value
        self.path = path

    def __contains__(self, key: str) -> bool:
        return self._table.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __getitem__(self, key: str) -> object:
        """The bare value, unchecked; None if absent."""
        return self._table.get(key)

    def at(self, key: str) -> str:
        """The path of a field."""
        return f"{self.path}.{key}" if self.path else key

    def wrong(self, key: str, expected: str) -> RequestError:
        """An error about a field, to be raised."""
        return _wrong(self.at(key), self._table.get(key), expected)

    @overload
    def text(self, key: str, default: str, most: int | None = None) -> str: ...
    @overload
    def text(self, key: str, default: None = None, most: int | None = None) -> str | None: ...
    def text(self, key: str, default: str | None = None, most: int | None = None) -> str | None:
        """Text of at most `most` characters."""
        if key not in self:
            return default
        return check_text(self[key], self.at(key), most)

    def need_text(self, key: str, most: int | None = None) -> str:
        """Text that has to be there and not to be empty."""
        return check_text(self[key], self.at(key), most, least=1)

    @overload
    def flag(self, key: str, default: bool = False) -> bool: ...
    @overload
    def flag(self, key: str, default: None) -> bool | None: ...
    def flag(self, key: str, default: bool | None = False) -> bool | None:
        found = self[key]
        if found is None:
            return default
        if not isinstance(found, bool):
            raise self.wrong(key, "true or false")
        return found

    def number(self, key: str, low: float, high: float) -> float | None:
        found = self[key]
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
            raise self.wrong(key, f"a number from {low} to {high}")
        return found

    @overload
    def whole(self, key: str, low: int, high: int, default: int) -> int: ...
    @overload
    def whole(self, key: str, low: int, high: int, default: None = None) -> int | None: ...
    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int | None:
        """A whole number; JSON of some clients writes one as 1.0."""
        found = self.number(key, low, high)
        if found is None:
            return default
        if found != int(found):
            raise self.wrong(key, f"a whole number from {low} to {high}")
        return int(found)

    def one_of(self, key: str, names: Sequence[_Name], default: _Name) -> _Name:
        """One of a few words."""
        return self.need_one_of(key, names) if key in self else default

    def need_one_of(self, key: str, names: Sequence[_Name]) -> _Name:
        """One of a few words, which has to be there."""
        for name in names:
            if self[key] == name:
                return name
        raise self.wrong(key, f"one of {', '.join(names)}")

    def table(self, key: str) -> "Fields | None":
        """An object with fields of its own."""
        return self.need_table(key) if key in self else None

    def need_table(self, key: str) -> "Fields":
        """An object that has to be there."""
        return Fields(self[key], self.at(key))

    def items(self, key: str, most: int) -> Iterator[tuple[str, object]]:
        """The elements of an array, each with its path; none if it is absent."""
        found = self._table.get(key)
        if found is None:
            return
        if not isinstance(found, list) or len(found) > most:
            raise self.wrong(key, f"an array of at most {most} elements")
        for index, item in enumerate(found):
            yield f"{self.at(key)}[{index}]", item

    def tables(self, key: str, most: int) -> Iterator["Fields"]:
        """The elements of an array of objects."""
        for path, item in self.items(key, most):
            yield Fields(item, path)

    def json(self, key: str) -> Mapping[str, Any]:
        """An object that is passed on as it is; {} if absent. Its depth, numbers and text are checked."""
        if key not in self:
            return {}
        if not isinstance(self[key], dict):
            raise self.wrong(key, "an object")
        check_json(self[key], self.at(key))
        return self._table[key]  # type: ignore[no-any-return]


def check_text(value: object, path: str, most: int | None = None, least: int = 0) -> str:
    """`value` if it is text that can be encoded: JSON can express half a character, which no tokenizer takes."""
    if not isinstance(value, str) or len(value) < least:
        raise _wrong(path, value, "a text that is not empty" if least else "a text")
    if most is not None and len(value) > most:
        raise RequestError(f"{path} has {len(value)} characters; expected at most {most}", path)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"{path} has half a character at {error.start}: a surrogate without its pair", path
        ) from None
    return value


def check_json(value: object, path: str) -> None:
    """Refuse JSON that is nested too deeply, or holds text that cannot be encoded or a number that is none."""
    pending = [(value, 0)]
    while pending:
        found, depth = pending.pop()
        if depth > NESTING_LIMIT:
            raise RequestError(f"{path} is nested more than {NESTING_LIMIT} deep; flatten it", path)
        match found:
            case dict():
                for key in found:
                    check_text(key, f"a key in {path}")
                pending += [(inner, depth + 1) for inner in found.values()]
            case list():
                pending += [(inner, depth + 1) for inner in found]
            case str():
                check_text(found, path)
            case float() if not math.isfinite(found):
                raise RequestError(f"{path} contains {found}, which JSON has no number for", path)


def _wrong(path: str, value: object, expected: str) -> RequestError:
    name = path or "the request"
    return RequestError(f"{name} is {_shown(value)}; expected {expected}", path or None)


def _shown(value: object) -> str:
    """What a client sent, short and without its depths."""
    match value:
        case None:
            return "missing"
        case bool():
            return str(value).lower()
        case dict():
            return "an object"
        case list():
            return f"an array of {len(value)}"
        case str() if len(value) > 40:
            return f"{value[:40]!r}..."
        case int() if abs(value) >= 2**64:
            return "a huge number"
    return f"{value!r:.40}"
