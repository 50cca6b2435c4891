"""Ollama's embeddings: /api/embed for many inputs, and the older /api/embeddings for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gadfly.api.adapters import read_adapters
from gadfly.api.durations import read_keep_alive
from gadfly.api.fields import Fields, check_text
from gadfly.api.ollama_answers import nanoseconds
from gadfly.api.ollama_request import read_model
from gadfly.api.openai_embeddings import INPUT_LIMIT, WIDTH_LIMIT, shortened
from gadfly.conversation import EmbeddingRequest

__all__ = ["OllamaEmbedCall", "ollama_embedding", "ollama_embeddings", "read_ollama_embed"]


@dataclass(frozen=True)
class OllamaEmbedCall:
    """`dimensions` None: as many as the model has. Without inputs, the model is only to be loaded."""

    model: str
    request: EmbeddingRequest
    dimensions: int | None = None
    keep_alive: float | None = None


def read_ollama_embed(body: object) -> OllamaEmbedCall:
    """The inputs of either API, `input` or `prompt`. Raises RequestError naming the field."""
    fields = Fields(body)
    if "prompt" in fields:
        inputs = [fields.text("prompt", "")]
    elif isinstance(fields["input"], list):
        inputs = [check_text(item, path) for path, item in fields.items("input", INPUT_LIMIT)]
    else:
        inputs = [fields.text("input", "")]
    truncate = fields.flag("truncate") or fields.one_of("truncation", ("auto", "disabled"), "disabled") == "auto"
    request = EmbeddingRequest(
        tuple(text for text in inputs if text or len(inputs) > 1), truncate, read_adapters(fields)
    )
    return OllamaEmbedCall(
        read_model(fields), request, fields.whole("dimensions", 1, WIDTH_LIMIT), read_keep_alive(fields)
    )


def ollama_embeddings(
    vectors: Sequence[Sequence[float]], tokens: int, seconds: float, call: OllamaEmbedCall, load_seconds: float = 0.0
) -> dict[str, Any]:
    """The body of /api/embed: a vector per input, which had so many `tokens` together and took so long."""
    return {
        "model": call.model,
        "embeddings": [shortened(vector, call.dimensions) for vector in vectors],
        "total_duration": nanoseconds(seconds + load_seconds),
        "load_duration": nanoseconds(load_seconds),
        "prompt_eval_count": tokens,
    }


def ollama_embedding(vectors: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The body of /api/embeddings, with the only vector or none."""
    return {"embedding": shortened(vectors[0], None) if vectors else []}
