"""Outcomes on disk as they come, so that judging a model goes on where it stopped: a line of JSON each.

    {"format": "gadfly-eval", "version": 1, "terms": {what the outcomes depend on}}
    {"task": "xstest:0f3a…", "key": "17", "outcome": {…}}

A line that was being written when the machine died is dropped, and its question asked again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

from gadfly.errors import RequestError
from gadfly.evaluate.question import Outcome
from gadfly.lines import Row, read_lines
from gadfly.weights.disk import writing

__all__ = ["Journal", "read_journal"]

FORMAT, VERSION = "gadfly-eval", 1

Outcomes = dict[tuple[str, str], Outcome]  # by task and key


class Journal:
    """To add to; without a path it remembers and writes nothing."""

    def __init__(self, path: Path | None, terms: Mapping[str, Any]) -> None:
        """Raises RequestError if the file holds outcomes that were got on other terms, or is something else."""
        self.path = path
        self.outcomes: Outcomes = {}
        self._file: BinaryIO | None = None
        if path is None:
            return
        new = not path.exists() or not path.stat().st_size
        if not new:
            known, self.outcomes = read_journal(path)
            unlike = [name for name in {**known, **terms} if known.get(name) != terms.get(name)]
            if unlike:
                what = f"{unlike[0]} was {known.get(unlike[0])!r:.60} and is {terms.get(unlike[0])!r:.60}"
                raise RequestError(f"{path} is of another run: {what}; choose another name")
        with writing(path):
            self._file = path.open("ab")
            if new:
                self._write({"format": FORMAT, "version": VERSION, "terms": dict(terms)})
            elif not _ends_with_newline(path):
                self._file.write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def add(self, task: str, key: str, outcome: Outcome) -> None:
        """On its way to the disk when this returns."""
        self.outcomes[task, key] = outcome
        if self._file and self.path:
            with writing(self.path):
                self._write({"task": task, "key": key, "outcome": outcome})

    def _write(self, table: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write((json.dumps(table) + "\n").encode())
        self._file.flush()


def read_journal(path: Path) -> tuple[dict[str, Any], Outcomes]:
    """The terms of a run, and what came of it. Raises NotFoundError, or RequestError for a file of another kind."""
    rows = (row.table for row in read_lines(path) if isinstance(row, Row))
    head = next(rows, {})
    terms = head.get("terms")
    if head.get("format") != FORMAT or head.get("version") != VERSION or not isinstance(terms, dict):
        raise RequestError(f"{path} is no file of outcomes of `gadfly eval --out`; choose another name")
    outcomes: Outcomes = {}
    for row in rows:
        task, key, outcome = (row.get(name) for name in ("task", "key", "outcome"))
        if isinstance(task, str) and isinstance(key, str) and isinstance(outcome, dict):
            outcomes[task, key] = outcome
    return terms, outcomes


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"
