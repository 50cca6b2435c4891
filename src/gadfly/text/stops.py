"""Stop strings: text in which one appears is cut off before it, wherever the borders between its pieces lie.

Each string is searched for with the automaton of Knuth, Morris and Pratt, so a character costs the same however long
the strings are, and how much of the text could be the beginning of one is known at every moment.
"""

from collections.abc import Sequence

from gadfly.errors import RequestError

__all__ = ["StopStrings"]


class StopStrings:
    """The text stops where the first stop string is complete; if two are at once, the longer counts."""

    def __init__(self, stops: Sequence[str]) -> None:
        if "" in stops:
            raise RequestError("a stop string is empty; it has to have at least one character")
        self._patterns = [_Pattern(stop) for stop in dict.fromkeys(stops)]
        self._held = ""
        self._stopped = False
        self.found: str | None = None  # the stop string that has appeared

    def push(self, piece: str) -> tuple[str, bool]:
        """Text that may be shown, and whether a stop string is complete. After that nothing is shown any more."""
        if self._stopped:
            return "", True
        for end, character in enumerate(piece, 1):
            complete = [pattern.text for pattern in self._patterns if pattern.advance(character)]
            if complete:
                self._stopped = True
                self.found = max(complete, key=len)
                text = self._held + piece[:end]
                self._held = ""
                return text[: -len(self.found)], True
        text = self._held + piece
        border = len(text) - max((pattern.matched for pattern in self._patterns), default=0)
        self._held = text[border:]
        return text[:border], False

    def flush(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held


class _Pattern:
    """How many characters at the end of the text are the beginning of `text`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.matched = 0
        self._borders = [0]  # of every beginning: its longest end that is also its beginning
        border = 0
        for character in text[1:]:
            while border and character != text[border]:
                border = self._borders[border - 1]
            border += character == text[border]
            self._borders.append(border)

    def advance(self, character: str) -> bool:
        """True when the whole is there; it must not be advanced further then."""
        while self.matched and character != self.text[self.matched]:
            self.matched = self._borders[self.matched - 1]
        self.matched += character == self.text[self.matched]
        return self.matched == len(self.text)
