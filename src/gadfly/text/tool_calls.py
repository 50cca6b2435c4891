"""Calls of tools found in what a model writes, while it writes: text in, events out.

What merely looks like the beginning of a call is held back until it is decided, and given back as text if it is none.
So is a call of a tool that the request does not know: the model has made it up, or talks about JSON. Once a name is
certain, `ToolCallStart` says so, and arguments follow as they come, valid or not. An answer that is cut off within its
arguments ends there; one that is cut off before, behind a mark, loses the mark, as with OpenAI and Anthropic.
The marks that models set around calls: `gadfly.text.tool_dialect`. One call as an object: `gadfly.text.call_object`.
"""

import re
from collections.abc import Callable
from typing import Literal

from gadfly.conversation import AnswerEvent, TextDelta, ToolCallDelta, ToolCallStart
from gadfly.text.call_object import CallObject, JsonValue
from gadfly.text.tool_dialect import ToolDialect

__all__ = ["ToolCallReader"]

LONGEST_NAME = 256  # characters
NAMED = re.compile(r"([\w.-]+)\s*(?:>|(?:\[CALL_ID\]\w+)?\[ARGS\])?\s*\{")


class ToolCallReader:
    """`names` are the tools there are, `new_id` makes the id of a call; after `most` calls (0: any) it has `ended`.

    `only`: nothing but calls may come, which a grammar sees to.
    """

    def __init__(
        self,
        dialect: ToolDialect,
        names: frozenset[str],
        new_id: Callable[[], str],
        most: int = 0,
        only: bool = False,
    ) -> None:
        self.calls = 0
        self._dialect = dialect
        self._names = names
        self._new_id = new_id
        self._most = most
        self._only = only
        self._state: Literal["text", "body", "object", "name", "arguments", "between", "after"] = "text"
        self._raw = ""  # what has come and is not decided: blank space, and a mark or call that may begin behind it
        self._mark = ""  # the part of `_raw` that may become a mark
        self._closing = ""
        self._marked = False  # the call in hand was begun by a mark
        self._array = False
        self._bare = dialect.bare  # nothing but calls and blank space so far, so a bare object may be one
        self._object = CallObject(names)
        self._value = JsonValue()
        self._name = ""
        self._begun = False  # the call in hand has been announced
        self._called = False  # no text since the last call
        self._events: list[AnswerEvent] = []

    @property
    def held(self) -> int:
        """Characters that have come and led to no event yet."""
        return len(self._raw)

    @property
    def ended(self) -> bool:
        """Whether as many calls as may be have come to their end."""
        return 0 < self._most <= self.calls and self._state in ("text", "between", "after")

    def push(self, text: str) -> list[AnswerEvent]:
        for c in text:
            if self.ended:
                break
            self._take(c)
        return self._taken()

    def flush(self, cut: bool = False) -> list[AnswerEvent]:
        """What was held back, when no more text comes; `cut`: because no more was allowed."""
        beginning = self._state in ("body", "object", "name") and self._marked
        lost = cut and (beginning or self._only)
        if self._state not in ("between", "after", "arguments") and not self._begun and not lost:
            self._say(self._raw, last=True)
        self.calls += self._begun
        self._raw, self._begun = "", False
        return self._taken()

    def _taken(self) -> list[AnswerEvent]:
        events, self._events = self._events, []
        return events

    def _take(self, c: str) -> None:
        self._raw += c
        match self._state:
            case "text":
                self._in_text(c)
            case "body":
                self._in_body(c)
            case "object":
                self._in_object(c)
            case "name":
                self._in_name(c)
            case "arguments":
                self._in_arguments(c)
            case "between":
                self._in_between(c)
            case "after":
                self._in_after()

    def _in_text(self, c: str) -> None:
        candidate = self._mark + c
        if candidate in self._dialect.marks:
            self._open(self._dialect.marks[candidate], named=candidate.endswith("="), marked=True)
        elif any(mark.startswith(candidate) for mark in self._dialect.marks):
            self._mark = candidate
        elif self._mark:  # it was none, but another may begin within it
            first, rest = candidate[0], candidate[1:]
            self._raw = self._raw[: -len(rest)]
            self._mark = ""
            if self._bare and first == "[":
                self._open("", named=False)
                self._in_body(first)
            else:
                self._say(self._raw)
            for one in rest:
                self._take(one)
        elif self._bare and c in "{[":
            self._open("", named=False)
            self._in_body(c)
        elif not (c.isspace() or (self._bare and self._called and c in ";,")):
            self._say(self._raw)

    def _open(self, closing: str, named: bool, marked: bool = False) -> None:
        self._closing, self._marked, self._mark, self._array, self._begun = closing, marked, "", False, False
        self._state, self._name = ("name", "") if named else ("body", "")

    def _in_body(self, c: str) -> None:
        """Behind a mark, where a call begins, or a list of them."""
        if c == "{":
            self._in_object(c, begin=True)
        elif c == "[" and not self._array:
            self._array = True
        elif c == "]" and self._array:
            self._after()
        elif not self._array and (c.isalpha() or c == "_"):
            self._state, self._name = "name", c
        elif not c.isspace():
            self._give_up(c)

    def _in_object(self, c: str, begin: bool = False) -> None:
        if begin:
            self._state, self._object, self._begun = "object", CallObject(self._names), False
        arguments = self._object.push(c)
        if self._object.name is not None and not self._begun:
            self._begin(self._object.name)
        self._argue(arguments)
        if self._object.done:
            self._finish()
        elif self._object.failed:
            self._give_up(c)

    def _in_name(self, c: str) -> None:
        """A name that stands by itself, up to the object of its arguments."""
        self._name += c
        if c == "{":
            found = NAMED.fullmatch(self._name)
            if found is None or found[1] not in self._names:
                self._give_up(c)
                return
            self._begin(found[1])
            self._state, self._value = "arguments", JsonValue()
            self._in_arguments(c)
        elif len(self._name) > LONGEST_NAME or not (c.isalnum() or c in "_.-[]> \n"):
            self._give_up(c)

    def _in_arguments(self, c: str) -> None:
        self._value.take(c)
        self._argue(c)
        if self._value.done:
            self._finish()

    def _begin(self, name: str) -> None:
        self._begun = True
        self._raw = ""
        self._events.append(ToolCallStart(self.calls, self._new_id(), name))

    def _argue(self, arguments: str) -> None:
        if not self._begun:
            return
        self._raw = ""
        last = self._events[-1] if self._events else None
        if isinstance(last, ToolCallDelta) and last.index == self.calls:
            self._events[-1] = ToolCallDelta(self.calls, last.arguments + arguments)
        elif arguments:
            self._events.append(ToolCallDelta(self.calls, arguments))

    def _finish(self) -> None:
        self.calls += 1
        self._begun, self._called = False, True
        self._raw = ""
        if self._array:
            self._state = "between"
        else:
            self._after()

    def _in_between(self, c: str) -> None:
        """Behind a call in a list."""
        if c == ",":
            self._state = "body"
        elif c == "]":
            self._after()
        elif not c.isspace():
            self._give_up(c)

    def _after(self) -> None:
        self._state = "after" if self._closing else "text"
        self._raw = self._mark = ""

    def _in_after(self) -> None:
        """Behind a call, where the closing mark should come. If another thing does, the call counts all the same."""
        mark = self._raw.lstrip()
        if mark == self._closing:
            self._state, self._raw = "text", ""
        elif not self._closing.startswith(mark):
            self._resume(self._raw)

    def _give_up(self, c: str) -> None:
        """It is no call after all: text up to here, though `c` may begin something."""
        if self._begun:  # announced already, so it stays one
            self.calls += 1
            self._begun, self._called = False, True
            self._raw = ""
        else:
            self._raw = self._raw[:-1]
            if self._raw:
                self._say(self._raw)
        self._resume(c)

    def _resume(self, text: str) -> None:
        self._state, self._raw, self._mark = "text", "", ""
        for one in text:
            self._take(one)

    def _say(self, text: str, last: bool = False) -> None:
        """Text it is. Blank space behind a call is none, nor is what separates it from the next."""
        self._raw = ""
        if self._called:
            text = text.lstrip(" \t\r\n;," if self._bare and last else None)
        if not text:
            return
        self._bare = self._called = False
        before = self._events[-1] if self._events else None
        if isinstance(before, TextDelta):
            self._events[-1] = TextDelta(before.text + text)
        else:
            self._events.append(TextDelta(text))
