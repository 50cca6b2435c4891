"""A call of a tool as a model writes it, one JSON object, taken apart while its characters arrive.

    {"name": "weather", "arguments": {"city": "Rome"}}

The name is known as soon as its string ends, and the text of the arguments is passed on as it comes, unchecked: a model
may write what is no JSON. How calls are set into an answer differs between models: see `gadfly.text.tool_calls`.
"""

import json
from enum import Enum, auto

__all__ = ["CallObject", "JsonValue"]

ARGUMENTS = ("arguments", "parameters")
KEYS = frozenset(("name", "type", "id", *ARGUMENTS))
LONGEST_NAME = 256  # characters, of a key or a name: what is longer is none


class JsonValue:
    """Where a value ends, character by character: brackets and strings are counted, nothing else is checked."""

    def __init__(self) -> None:
        self.done = False
        self._depth = 0
        self._string = self._escaped = self._scalar = False

    def take(self, c: str) -> bool:
        """Whether `c` belongs to the value; the first must be no blank space."""
        if self._string:
            if self._escaped:
                self._escaped = False
            elif c == "\\":
                self._escaped = True
            elif c == '"':
                self._string = False
                self.done = not self._depth
        elif self._scalar and (c in ",]}" or c.isspace()):
            self.done = True
            return False
        elif c == '"':
            self._string = True
        elif c in "{[":
            self._depth += 1
        elif c in "}]":
            self._depth -= 1
            self.done = self._depth <= 0
            return self._depth >= 0
        elif not self._depth:
            self._scalar = True
        return True


class State(Enum):
    BEFORE = auto()
    FIRST_KEY = auto()
    NEXT_KEY = auto()
    KEY = auto()
    COLON = auto()
    VALUE_SOON = auto()
    VALUE = auto()
    AFTER_VALUE = auto()
    DONE = auto()
    FAILED = auto()


class CallObject:
    """Push characters until `done` or `failed`; `name` is None until it is known, `arguments` come out of `push`.

    It fails on what is no JSON object, on a key that no call has, on a name that is not in `names`, and at the end of
    an object without a name.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self.name: str | None = None
        self._names = names
        self._state = State.BEFORE
        self._key = ""
        self._value = JsonValue()
        self._text = ""  # of a key or value that cannot be passed on yet
        self._early = ""  # arguments that came before the name
        self._argued = self._quoted = False

    @property
    def done(self) -> bool:
        return self._state is State.DONE

    @property
    def failed(self) -> bool:
        return self._state is State.FAILED

    def push(self, c: str) -> str:
        """The text of arguments that `c` completes. After the last of them there are some, be it an empty object."""
        if self._state is State.VALUE:
            return self._in_value(c)
        if self._state is State.KEY:
            self._in_key(c)
            return ""
        if c.isspace():
            return ""
        match self._state, c:
            case State.BEFORE, "{":
                self._state = State.FIRST_KEY
            case ((State.FIRST_KEY | State.NEXT_KEY), '"'):
                self._state, self._text, self._value = State.KEY, c, JsonValue()
                self._value.take(c)
            case State.COLON, ":":
                self._state = State.VALUE_SOON
            case State.VALUE_SOON, _:
                if self._key in ARGUMENTS and self._argued:
                    self._state = State.FAILED
                    return ""
                self._state, self._text, self._value, self._quoted = State.VALUE, "", JsonValue(), c == '"'
                return self._in_value(c)
            case State.AFTER_VALUE, ",":
                self._state = State.NEXT_KEY
            case ((State.AFTER_VALUE | State.FIRST_KEY), "}"):
                self._state = State.DONE if self.name is not None else State.FAILED
                if self.done and not self._argued:
                    return "{}"
            case _:
                self._state = State.FAILED
        return ""

    def _in_key(self, c: str) -> None:
        self._value.take(c)
        self._text += c
        if self._value.done:
            self._key = str(_decoded(self._text))
            self._state = State.COLON if self._key in KEYS else State.FAILED
        elif len(self._text) > LONGEST_NAME:
            self._state = State.FAILED

    def _in_value(self, c: str) -> str:
        belongs = self._value.take(c)
        out = ""
        if self._key in ARGUMENTS:
            out = self._argue(c if belongs else "")
        elif belongs and len(self._text) <= LONGEST_NAME:
            self._text += c
        if self._value.done and not self.failed:
            self._state = State.AFTER_VALUE
            if self._key == "name":
                out = self._named()
            if not belongs:
                out += self.push(c)
        return out

    def _named(self) -> str:
        name = _decoded(self._text)
        if self.name is not None or not isinstance(name, str) or name not in self._names:
            self._state = State.FAILED
            return ""
        self.name = name
        early, self._early = self._early, ""
        return early

    def _argue(self, c: str) -> str:
        """More of the arguments. Some models write them as a string that holds JSON; it counts when it is whole."""
        self._argued = True
        if self._quoted:
            self._text += c
            if not self._value.done:
                return ""
            c = str(_decoded(self._text))
        if self.name is not None:
            return c
        self._early += c
        return ""


def _decoded(text: str) -> object:
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return text
