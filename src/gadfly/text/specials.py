"""Tokens that are written out in a text: finds them, the leftmost first, of those the longest.

Which tokens are looked for, and when, is decided by the tokenizers; here a token is a string with an id. The cost per
character does not depend on how many tokens there are.
"""

import re
from collections.abc import Iterator, Mapping

__all__ = ["Specials"]

# What Unicode calls white space, and the tokenizers that strip it; Python counts four separators of ASCII too.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
SPACES = frozenset(WHITE_SPACE)


class Specials(Mapping[str, int]):
    """Ids of tokens by their text; empty texts are not allowed.

    `strips`: whether a token takes the white space before it, and behind it; without an entry neither.
    """

    def __init__(self, ids: Mapping[str, int], strips: Mapping[str, tuple[bool, bool]] | None = None) -> None:
        self._ids = dict(ids)
        self._strips = dict(strips or {})
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
                before, behind = self._strips.get(token, (False, False))
                run = text[done:start]
                if run := run.rstrip(WHITE_SPACE) if before else run:
                    yield run
                yield self._ids[token]
                done = start + len(token)
                while behind and text[done : done + 1] in SPACES:
                    done += 1
        if done < len(text):
            yield text[done:]
