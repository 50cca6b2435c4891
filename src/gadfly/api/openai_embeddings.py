"""OpenAI's embeddings: a vector for each input, as numbers or, as its SDK prefers, base64 of little-endian float32."""

import base64
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gadfly.api.adapters import read_adapters
from gadfly.api.fields import Fields
from gadfly.api.openai_completions import read_prompts
from gadfly.conversation import EmbeddingRequest
from gadfly.errors import RequestError

__all__ = ["INPUT_LIMIT", "WIDTH_LIMIT", "EmbeddingCall", "embeddings", "read_embeddings", "shortened"]

INPUT_LIMIT = 2048
WIDTH_LIMIT = 2**20


@dataclass(frozen=True)
class EmbeddingCall:
    """`dimensions` None: as many as the model has."""

    model: str | None
    request: EmbeddingRequest
    encoding: Literal["float", "base64"] = "float"
    dimensions: int | None = None


def read_embeddings(body: object) -> EmbeddingCall:
    """Raises RequestError naming the field."""
    fields = Fields(body)
    inputs = read_prompts(fields, "input", INPUT_LIMIT)
    for index, item in enumerate(inputs):
        if not item:
            path = "input" if isinstance(fields["input"], str) else f"input[{index}]"
            raise RequestError(f"{path} is empty; there is nothing to embed", path)
    encoding: Literal["float", "base64"] = fields.one_of("encoding_format", ("float", "base64"), "float")
    truncate = fields.one_of("truncation", ("auto", "disabled"), "disabled") == "auto"
    dimensions = fields.whole("dimensions", 1, WIDTH_LIMIT)
    return EmbeddingCall(
        fields.text("model"), EmbeddingRequest(tuple(inputs), truncate, read_adapters(fields)), encoding, dimensions
    )


def embeddings(vectors: Sequence[Sequence[float]], tokens: int, model: str, call: EmbeddingCall) -> dict[str, Any]:
    """The body for a vector per input, which had so many `tokens` together."""
    data = []
    for index, vector in enumerate(vectors):
        numbers = shortened(vector, call.dimensions)
        made = _base64(numbers) if call.encoding == "base64" else numbers
        data.append({"object": "embedding", "index": index, "embedding": made})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def shortened(vector: Sequence[float], dimensions: int | None) -> list[float]:
    """The first so many numbers, of length 1 again. Raises RequestError if there are fewer."""
    numbers = [float(number) for number in vector]
    if dimensions is None or dimensions == len(numbers):
        return numbers
    if dimensions > len(numbers):
        raise RequestError(f"dimensions is {dimensions}; this model has {len(numbers)}", "dimensions")
    length = math.hypot(*numbers[:dimensions]) or 1.0
    return [number / length for number in numbers[:dimensions]]


def _base64(numbers: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
