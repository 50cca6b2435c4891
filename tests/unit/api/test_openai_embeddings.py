"""Embeddings: as numbers, as the base64 that OpenAI's SDK asks for, and shortened."""

import base64
import struct
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from gadfly.api.openai_embeddings import embeddings, read_embeddings
from gadfly.errors import RequestError
from wire import strict

VECTORS = [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("Hi", ("Hi",)),
        (["Hi", "you"], ("Hi", "you")),
        ([1, 2], ((1, 2),)),
        ([[1], [2]], ((1,), (2,))),
    ],
)
def test_inputs(given: object, inputs: object) -> None:
    assert read_embeddings({"input": given}).request.inputs == inputs


def test_options() -> None:
    call = read_embeddings({"model": "m", "input": "Hi", "dimensions": 2, "truncation": "auto"})
    assert (call.model, call.encoding, call.dimensions, call.request.truncate) == ("m", "float", 2, True)


def test_numbers() -> None:
    body = embeddings(VECTORS, 5, "m", read_embeddings({"input": ["a", "b"]}))
    parsed = strict(CreateEmbeddingResponse, body)
    assert [(each.index, each.embedding) for each in parsed.data] == [(0, VECTORS[0]), (1, VECTORS[1])]
    assert (parsed.usage.prompt_tokens, parsed.usage.total_tokens) == (5, 5)


def test_base64_is_float32_in_the_order_of_small_ends() -> None:
    call = read_embeddings({"input": ["a", "b"], "encoding_format": "base64"})
    data = base64.b64decode(embeddings(VECTORS, 5, "m", call)["data"][0]["embedding"])
    assert struct.unpack("<3f", data) == pytest.approx(VECTORS[0])


def test_a_shorter_vector_has_length_one_again() -> None:
    body = embeddings(VECTORS, 5, "m", read_embeddings({"input": ["a", "b"], "dimensions": 1}))
    assert [each["embedding"] for each in body["data"]] == [[1.0], [0.0]]
    with pytest.raises(RequestError, match="this model has 3") as caught:
        embeddings(VECTORS, 5, "m", read_embeddings({"input": "a", "dimensions": 4}))
    assert caught.value.parameter == "dimensions"


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ],
)
def test_what_is_refused_names_the_field(fields: dict[str, Any], parameter: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_embeddings(fields)
    assert caught.value.parameter == parameter
