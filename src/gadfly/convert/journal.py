"""How far a conversion is on disk, so that it goes on there after any interruption, `kill -9` and power cuts included.

Beside the files lies a list of lines: the first names the plan, every other says what was on disk when it was written.
A line that was cut short is one that never was. Lines of another plan mean that all begins anew.

    {"plan": "<sha256>"}
    {"file": 0, "piece": 3, "rows": 512, "crc": 305419896}
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gadfly.weights.disk import replacing

__all__ = ["Journal", "Mark"]


@dataclass(frozen=True)
class Mark:
    """The first `rows` rows of a piece are on disk; `crc` is the CRC-32 of their bytes."""

    file: int
    piece: int
    rows: int
    crc: int


class Journal:
    def __init__(self, path: Path, plan: str) -> None:
        """Go on with the journal of `plan` at `path`, or begin it: then `marks` is empty."""
        self.path = path
        self.marks: dict[tuple[int, int], Mark] = {}
        first, *lines = _lines(path) or [{}]
        if first.get("plan") == plan:
            for line in lines:
                numbers = [n for key in ("file", "piece", "rows", "crc") if type(n := line.get(key)) is int and n >= 0]
                if len(numbers) != 4:
                    break
                mark = Mark(*numbers)
                self.marks[mark.file, mark.piece] = mark
        with replacing(path) as file:  # what counts of the old lines, without any that was cut short
            file.write(_text({"plan": plan}, *map(asdict, self.marks.values())))
        self._file = path.open("ab")

    def note(self, *marks: Mark) -> None:
        """The bytes that the marks speak of are on disk."""
        self.marks |= {(mark.file, mark.piece): mark for mark in marks}
        self._append(*map(asdict, marks))

    def close(self) -> None:
        self._file.close()

    def _append(self, *lines: dict[str, Any]) -> None:
        self._file.write(_text(*lines))
        self._file.flush()
        os.fsync(self._file.fileno())


def _text(*lines: dict[str, Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return []
    lines = []
    for line in text.split("\n")[:-1]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(found, dict):
            break
        lines.append(found)
    return lines
