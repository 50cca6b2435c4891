"""Multiple choice by likelihood: which of the given answers is likeliest behind the question?

`choice` has the answers as texts: {"question", "choices": [...], "answer": 2 | "text"}, ARC's choices with labels and
answerKey, HellaSwag's ctx, endings and label. `letters` has them in the question, and the model says which: {"input":
"… Options:\\n(A) …\\n(B) …", "target": "(B)"}, as BIG-Bench Hard. Accuracy is by log p of the whole answer; per byte
is fairer to long answers, and what is mostly reported.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gadfly.evaluate.metric import Metric, share
from gadfly.evaluate.question import Found, Outcome, Question, Ranking
from gadfly.evaluate.tasks.kind import Kind, asked_in, text_in
from gadfly.lines import kind_of

__all__ = ["CHOICE", "LETTERS"]

ASKED = ("question", "prompt", "ctx", "query", "input")
OPTION = re.compile(r"^\s*(\([A-Z]\))", re.MULTILINE)


def _choice(row: Mapping[str, Any], key: str) -> Iterable[Question]:
    given: Any = row.get("choices", row.get("endings"))
    labels: Any = None
    if isinstance(given, dict):  # as ARC has them
        given, labels = given.get("text"), given.get("label")
    if not isinstance(given, list) or len(given) < 2:
        raise ValueError(f"choices is {kind_of(given)}; expected a list of two or more")
    choices = tuple(text_in({"choice": choice}, "choice") for choice in given)
    answer = next((row[name] for name in ("answer", "answerKey", "label", "gold") if name in row), None)
    return [Ranking(key, asked_in(row, *ASKED), choices, {"answer": _place(answer, choices, labels)})]


def _place(answer: Any, choices: tuple[str, ...], labels: Any) -> int:
    """Of the right answer: told by its label, its text or its number, from 0."""
    if isinstance(labels, list) and answer in labels:
        place = labels.index(answer)
    elif answer in choices:
        place = choices.index(answer)
    else:
        place = int(answer) if isinstance(answer, int | str) and str(answer).isdecimal() else -1
    if not 0 <= place < len(choices):
        raise ValueError(f"the answer is {answer!r:.40}, which is none of the {len(choices)} choices")
    return place


def _letters(row: Mapping[str, Any], key: str) -> Iterable[Question]:
    asked, target = asked_in(row, "input"), text_in(row, "target").strip()
    letters = tuple(dict.fromkeys(OPTION.findall(asked[-1].content)))
    if target not in letters or len(letters) < 2:
        raise ValueError(f"{target:.40} is not among the options of the question")
    return [Ranking(key, asked, letters, {"answer": letters.index(target)})]


def _right(question: Ranking, outcome: Outcome) -> bool:
    scores = [score for score, *_ in outcome["scores"]]
    return bool(scores.index(max(scores)) == question.facts["answer"])


def _right_per_byte(question: Ranking, outcome: Outcome) -> bool:
    scores = [score / size for score, _, size in outcome["scores"]]
    return bool(scores.index(max(scores)) == question.facts["answer"])


def _metrics(found: Found) -> dict[str, Metric]:
    return {
        "accuracy": share([_right(*one) for one in found]),
        "accuracy_per_byte": share([_right_per_byte(*one) for one in found]),
    }


def _has_letters(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("input"), str) and "target" in row and len(OPTION.findall(row["input"])) > 1


CHOICE = Kind("choice", lambda row: "choices" in row or "endings" in row, _choice, _metrics, _right)
LETTERS = Kind(
    "letters", _has_letters, _letters, lambda found: {"accuracy": share([_right(*o) for o in found])}, _right
)
