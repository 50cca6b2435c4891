"""How tokens are drawn, as the dialects spell it: the same numbers everywhere, under different names and roofs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gadfly.api.fields import Fields, check_text
from gadfly.completion import Sampling
from gadfly.errors import RequestError

__all__ = ["MODELS_OWN", "OLLAMA_NAMES", "OPENAI_NAMES", "STOP_LIMIT", "read_sampling", "read_stop"]

MODELS_OWN = Sampling()  # the distribution as the model has it
STOP_LIMIT = 16
STOP_LENGTH = 1024  # characters
BIAS_LIMIT = 1024

# The names on the wire of fields of Sampling.
OPENAI_NAMES: Mapping[str, str] = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
}
OLLAMA_NAMES: Mapping[str, str] = {
    **OPENAI_NAMES,
    "repeat_penalty": "repetition_penalty",
    "repeat_last_n": "penalty_window",
}

_NUMBERS = {
    "temperature": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "presence_penalty": (-100, 100),
    "frequency_penalty": (-100, 100),
}
_WHOLE = {"top_k": (-1, 2**31), "penalty_window": (-1, 2**31), "seed": (-(2**63), 2**64 - 1)}


def read_sampling(
    fields: Fields, defaults: Sampling = MODELS_OWN, names: Mapping[str, str] = OPENAI_NAMES
) -> Sampling | None:
    """`defaults` with what the client asked for, or None if it asked for nothing."""
    given: dict[str, Any] = {}
    for wire, name in names.items():
        if name in _NUMBERS:
            value: float | None = fields.number(wire, *_NUMBERS[name])
        else:
            value = fields.whole(wire, *_WHOLE[name])
        if value is not None:
            given[name] = value
    if given.get("top_k") == -1:  # some clients write "all" as -1
        given["top_k"] = 0
    if given.get("penalty_window") == -1:
        given["penalty_window"] = 2**31
    bias = _read_bias(fields)
    if bias:
        given["logit_bias"] = bias
    return replace(defaults, **given) if given else None


def read_stop(fields: Fields, key: str = "stop") -> tuple[str, ...]:
    """A string or an array of them."""
    if isinstance(fields[key], str):
        return (fields.need_text(key, STOP_LENGTH),)
    return tuple(check_text(item, path, STOP_LENGTH, least=1) for path, item in fields.items(key, STOP_LIMIT))


def _read_bias(fields: Fields) -> dict[int, float]:
    table = fields.table("logit_bias")
    if table is None:
        return {}
    if (count := len(list(table))) > BIAS_LIMIT:
        raise RequestError(f"{table.path} has {count} entries; expected at most {BIAS_LIMIT}", table.path)
    bias: dict[int, float] = {}
    for key in table:
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise RequestError(f"{table.path} has the key {key[:40]!r}; expected ids of tokens", table.path)
        bias[int(key)] = table.number(key, -100, 100) or 0.0
    return bias
