"""Tokens that are written out in a text: finds them, the leftmost first, of those the longest.

Which tokens are looked for, and when, is decided by the tokenizers; here a token is a string with an id. The cost per
character does not depend on how many tokens there are.
"""

import re
from collections.abc import Iterator, Mapping

__all__ = ["Specials"]


class Specials(Mapping[str, int]):
    """Ids of tokens by their text; empty texts are not allowed."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = dict(ids)
        lengths: dict[str, set[int]] = {}
        for text in self._ids:
            lengths.setdefault(text[0], set()).add(len(text))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}
        self._first = re.compile("[" + "".join(map(re.escape, self._lengths)) + "]" if self._ids else "(?!)")

    def __getitem__(self, text: str) -> int:
        return self._ids[text]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def at(self, text: str, start: int) -> str | None:
        """The longest token that is written at `start`."""
        for length in self._lengths.get(text[start : start + 1], ()):
            if (candidate := text[start : start + length]) in self._ids:
                return candidate
        return None

    def starts(self, text: str) -> Iterator[int]:
        """Every place where a token is written, overlapping ones included."""
        return (found.start() for found in self._first.finditer(text) if self.at(text, found.start()))

    def split(self, text: str) -> Iterator[str | int]:
        """The text in order: an id where a token is written, and the (non-empty) runs between."""
        done = 0
        for found in self._first.finditer(text):
            start = found.start()
            if start >= done and (token := self.at(text, start)):
                if start > done:
                    yield text[done:start]
                yield self._ids[token]
                done = start + len(token)
        if done < len(text):
            yield text[done:]
