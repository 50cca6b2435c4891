"""What was preferred to what, as lines of JSON for training by preference (DPO and its like).

    {"prompt": [messages], "chosen": [message], "rejected": [message], "because", "reasons", "chat", "created",
     "training": …, "licences": {"chosen": {model, licence, training, why}, "rejected": {…}}}

By default only pairs whose licences leave training free are written, and it is told how many were left out.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

from gadfly.chat.exports.lines import message_table
from gadfly.chat.licences import training_verdict
from gadfly.chat.store import Pair
from gadfly.chat.values import Provenance
from gadfly.errors import RequestError

__all__ = ["ALLOWED", "Licences", "pair_lines", "verdict"]

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
    if licences not in get_args(Licences):
        raise RequestError(f"licences is {licences!r:.40}; choose from {', '.join(get_args(Licences))}", "licences")
    for pair in pairs:
        training = verdict(pair)
        if training in ALLOWED[licences]:
            yield json.dumps(_table(pair), ensure_ascii=False) + "\n"
        elif left_out is not None:
            left_out[training] += 1


def verdict(pair: Pair) -> str:
    """The stricter of the two: a rejected answer trains a model, too."""
    both = (pair.chosen_provenance, pair.rejected_provenance)
    return max((training_verdict(one).training for one in both), key=_ORDER.index)


def _table(pair: Pair) -> dict[str, Any]:
    return {
        "prompt": [message_table(message) for message in pair.prompt],
        "chosen": [message_table(pair.chosen)],
        "rejected": [message_table(pair.rejected)],
        "because": pair.because,
        "reasons": pair.reasons,
        "chat": pair.chat,
        "created": pair.created,
        "training": verdict(pair),
        "licences": {"chosen": _licence(pair.chosen_provenance), "rejected": _licence(pair.rejected_provenance)},
    }


def _licence(provenance: Provenance | None) -> dict[str, Any]:
    found = training_verdict(provenance)
    told: dict[str, Any] = {"training": found.training, "why": found.why}
    if provenance is not None:
        told |= {name: value for name, value in vars(provenance).items() if value not in (None, {}, 0)}
    return told
