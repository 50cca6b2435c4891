"""Reading JSON of a known shape from front to back without building more of it than is asked for.

Headers of weight files are JSON of up to 100 MB from hostile hands; a general parser would make gigabytes of objects of
it. Here the reader says what it expects next, gets that or an error, and no depth is ever reached that it did not ask
for. What the members mean is known in `gadfly.weights.safetensors` and `safetensors_folder`.
Source: RFC 8259; repeated names, which it leaves open, are refused.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gadfly.errors import ModelFileError
from gadfly.weights.gguf_cursor import quoted

__all__ = ["JsonScan"]

DEEPEST_SKIPPED = 64

_SPACE = re.compile(r"[ \t\n\r]*+")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,65535}+"')
_SMALL = re.compile(r"\{[^{}]{0,4094}+\}")
_PAIRS = json.JSONDecoder(object_pairs_hook=list)  # made once: a header has thousands of small objects
_OTHER = re.compile(r'[^"\[\]{},]++')  # numbers and names of constants, wherever a value is stepped over


class JsonScan:
    """A position in a text. What a method reads is called `field` in the error that it may raise."""

    def __init__(self, path: Path, text: str, what: str) -> None:
        """`what` is where the text is from, for errors: "the header"."""
        self.path = path
        self.text = text
        self.what = what
        self.position = 0

    def error(self, message: str) -> ModelFileError:
        return ModelFileError(f"{self.path}: {message}; the file is damaged or incomplete, fetch it again")

    def members(self, field: str, most: int) -> Iterator[str]:
        """Names of an object's members; the caller reads each value before it takes the next name."""
        self._take("{", field)
        seen: set[str] = set()
        if self._try("}"):
            return
        while True:
            name = self.string(f"a name in {field}")
            if name in seen:
                raise self.error(f"{quoted(name)} appears twice in {field}; expected once")
            seen.add(name)
            if len(seen) > most:
                raise self.error(f"{field} has more than {most} members")
            self._take(":", f"{quoted(name)} in {field}")
            yield name
            if self._try("}"):
                return
            self._take(",", field)

    def string(self, field: str) -> str:
        self._space()
        found = _STRING.match(self.text, self.position)
        if found is None:
            raise self._expected("a string", field)
        self.position = found.end()
        text = found[0][1:-1]
        if "\\" in text:
            text = str(json.loads(found[0]))
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise self.error(f"{field} is not valid Unicode")
        return text

    def small_object(self, field: str) -> dict[str, Any]:
        """An object of at most 4096 characters and without others in it, as Python's parser reads it."""
        self._space()
        found = _SMALL.match(self.text, self.position)
        if found is None:
            raise self._expected("a small object", field)
        self.position = found.end()
        try:
            pairs: list[tuple[str, Any]] = _PAIRS.decode(found[0])
        except (ValueError, RecursionError):
            raise self.error(f"{field} is {quoted(found[0])}, which is not sound JSON") from None
        values = dict(pairs)
        if len(values) < len(pairs):
            raise self.error(f"{field} is {quoted(found[0])}, where a name appears twice; expected once")
        return values

    def skip(self, field: str) -> None:
        """Step over a value of any kind; that its brackets match is all that is checked."""
        open_brackets = ""
        while True:
            self._space()
            start = self.position
            character = self.text[start : start + 1]
            if character == '"':
                self.string(field)
            elif character and character in "{[":
                open_brackets += "}" if character == "{" else "]"
                self.position += 1
                if len(open_brackets) > DEEPEST_SKIPPED:
                    raise self.error(f"{field} nests values more than {DEEPEST_SKIPPED} deep")
            elif character and character == open_brackets[-1:]:
                open_brackets = open_brackets[:-1]
                self.position += 1
            elif character == "," and open_brackets:
                self.position += 1
            elif found := _OTHER.match(self.text, start):
                self.position = found.end()
            else:
                raise self._expected("a value", field)
            if not open_brackets:
                return

    def end(self) -> None:
        """Nothing but white space may follow."""
        self._space()
        if self.position < len(self.text):
            raise self._expected("its end", self.what)

    def _space(self) -> None:
        found = _SPACE.match(self.text, self.position)
        assert found is not None, "nothing is white space too"
        self.position = found.end()

    def _try(self, character: str) -> bool:
        self._space()
        if not self.text.startswith(character, self.position):
            return False
        self.position += 1
        return True

    def _take(self, character: str, field: str) -> None:
        if not self._try(character):
            raise self._expected(repr(character), field)

    def _expected(self, expected: str, field: str) -> ModelFileError:
        found = self.text[self.position : self.position + 20]
        return self.error(
            f"{self.what} has {found!r} at character {self.position}, in {field}; expected {expected}"
            if found
            else f"{self.what} ends in {field}; expected {expected}"
        )
