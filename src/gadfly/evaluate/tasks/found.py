"""From a file to the task that it holds: its kind, by its ending or its first row, its questions, and what is none."""

import random
from hashlib import sha256
from pathlib import Path

from gadfly.errors import RequestError
from gadfly.evaluate.question import Question, Task
from gadfly.evaluate.tasks.choice import CHOICE, LETTERS
from gadfly.evaluate.tasks.even_handedness import EVEN_HANDEDNESS
from gadfly.evaluate.tasks.exact import EXACT
from gadfly.evaluate.tasks.gsm8k import GSM8K
from gadfly.evaluate.tasks.kind import Kind
from gadfly.evaluate.tasks.perplexity import PERPLEXITY, passages
from gadfly.evaluate.tasks.preference import PREFERENCE
from gadfly.evaluate.tasks.truthfulqa import TRUTHFULQA
from gadfly.evaluate.tasks.xstest import XSTEST
from gadfly.lines import Problem, Row, read_rows, read_text

__all__ = ["KINDS", "open_task"]

KINDS = {
    kind.name: kind
    for kind in (TRUTHFULQA, EVEN_HANDEDNESS, XSTEST, PREFERENCE, GSM8K, CHOICE, LETTERS, EXACT, PERPLEXITY)
}
TEXTS = (".txt", ".md")


def open_task(path: Path, name: str | None = None, limit: int | None = None, seed: int = 0) -> Task:
    """The questions of a file of the kind `name`, or of the kind that its first row or its ending shows.

    Of more than `limit` questions so many are drawn, the same for the same `seed`, and asked in the order of the file.
    Raises NotFoundError, RequestError if it holds no questions of a known kind.
    """
    kind = _kind(path, name)
    questions: list[Question] = []
    left_out = 0
    if kind is PERPLEXITY and path.suffix.lower() in TEXTS:
        questions = list(passages(read_text(path)))
    else:
        for number, row in enumerate(read_rows(path), 1):
            try:
                if isinstance(row, Problem):
                    raise ValueError(row.text)
                questions += kind.questions(row.table, str(number))
            except ValueError:
                left_out += 1
    if not questions:
        raise RequestError(f"{path} has no questions of the kind {kind.name} in it")
    if limit is not None:
        keys = sorted({_number(question) for question in questions})
        chosen = set(random.Random(seed).sample(keys, min(limit, len(keys))))
        questions = [question for question in questions if _number(question) in chosen]
    digest = sha256(path.read_bytes()).hexdigest()
    return Task(kind.name, path, digest, tuple(questions), kind.metrics, kind.right, left_out)


def _number(question: Question) -> int:
    """Of its row; a row with two questions gives them a letter each."""
    return int(question.key.rstrip("ab"))


def _kind(path: Path, name: str | None) -> Kind:
    if name is not None:
        if name not in KINDS:
            raise RequestError(f"there is no kind of task {name!r:.40}; choose from {', '.join(KINDS)}")
        return KINDS[name]
    if path.suffix.lower() in TEXTS:
        return PERPLEXITY
    first = next((row.table for row in read_rows(path) if isinstance(row, Row)), None)
    if first is None:
        raise RequestError(f"{path} has no rows that can be read; expected one of {', '.join(KINDS)}")
    found = next((kind for kind in KINDS.values() if kind.fits(first)), None)
    if found is None:
        keys = ", ".join(map(str, first))
        raise RequestError(
            f"{path} has the keys {keys:.100}, of which no task is made; say which kind: KIND={path.name}"
        )
    return found
