"""Whether sets that are meant for judging have leaked into what is learnt: runs of words that both have.

A run of eight words is a leak; of a text that is shorter, all of it, from four words on. Words are compared without
capitals and punctuation. Evaluation sets may be lines or arrays of JSON, tables or plain text; all text in them counts.
Source: the n-grams of GPT-3 (arXiv 2005.14165, appendix C) with a shorter run, as what people ask is short.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gadfly.errors import RequestError
from gadfly.lines import Row, read_rows, read_text
from gadfly.train.data.likeness import words_of

__all__ = ["Leaks"]

RUN, SHORTEST = 8, 4  # words
MOST_RUNS = 20_000_000
TEXTS = (".txt", ".md")


class Leaks:
    """The runs of words of evaluation sets, by hash, and where they stand."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Raises NotFoundError or RequestError for what cannot be read, or has no text in it."""
        self._files = list(files)
        self._places: dict[int, tuple[int, int]] = {}  # hash of a run -> file, line
        self._lengths: set[int] = set()
        for number, path in enumerate(self._files):
            before = len(self._places)
            for line, text in _texts(path):
                self._add(words_of(text), number, line)
            if len(self._places) == before:
                raise RequestError(f"{path} has no text that could be looked for; expected an evaluation set")

    def found(self, text: str) -> tuple[str, str] | None:
        """Where the first run that both have stands ("xstest.csv:17"), and the run itself."""
        words = words_of(text)
        for length in sorted(self._lengths, reverse=True):
            for first in range(len(words) - length + 1):
                run = tuple(words[first : first + length])
                if (place := self._places.get(hash(run))) is not None:
                    return f"{self._files[place[0]]}:{place[1]}", " ".join(run)
        return None

    def _add(self, words: Sequence[str], file: int, line: int) -> None:
        length = min(len(words), RUN)
        if length < SHORTEST:
            return
        self._lengths.add(length)
        for first in range(len(words) - length + 1):
            self._places.setdefault(hash(tuple(words[first : first + length])), (file, line))
        if len(self._places) > MOST_RUNS:
            raise RequestError(f"{self._files[file]} is too large to look for; name smaller evaluation sets")


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    if path.suffix.lower() in TEXTS:
        yield 1, read_text(path)
        return
    for row in read_rows(path):
        if isinstance(row, Row):
            for text in _leaves(dict(row.table)):
                yield row.line, text


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict() | list():
            for inner in value.values() if isinstance(value, dict) else value:
                yield from _leaves(inner)
