"""How well a model reads plain text, or texts a line each: perplexity per token, and bits per byte.

A file is cut into passages of about a thousand tokens, each read by itself, so the beginning of a passage is read
without what came before, and perplexities are a little higher than with a sliding window. Bits per byte compare
models with different tokenizers.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gadfly.evaluate.metric import Metric, changed, rate
from gadfly.evaluate.question import Found, Question, Reading
from gadfly.evaluate.tasks.kind import Kind, text_in

__all__ = ["PERPLEXITY", "passages"]

PASSAGE = 4000  # characters


def passages(text: str) -> Iterator[Reading]:
    """Cut at the end of a line where there is one in reach."""
    number, first = 0, 0
    while first < len(text):
        end = first + PASSAGE
        line = text.rfind("\n", first + PASSAGE // 2, end) + 1
        end = line if line and end < len(text) else end
        if text[first:end].strip():
            number += 1
            yield Reading(str(number), text[first:end])
        first = end


def _questions(row: Mapping[str, Any], key: str) -> Iterable[Question]:
    return [Reading(key, text_in(row, "text"))]


def _metrics(found: Found) -> dict[str, Metric]:
    logprobs = [outcome["logprob"] for _, outcome in found]
    per_token = rate(logprobs, [outcome["tokens"] for _, outcome in found])
    per_byte = rate(logprobs, [outcome["bytes"] for _, outcome in found])
    return {
        "perplexity": changed(per_token, lambda nats: math.exp(nats) if nats < 700 else math.inf),
        "bits_per_byte": changed(per_byte, lambda nats: nats / math.log(2)),
    }


PERPLEXITY = Kind("perplexity", lambda row: "text" in row, _questions, _metrics)
