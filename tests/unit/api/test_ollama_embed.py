"""Embeddings in Ollama's two dialects."""

from typing import Any

import pytest
from ollama import EmbeddingsResponse, EmbedResponse

from gadfly.api.ollama_embed import ollama_embedding, ollama_embeddings, read_ollama_embed
from gadfly.errors import RequestError
from wire import strict

VECTORS = [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("fields", "inputs"),
    [
        ({"input": "Hi"}, ("Hi",)),
        ({"input": ["Hi", ""]}, ("Hi", "")),
        ({"prompt": "Hi"}, ("Hi",)),
        ({}, ()),
        ({"input": []}, ()),
        ({"prompt": ""}, ()),
    ],
)
def test_inputs(fields: dict[str, Any], inputs: tuple[str, ...]) -> None:
    assert read_ollama_embed({"model": "m", **fields}).request.inputs == inputs


def test_options() -> None:
    call = read_ollama_embed({"model": "m:latest", "input": "a", "truncate": True, "dimensions": 2, "keep_alive": "1m"})
    assert (call.model, call.request.truncate, call.dimensions, call.keep_alive) == ("m", True, 2, 60.0)


def test_what_comes_back() -> None:
    call = read_ollama_embed({"model": "m", "input": ["a", "b"], "dimensions": 1})
    body = strict(EmbedResponse, ollama_embeddings(VECTORS, 5, 0.5, call, 1.0))
    assert (body.embeddings, body.prompt_eval_count) == ([[1.0], [0.0]], 5)
    assert (body.total_duration, body.load_duration) == (1_500_000_000, 1_000_000_000)
    assert strict(EmbeddingsResponse, ollama_embedding(VECTORS[:1])).embedding == VECTORS[0]
    assert ollama_embedding([]) == {"embedding": []}


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"prompt": []}, "prompt"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ],
)
def test_what_is_refused_names_the_field(fields: dict[str, Any], parameter: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_ollama_embed({"model": "m", **fields})
    assert caught.value.parameter == parameter
