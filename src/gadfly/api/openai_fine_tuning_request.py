"""OpenAI's request for a fine-tuning job, and its two forms of data in the words of our own.

"auto" and what is absent are left to the recipe, which knows what suits most.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gadfly.api.fields import Fields
from gadfly.errors import RequestError

__all__ = ["JobRequest", "Method", "lesson", "preference", "read_job"]

Method = Literal["supervised", "dpo"]
_METHODS: tuple[Method, ...] = ("supervised", "dpo")
_NUMBERS = ("n_epochs", "batch_size", "learning_rate_multiplier", "beta")
_SUFFIX = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class JobRequest:
    """What is None is left to the recipe. `rate` multiplies its learning rate, `beta` is DPO's."""

    model: str
    training_file: str
    validation_file: str | None = None
    method: Method = "supervised"
    epochs: int | None = None
    batch: int | None = None
    rate: float | None = None
    beta: float | None = None
    suffix: str | None = None
    seed: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_job(body: Mapping[str, Any]) -> JobRequest:
    """Raises RequestError naming what is wrong."""
    fields = Fields(dict(body))
    method, numbers, at = _method(fields)
    suffix = fields.text("suffix")
    if suffix is not None and not _SUFFIX.fullmatch(suffix):
        raise fields.wrong("suffix", "up to 40 small letters, digits and -, as it becomes the name of an adapter")
    if fields["integrations"]:
        raise fields.wrong("integrations", "none, as nothing is sent elsewhere")
    for key in numbers:
        if key not in _NUMBERS:
            raise RequestError(
                f"{numbers.at(key)[:100]} is none of the hyperparameters here, which are {', '.join(_NUMBERS)}",
                numbers.at(key)[:100],
            )
    rate = _auto(numbers, "learning_rate_multiplier", 1e-4, 100)
    if rate is not None and not math.isfinite(rate):
        raise numbers.wrong("learning_rate_multiplier", "a number")
    if "beta" in numbers and method != "dpo":
        raise RequestError(f"{numbers.at('beta')} belongs to the method dpo, not to {method}", at)
    return JobRequest(
        fields.need_text("model", 200),
        fields.need_text("training_file", 100),
        fields.text("validation_file", None, 100),
        method,
        _whole(numbers, "n_epochs", 1, 100),
        _whole(numbers, "batch_size", 1, 1024),
        rate,
        _auto(numbers, "beta", 1e-4, 2),
        suffix,
        fields.whole("seed", 0, 2**31 - 1, 0),
        _metadata(fields),
    )


def lesson(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A conversation: a message of weight 0 is one that is not learnt. What else it has is checked by who learns it."""
    messages = row.get("messages")
    if not isinstance(messages, list):
        return row
    return {**row, "messages": [_message(one) for one in messages]}


def preference(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """{"input": {"messages"}, "preferred_output", "non_preferred_output"} as a pair; anything else as it is."""
    given = row.get("input")
    if not isinstance(given, dict) or "preferred_output" not in row:
        return row
    return {
        "prompt": given.get("messages"),
        "chosen": row["preferred_output"],
        "rejected": row.get("non_preferred_output"),
    }


def _metadata(fields: Fields) -> Mapping[str, str]:
    found = fields.json("metadata")
    if len(found) > 16 or not all(isinstance(value, str) and len(value) <= 512 for value in found.values()):
        raise fields.wrong("metadata", "at most 16 texts of up to 512 characters")
    return {key[:64]: value for key, value in found.items()}


def _method(fields: Fields) -> tuple[Method, Fields, str]:
    """The method, its numbers, and where they are: in itself, or, as it was before there were methods, in the job."""
    outer = fields.table("hyperparameters")
    table = fields.table("method")
    if table is None:
        return "supervised", outer or Fields({}, "hyperparameters"), "hyperparameters"
    method = table.need_one_of("type", _METHODS)
    inner = table.table(method)
    numbers = inner.table("hyperparameters") if inner else None
    if numbers is not None and outer is not None:
        raise RequestError("hyperparameters are given twice; leave out those outside of method", "hyperparameters")
    found = numbers or outer or Fields({}, "hyperparameters")
    return method, found, found.path


def _message(message: Any) -> Any:
    if not isinstance(message, dict) or "weight" not in message:
        return message
    weight = message["weight"]
    rest = {key: value for key, value in message.items() if key != "weight"}
    if isinstance(weight, bool) or weight not in (0, 1):
        return message
    return rest if weight else {**rest, "train": False}


def _auto(fields: Fields, key: str, low: float, high: float) -> float | None:
    return None if fields[key] == "auto" else fields.number(key, low, high)


def _whole(fields: Fields, key: str, low: int, high: int) -> int | None:
    return None if fields[key] == "auto" else fields.whole(key, low, high)
