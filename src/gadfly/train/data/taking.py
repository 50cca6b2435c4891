"""Taking files of other programs into our own form, with a report of what was taken and what was not."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gadfly.lines import Problem, Row, line_of, read_rows, read_text
from gadfly.train.data.foreign import form_of, native_table
from gadfly.train.data.native import native_of
from gadfly.train.data.passages import passages, without_gutenberg

__all__ = ["Report", "plain_pairs", "take"]

TEXTS = (".txt", ".md")
PASSAGE = 4000  # characters: about a thousand tokens
MOST_KEPT = 1000  # problems; the others are counted


@dataclass
class Report:
    """`taken` counts lines by their form."""

    taken: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0

    def refuse(self, line: int, text: str) -> None:
        self.refused += 1
        if self.refused <= MOST_KEPT:
            self.problems.append(Problem(line, text))


def take(
    path: Path, report: Report, form: str | None = None, meta: dict[str, str] | None = None, from_plain: bool = False
) -> Iterator[bytes]:
    """Lines in our own form. `form` is a key of FORMS, or by None told by the keys of every line.

    `meta` is added where a line does not say it itself. With `from_plain` it is the preferences of `plain_pairs` that
    are taken of a conversation. Raises NotFoundError or RequestError if the file cannot be read at all.
    """
    for row in _rows(path):
        if isinstance(row, Problem):
            report.refuse(row.line, row.text)
            continue
        chosen = form or form_of(row.table)
        if chosen is None:
            keys = ", ".join(map(str, row.table))
            report.refuse(row.line, f"has the keys {keys:.100}; see --help for the forms that are known")
            continue
        try:
            table = native_table(row.table, chosen)
            tables = plain_pairs(table) if from_plain else [table]
        except (ValueError, KeyError) as error:
            report.refuse(row.line, f"has no {error}" if isinstance(error, KeyError) else str(error))
            continue
        for one in tables:
            if meta:
                one["meta"] = {**meta, **one.get("meta", {})}
            found = native_of(Row(row.line, one))
            if isinstance(found, Problem):
                report.refuse(row.line, found.text)
                continue
            report.taken["plain" if from_plain else chosen] += 1
            yield line_of(one)


def plain_pairs(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a conversation with `plain`, a preference for each answer over the same in a plain voice.

    `plain` has a text for each message of the assistant, or null where there is none. Raises ValueError.
    """
    messages, plain = table.get("messages"), table.get("plain")
    if not isinstance(messages, list):
        raise ValueError("is no conversation, so it has no plain answers")
    said = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    if plain is None:
        raise ValueError("has no plain answers")
    if not isinstance(plain, list) or len(plain) != len(said):
        raise ValueError(f"plain is not a list of {len(said)} texts, one for each message of the assistant")
    meta = {"meta": table["meta"]} if "meta" in table else {}
    pairs = []
    for number, text in zip(said, plain, strict=True):
        prompt = [{"role": one["role"], "content": one["content"]} for one in messages[:number]]
        answers = [{"role": "assistant", "content": content} for content in (messages[number]["content"], text)]
        if text is not None and text != messages[number]["content"]:
            pairs.append({"prompt": prompt, "chosen": answers[0], "rejected": answers[1], "kind": "plain", **meta})
    return pairs


def _rows(path: Path) -> Iterator[Row | Problem]:
    if path.suffix.lower() not in TEXTS:
        yield from read_rows(path)
        return
    text = read_text(path)
    body = without_gutenberg(text)
    line, done = text.count("\n", 0, text.find(body[:200])) + 1, 0
    for piece in passages(body, PASSAGE):
        at = body.find(piece[:60], done)
        if at >= 0:
            line, done = line + body.count("\n", done, at), at
        yield Row(line, {"text": piece})
