"""What a loaded model decides by itself."""

from pathlib import Path

import numpy as np
import pytest

from gadfly.answer.adapters import Beside
from gadfly.answer.beside import Found
from gadfly.arch import PAGES
from gadfly.conversation import EmbeddingRequest
from gadfly.errors import RequestError
from gadfly.llm import LLM, make_backend
from gadfly.testing import random_adapter, random_weights, tiny_spec
from gadfly.weights.model_file import ModelFile


def small(adapters: int = 2, backend: str = "native") -> LLM:
    spec = tiny_spec()
    page = next(page for page in PAGES if page.name == "llama")
    file = ModelFile(Path("tiny"), page, spec, random_weights(spec, 1, "Q8_0"), {}, None, lambda: None)
    beside = tuple(Beside(name, 0.0) for name in ("a", "b")[:adapters])
    found = Found(tuple(random_adapter(spec, 5 + number) for number in range(adapters)), beside)
    return LLM(file, spec, make_backend(backend, 1, None), contexts=8, adapters=found)


PROMPT = [7, 1, 3] * 20


def test_adapters_have_a_strength_per_request() -> None:
    llm, base = small(), small(0)
    plain = base.generate(PROMPT, max_tokens=20, temperature=0.0)
    assert llm.generate(PROMPT, max_tokens=20, temperature=0.0).ids == plain.ids
    with_it = llm.generate(PROMPT, max_tokens=20, temperature=0.0, adapters={"a": 1.0})
    assert with_it.ids != plain.ids
    assert llm.generate(PROMPT, max_tokens=20, temperature=0.0, adapters={"a": 0}).ids == plain.ids
    np.testing.assert_array_equal(llm.logits(PROMPT), base.logits(PROMPT))
    assert np.abs(llm.logits(PROMPT, {"a": 1.0}) - base.logits(PROMPT)).max() > 0.1
    with pytest.raises(RequestError, match="no adapter 'c'"):
        llm.generate(PROMPT, adapters={"c": 1})


def test_prefixes_are_shared_under_the_same_strengths_alone() -> None:
    llm = small()

    def cached(**adapters: float) -> int:
        return llm.generate(PROMPT, max_tokens=1, adapters=adapters).usage.cached_tokens

    assert [cached(), cached(), cached(a=1.0), cached(a=1.0), cached(a=0.5), cached(b=0.0), cached(a=1.0, b=1.0)] == [
        0, 48, 0, 48, 0, 48, 0,
    ]  # fmt: skip


def test_a_crowd_at_many_strengths_gives_what_each_would_get_alone() -> None:
    """And with guesses that are verified: the prompt repeats itself."""
    asked = [{}, {"a": 1.0}, {"a": 0.3, "b": 1.7}, {"b": 1.0}]
    alone = [small().generate(PROMPT, max_tokens=30, temperature=0.0, adapters=one).ids for one in asked]
    llm = small()
    crowd = [llm.stream(PROMPT, max_tokens=30, temperature=0.0, adapters=one) for one in asked]
    for generation in crowd:
        for _ in generation:
            pass
    assert [generation.completion.ids for generation in crowd] == alone
    assert llm.counts().accepted_tokens > 0


def test_vectors_respect_them() -> None:
    llm = small()

    def vector(**adapters: float) -> list[float]:
        return list(llm.embed(EmbeddingRequest((tuple(PROMPT),), adapters=adapters)).vectors[0])

    assert vector() == vector(a=0.0) == list(small(0).embed(EmbeddingRequest((tuple(PROMPT),))).vectors[0])
    assert vector(a=1.0) != vector()
