"""Preferences: of two answers to a prompt, does the model hold the better one likelier?

{"prompt": text or messages, "chosen": …, "rejected": …}, with answers as texts, messages or lists of one message.
Scores are of the whole answer, the end of its turn included, as training by preference has it. `accuracy` is by their
sum, `per_token` by their mean, which does not favour the shorter; `margin` is the mean difference of log p per token.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gadfly.evaluate.metric import Metric, mean, share
from gadfly.evaluate.question import Found, Outcome, Question, Ranking
from gadfly.evaluate.tasks.kind import Kind, asked_in, text_in

__all__ = ["PREFERENCE"]


def _questions(row: Mapping[str, Any], key: str) -> Iterable[Question]:
    answers = tuple(_answer(row, name) for name in ("chosen", "rejected"))
    if answers[0] == answers[1]:
        raise ValueError("chosen and rejected are the same")
    return [Ranking(key, asked_in(row, "prompt"), answers, whole=True)]


def _answer(row: Mapping[str, Any], name: str) -> str:
    given = row.get(name)
    if isinstance(given, list) and len(given) == 1:
        (given,) = given
    return text_in(given, "content") if isinstance(given, dict) else text_in({name: given}, name)


def _right(_: Ranking, outcome: Outcome) -> bool:
    chosen, rejected = outcome["scores"]
    return bool(chosen[0] > rejected[0])


def _margin(outcome: Outcome) -> float:
    chosen, rejected = (score / max(1, tokens) for score, tokens, _ in outcome["scores"])
    return float(chosen - rejected)


def _metrics(found: Found) -> dict[str, Metric]:
    margins = [_margin(outcome) for _, outcome in found]
    return {
        "accuracy": share([_right(*one) for one in found]),
        "per_token": share([margin > 0 for margin in margins]),
        "margin": mean(margins),
    }


PREFERENCE = Kind(
    "preference", lambda row: {"prompt", "chosen", "rejected"} <= row.keys(), _questions, _metrics, _right
)
