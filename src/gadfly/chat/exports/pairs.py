"""What was preferred to what, and what was rated by itself, as lines of JSON for training (DPO, KTO and their like).

    {"prompt": [messages], "chosen": [message], "rejected": [message], "because", "reasons", "chat", "nodes",
     "created", "training": …, "licences": {"chosen": {model, licence, training, why}, "rejected": {…}}}
    {"prompt": [messages], "reply": message, "label": true, "kind": "thumb", "reasons", "chat", "node", "created",
     "training": …, "licence": {model, licence, training, why}}

By default only those whose licences leave training free are written, and it is told how many were left out.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

from gadfly.chat.exports.lines import message_table
from gadfly.chat.licences import training_verdict
from gadfly.chat.store import Pair, Rating
from gadfly.chat.values import Provenance
from gadfly.errors import RequestError

__all__ = ["ALLOWED", "Licences", "pair_lines", "rating_lines", "verdict"]

Licences = Literal["free", "conditions", "all"]
ALLOWED: Mapping[Licences, tuple[str, ...]] = {
    "free": ("free",),
    "conditions": ("free", "conditions"),
    "all": ("free", "conditions", "unknown", "forbidden"),
}
_ORDER = ("free", "conditions", "unknown", "forbidden")


def pair_lines(
    pairs: Iterable[Pair], licences: Licences = "free", left_out: Counter[str] | None = None
) -> Iterator[str]:
    """Those that `licences` lets through; `left_out` counts the others by what their licence says."""
    return _lines(map(_pair_table, pairs), licences, left_out)


def rating_lines(
    ratings: Iterable[Rating], licences: Licences = "free", left_out: Counter[str] | None = None
) -> Iterator[str]:
    """The same of answers that were rated by themselves."""
    return _lines(map(_rating_table, ratings), licences, left_out)


def _lines(tables: Iterable[Mapping[str, Any]], licences: Licences, left_out: Counter[str] | None) -> Iterator[str]:
    if licences not in get_args(Licences):
        raise RequestError(f"licences is {licences!r:.40}; choose from {', '.join(get_args(Licences))}", "licences")
    for table in tables:
        if table["training"] in ALLOWED[licences]:
            yield json.dumps(table, ensure_ascii=False) + "\n"
        elif left_out is not None:
            left_out[table["training"]] += 1


def verdict(pair: Pair) -> str:
    """The stricter of the two: a rejected answer trains a model, too."""
    both = (pair.chosen_provenance, pair.rejected_provenance)
    return max((training_verdict(one).training for one in both), key=_ORDER.index)


def _pair_table(pair: Pair) -> dict[str, Any]:
    return {
        "prompt": [message_table(message) for message in pair.prompt],
        "chosen": [message_table(pair.chosen)],
        "rejected": [message_table(pair.rejected)],
        "because": pair.because,
        "reasons": pair.reasons,
        "chat": pair.chat,
        "nodes": pair.nodes,
        "created": pair.created,
        "training": verdict(pair),
        "licences": {"chosen": _licence(pair.chosen_provenance), "rejected": _licence(pair.rejected_provenance)},
    }


def _rating_table(rating: Rating) -> dict[str, Any]:
    licence = _licence(rating.provenance)
    return {
        "prompt": [message_table(message) for message in rating.prompt],
        "reply": message_table(rating.answer),
        "label": rating.good,
        "kind": "thumb",
        "reasons": rating.reasons,
        "chat": rating.chat,
        "node": rating.node,
        "created": rating.created,
        "training": licence["training"],
        "licence": licence,
    }


def _licence(provenance: Provenance | None) -> dict[str, Any]:
    found = training_verdict(provenance)
    told: dict[str, Any] = {"training": found.training, "why": found.why}
    if provenance is not None:
        told |= {name: value for name, value in vars(provenance).items() if value not in (None, {}, 0)}
    return told
