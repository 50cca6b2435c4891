"""What is wrong with files of data, before anything is learnt from them: a report with line numbers.

    damaged     a line that cannot be read            empty       nothing of it would be learnt
    duplicate   says what another line says           truncated   longer than the model is to read
    leak        shares words with an evaluation set   licence     its licence forbids training
    alike       the same words as another line        unclear     its licence sets conditions, or is not known

The last two are told and are nobody's mistake. Lengths are known with a model only, whose template and tokenizer write
what it would see. Lines are compared across all files, so a conversation in two parts of a split is a duplicate.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gadfly.answer import Prompts
from gadfly.errors import RequestError
from gadfly.lines import Problem, Row
from gadfly.train.data.chats import Lesson
from gadfly.train.data.leaks import Leaks
from gadfly.train.data.likeness import exact_digest, loose_digest
from gadfly.train.data.native import Native, answers_of, messages_of, read_native
from gadfly.train.data.preferences import Preference, Thumb
from gadfly.train.data.sample import Sample, sample
from gadfly.train.data.terms import Terms
from gadfly.train.data.texts import Document, pieces

__all__ = ["MOST_KEPT", "PARTS", "Check", "Counts", "Finding", "Kind", "data_files"]

Kind = Literal["damaged", "empty", "duplicate", "truncated", "leak", "licence", "alike", "unclear"]
HARMLESS: tuple[Kind, ...] = ("alike", "unclear")
MOST_KEPT = 1000  # findings of a kind; the others are counted
PARTS = ("train.jsonl", "valid.jsonl", "test.jsonl")
NAMES = {Lesson: "lessons", Preference: "preferences", Thumb: "thumbs", Document: "texts"}


@dataclass(frozen=True)
class Finding:
    file: str
    line: int
    kind: Kind
    text: str


@dataclass
class Counts:
    """What a file has. `tokens` and `learnt` ones are known with a model only; `longest` is of a line, in tokens."""

    lines: int = 0
    lessons: int = 0
    preferences: int = 0
    thumbs: int = 0
    texts: int = 0
    messages: int = 0
    characters: int = 0
    tokens: int = 0
    learnt: int = 0
    longest: int = 0


@dataclass
class Check:
    """Reads files one after another. `longest` is in tokens, for `prompts` of a model."""

    prompts: Prompts | None = None
    longest: int = 1024
    leaks: Leaks | None = None
    files: dict[str, Counts] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._terms = Terms()
        self._exact: dict[bytes, str] = {}  # digest -> where it stands
        self._loose: dict[bytes, str] = {}

    @property
    def wrong(self) -> bool:
        """Whether anything is found that is not harmless."""
        return any(count and kind not in HARMLESS for kind, count in self.counts.items())

    def read(self, path: Path, advanced: Callable[[int], None] = lambda _: None) -> None:
        """`advanced` hears the bytes of each line. Raises NotFoundError or RequestError if it cannot be read at all."""
        counts = self.files.setdefault(str(path), Counts())
        for found in read_native(path, advanced):
            counts.lines += 1
            if isinstance(found, Problem):
                self._note(path, found.line, "damaged", found.text)
            else:
                self._look(path, counts, *found)

    def report(self) -> dict[str, Any]:
        """What programs read."""
        return {
            "wrong": self.wrong,
            "files": {name: asdict(counts) for name, counts in self.files.items()},
            "counts": dict(self.counts),
            "findings": [asdict(one) for one in self.findings],
        }

    def _note(self, path: Path, line: int, kind: Kind, text: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_KEPT:
            self.findings.append(Finding(str(path), line, kind, text))

    def _look(self, path: Path, counts: Counts, row: Row, native: Native) -> None:
        said = messages_of(native)
        name = NAMES[type(native)]
        setattr(counts, name, getattr(counts, name) + 1)
        counts.messages += len(said)
        counts.characters += sum(len(one.content) for one in said)
        self._compare(path, row.line, native)
        if (verdict := self._terms.verdict(row.table)) is not None and verdict.training != "free":
            self._note(path, row.line, "licence" if verdict.training == "forbidden" else "unclear", verdict.why)
        if self.leaks is not None:
            leaks = (self.leaks.found(one.content) for one in said)
            if leak := next(filter(None, leaks), None):
                self._note(path, row.line, "leak", f"has words of {leak[0]}: {leak[1]}")
        self._measure(path, counts, row.line, native)

    def _compare(self, path: Path, line: int, native: Native) -> None:
        here = f"{path}:{line}"
        exact = self._exact.setdefault(exact_digest(native), here)
        loose = self._loose.setdefault(loose_digest(native), here)
        if exact != here:
            self._note(path, line, "duplicate", f"says what {exact} says")
        elif loose != here:
            self._note(path, line, "alike", f"has the words of {loose}")

    def _measure(self, path: Path, counts: Counts, line: int, native: Native) -> None:
        if isinstance(native, Lesson):
            blank = [
                number
                for number, (message, learnt) in enumerate(zip(native.messages, native.learnt, strict=True), 1)
                if learnt and not message.content.strip()
            ]
            if blank:
                self._note(path, line, "empty", f"message {blank[0]} is to be learnt and has nothing in it")
        if self.prompts is None:
            return
        if isinstance(native, Document):
            for piece in pieces(native, self.prompts, self.longest):
                self._count(counts, piece)
            return
        try:
            spans = [self._span(counts, answer) for answer in answers_of(native)]
        except RequestError as error:
            self._note(path, line, "empty", str(error))
            return
        first, last = max(span[0] for span in spans), max(span[1] for span in spans)
        if first >= self.longest:
            self._note(path, line, "empty", f"nothing of its answer is within the {self.longest} tokens that are read")
        elif last >= self.longest:
            fate = "the rest is cut off" if isinstance(native, Lesson) else "half an answer is not judged"
            self._note(path, line, "truncated", f"ends at token {last + 1}; {self.longest} are read, and {fate}")

    def _span(self, counts: Counts, lesson: Lesson) -> tuple[int, int]:
        """The places of the first and the last token that is learnt."""
        assert self.prompts is not None
        one = sample(lesson, self.prompts, 2**31)
        self._count(counts, one)
        return int(one.learnt.argmax()), int(one.learnt.nonzero()[0][-1])

    def _count(self, counts: Counts, one: Sample) -> None:
        counts.tokens += len(one)
        counts.learnt += int(one.learnt.sum())
        counts.longest = max(counts.longest, len(one))


def data_files(paths: Sequence[Path]) -> list[Path]:
    """The files of data sets: of a folder its train.jsonl, valid.jsonl and test.jsonl. Raises RequestError for none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            parts = [path / name for name in PARTS if (path / name).exists()]
            if not parts:
                raise RequestError(f"{path} has no {', '.join(PARTS)} in it; name the files")
            found += parts
        else:
            found.append(path)
    return found
