"""A book as passages: pieces of plain text that are learnt whole, cut between paragraphs where that is possible."""

import re
from collections.abc import Iterator

__all__ = ["passages", "without_gutenberg"]

EDGE = re.compile(r"^\*{3} ?(START|END) OF (?:THIS|THE) PROJECT GUTENBERG EBOOK.*$", re.MULTILINE)
PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*")


def without_gutenberg(text: str) -> str:
    """Without what Project Gutenberg writes before and behind a book, if it does."""
    edges = {match[1]: match for match in EDGE.finditer(text)}
    if "START" not in edges or "END" not in edges or edges["END"].start() < edges["START"].end():
        return text
    return text[edges["START"].end() : edges["END"].start()]


def passages(text: str, longest: int) -> Iterator[str]:
    """Of up to `longest` characters; a paragraph that is longer is cut at a space, or anywhere if it has none."""
    held = ""
    for paragraph in PARAGRAPH.split(text.replace("\r\n", "\n")):
        for piece in _cut(paragraph.strip("\n"), longest):
            if held and len(held) + 2 + len(piece) > longest:
                yield held
                held = piece
            else:
                held = f"{held}\n\n{piece}" if held else piece
    if held.strip():
        yield held


def _cut(paragraph: str, longest: int) -> Iterator[str]:
    while len(paragraph) > longest:
        space = max(paragraph.rfind(" ", 0, longest), paragraph.rfind("\n", 0, longest))
        end = space if space > longest // 2 else longest
        yield paragraph[:end].rstrip()
        paragraph = paragraph[end:].lstrip()
    if paragraph.strip():
        yield paragraph
