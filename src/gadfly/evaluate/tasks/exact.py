"""Questions with a short answer, which the model has to give in its own words: {"question", "answer": "Paris" | [...]}.

`exact` is the share of answers that are one of those wanted, but for case, punctuation and articles; `contains` of
those that say one of them somewhere, which is the fair measure of facts for a model that speaks in sentences.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gadfly.evaluate.metric import Metric, share
from gadfly.evaluate.question import Asking, Found, Outcome, Question
from gadfly.evaluate.tasks.kind import Kind, asked_in, text_in

__all__ = ["EXACT"]

ASKED = ("question", "prompt", "input")
WANTED = ("answer", "answers", "target")
TOKENS = 96
ARTICLES = {"a", "an", "the"}
WORD = re.compile(r"[^\W_]+")


def _questions(row: Mapping[str, Any], key: str) -> Iterable[Question]:
    name = next((name for name in WANTED if name in row), WANTED[0])
    given = row.get(name)
    answers = [text_in({name: one}, name) for one in (given if isinstance(given, list) else [given])]
    if not answers or not all(map(_words, answers)):
        raise ValueError(f"{name} has no words")
    return [Asking(key, asked_in(row, *ASKED), {"answers": answers}, TOKENS)]


def _words(text: str) -> list[str]:
    return [word for word in WORD.findall(text.casefold()) if word not in ARTICLES]


def _right(question: Asking, outcome: Outcome) -> bool:
    said = f" {' '.join(_words(outcome['said']))} "
    return any(f" {' '.join(_words(answer))} " in said for answer in question.facts["answers"])


def _exact(question: Asking, outcome: Outcome) -> bool:
    return any(_words(outcome["said"]) == _words(answer) for answer in question.facts["answers"])


def _metrics(found: Found) -> dict[str, Metric]:
    return {"contains": share([_right(*one) for one in found]), "exact": share([_exact(*one) for one in found])}


def _fits(row: Mapping[str, Any]) -> bool:
    return any(name in row for name in ASKED) and any(name in row for name in WANTED)


EXACT = Kind("exact", _fits, _questions, _metrics, _right)
