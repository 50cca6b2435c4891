"""Plain texts to learn: .txt and .md files, a document each, or lines of {"text": "…"}; of a folder, all such files.

A document is cut into pieces of as many tokens as are read at once. Each begins with the last token of the one before,
so that every token is learnt once, and the last one ends with the token that ends a text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gadfly.answer import Prompts
from gadfly.errors import UnsupportedError
from gadfly.lines import Problem, Row, kind_of, read_as, text_of
from gadfly.train.data.chats import meta_of, number_of
from gadfly.train.data.sample import Sample

__all__ = ["Document", "document_of", "pieces", "read_documents", "text_files"]

LARGEST_TEXT = 100_000_000  # bytes, of a file
PLAIN, LINES = (".txt", ".md"), (".jsonl",)
JUDGED = "valid"  # of a folder's files, those that are so called, or lie in a folder that is, are not learnt


@dataclass(frozen=True)
class Document:
    """A text that is learnt whole. `line` is where it stands."""

    text: str
    weight: float = 1.0
    meta: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0


def text_files(path: Path, judged: bool = False) -> list[Path]:
    """All files that a path stands for, in the order of their names: those to learn from, or those to judge by."""
    if not path.is_dir():
        return [] if judged else [path]
    found = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in (*PLAIN, *LINES) and file.is_file()]
    inner = [(file, file.relative_to(path).with_suffix("").parts) for file in found]
    return [
        file for file, parts in inner if (JUDGED in parts) == judged and not any(part.startswith(".") for part in parts)
    ]


def read_documents(path: Path) -> Iterator[Document | Problem]:
    """Of one file. Raises NotFoundError or RequestError if it cannot be read at all."""
    if path.suffix.lower() in PLAIN:
        text = text_of(path, LARGEST_TEXT)
        if isinstance(text, Problem):
            yield text
        else:
            yield Document(text, line=1) if text.strip() else Problem(1, "has no text in it")
        return
    yield from read_as(path, document_of)


def pieces(document: Document, prompts: Prompts, longest: int) -> Iterator[Sample]:
    """Samples of up to `longest` tokens. Raises UnsupportedError if the model has no tokenizer."""
    tokenizer = prompts.tokenizer
    if tokenizer is None:
        raise UnsupportedError(f"{prompts.name} has no tokenizer; texts cannot be learnt with it")
    ids: Sequence[int] = prompts.text_ids(document.text)
    whole = np.array([*ids, *([] if tokenizer.eos is None else [tokenizer.eos])], np.int32)
    for first in range(0, max(1, len(whole) - 1), longest - 1):
        part = whole[first : first + longest]
        if len(part) > 1:
            yield Sample(part, np.arange(len(part)) > 0, document.weight)


def document_of(row: Row) -> Document | Problem:
    """What a line says, or what is wrong with it."""
    text = row.table.get("text")
    try:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"text is {'empty' if isinstance(text, str) else kind_of(text)}; expected some text")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("text has half a character in it")
        weight = number_of("weight", row.table.get("weight", 1.0), 0, 1000)
        return Document(text, weight, meta_of(row.table), row.line)
    except ValueError as error:
        return Problem(row.line, str(error))
