"""GSM8K: grade-school arithmetic in words, by the number at the end of what the model works out.

Lines as published: {"question", "answer": "… #### 18"}. The model is asked to end with the number; if it has not
written ####, the last number that it says is taken. Numbers are equal, not texts: $1,000.00 is 1000.
Source: Cobbe et al., arXiv 2110.14168.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from gadfly.conversation import Message
from gadfly.evaluate.metric import Metric, share
from gadfly.evaluate.question import Asking, Found, Outcome, Question
from gadfly.evaluate.tasks.kind import Kind, text_in

__all__ = ["GSM8K", "number_in"]

ASKED = "\n\nThink step by step, and end with #### and the answer, which is a number."
TOKENS = 320
NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")


def number_in(text: str) -> Decimal | None:
    """The first number behind the last ####, else the last number there is."""
    head, marked, tail = text.rpartition("####")
    found = NUMBER.findall(tail)
    if not (marked and found):
        found = NUMBER.findall(head or tail)[-1:]
    try:
        return Decimal(found[0].replace("$", "").replace(",", "")[:40]) if found else None
    except InvalidOperation:
        return None


def _questions(row: Mapping[str, Any], key: str) -> Iterable[Question]:
    wanted = number_in(text_in(row, "answer"))
    if wanted is None:
        raise ValueError("the answer has no number in it")
    return [Asking(key, (Message("user", text_in(row, "question") + ASKED),), {"answer": str(wanted)}, TOKENS)]


def _right(question: Asking, outcome: Outcome) -> bool:
    return number_in(outcome["said"]) == Decimal(question.facts["answer"])


def _metrics(found: Found) -> dict[str, Metric]:
    return {
        "exact": share([_right(*one) for one in found]),
        "cut_off": share([outcome["finish"] == "length" for _, outcome in found]),
    }


def _fits(row: Mapping[str, Any]) -> bool:
    return "question" in row and isinstance(row.get("answer"), str) and "####" in row["answer"]


GSM8K = Kind("gsm8k", _fits, _questions, _metrics, _right)
