"""What a run learns from, written into its folder: files that were sent, in our own words, and what chats have.

data/train.jsonl    to learn from
data/valid.jsonl    to judge by, if there is anything
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gadfly.api.openai_fine_tuning_request import lesson, preference
from gadfly.errors import RequestError
from gadfly.lines import Row, line_of, read_lines
from gadfly.server.workshop.command import ask
from gadfly.server.workshop.job import Method

__all__ = ["from_chats", "gathered", "translated"]

PARTS: Mapping[Method, str] = {"sft": "lessons.jsonl", "dpo": "pairs.jsonl", "kto": "thumbs.jsonl"}


def translated(source: Path, target: Path, method: Method, name: str) -> None:
    """The lines of a file, in our own words where they are in OpenAI's.

    Raises RequestError about the field `name` for a line that is no object, and for a file without any.
    """
    own: Callable[[Mapping[str, Any]], Mapping[str, Any]] = preference if method == "dpo" else lesson
    empty = True
    with target.open("ab") as out:
        for row in read_lines(source):
            if not isinstance(row, Row):
                raise RequestError(f"{name}, line {row.line}: {row.text}", name)
            out.write(line_of(own(row.table)))
            empty = False
    if empty:
        raise RequestError(f"{name} has no line in it", name)


def from_chats(home: Path, folder: Path, owner: str, licences: str) -> Mapping[str, Any]:
    """Counts of `lines` by their file, and of what is `left_out` by why. The files are in `folder`/chats, if any."""
    return ask(home, folder, "data", "from-chats", "--out", "chats", f"--owner={owner}", f"--licences={licences}")


def gathered(
    home: Path, folder: Path, owner: str, method: Method, files: Sequence[Path], licences: str | None, valid: float
) -> None:
    """Everything of a draft, divided. Raises RequestError if there is nothing to learn."""
    parts = []
    for number, file in enumerate(files):
        translated(file, part := folder / f"file-{number}.jsonl", method, f"files[{number}]")
        parts.append(part)
    if licences is not None:
        lines = from_chats(home, folder, owner, licences)["lines"]
        wanted = PARTS[method]
        if lines.get(wanted):
            parts.append(folder / "chats" / wanted)
        elif not parts:
            raise RequestError(f"your chats have no {wanted.removesuffix('.jsonl')} to learn from yet", "chats")
    if not parts:
        raise RequestError("there is nothing to learn from; name files, or chats", "files")
    names = [str(part.relative_to(folder)) for part in parts]
    division = ask(home, folder, "data", "split", *names, "--out", "data", "--valid", str(valid))
    if not division["lines"].get("train.jsonl"):
        raise RequestError("no line of it can be learnt; check the files", "files")
    for part in parts:
        part.unlink()
    shutil.rmtree(folder / "chats", ignore_errors=True)
