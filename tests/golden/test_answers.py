"""What APIs ask of the default model: formats are kept, calls come in their form, numbers agree with the logits."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import gadfly
from gadfly.completion import Sampling
from gadfly.conversation import (
    AnswerFormat,
    ChatRequest,
    EmbeddingRequest,
    Grammar,
    JsonSchema,
    Message,
    Regex,
    TextDelta,
    TextRequest,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
)
from gadfly.errors import ContextError, RequestError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "maximum": 130}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PLACE = {
    "type": "object",
    "properties": {"in": {"enum": ["Rome", "Bern"]}},
    "required": ["in"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", "how it is", PLACE)
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def llm(model_path: Path) -> gadfly.LLM:
    return gadfly.load(model_path, context=1024)


def asked(text: str, **options) -> ChatRequest:
    return ChatRequest((Message("user", text),), **{"max_tokens": 60, **options})


def text_of(events) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_an_answer_keeps_a_schema(llm: gadfly.LLM) -> None:
    request = asked("Invent a person, as JSON.", format=JsonSchema(PERSON), sampling=Sampling(seed=1), n=3)
    for choice in llm.answer(request).choices:
        *events, end = choice
        assert end.reason == "stop"
        person = json.loads(text_of(events))
        assert set(person) == {"name", "age"} and person["age"] <= 130


@pytest.mark.parametrize(
    "wanted", [Regex("(yes|no), because [a-z ]{5,30}\\."), Grammar('root ::= ("yes" | "no") ", because " [a-z ]+ "."')]
)
def test_an_answer_keeps_a_pattern_and_a_grammar(llm: gadfly.LLM, wanted: AnswerFormat) -> None:
    *events, _ = llm.answer(asked("Is water wet?", format=wanted, sampling=GREEDY))
    assert re.match(r"(yes|no), because [a-z ]+", text_of(events))


def test_a_tool_that_has_to_be_called_is_called(llm: gadfly.LLM) -> None:
    choice = ToolChoice("required", parallel=False)
    *events, end = llm.answer(asked("How is the weather in Bern?", tools=(WEATHER,), tool_choice=choice))
    assert [event.name for event in events if isinstance(event, ToolCallStart)] == ["weather"]
    arguments = "".join(event.arguments for event in events if isinstance(event, ToolCallDelta))
    assert json.loads(arguments)["in"] in ("Rome", "Bern")
    assert end.reason == "tool_calls" and text_of(events) == ""


def test_an_echo_is_as_likely_as_the_logits_say(llm: gadfly.LLM) -> None:
    text = "The capital of Italy is Rome, and the capital of France is Paris. " * 4
    echo, *_ = llm.complete(TextRequest(text, max_tokens=1, echo=True, logprobs=1))
    ids = llm.tokenizer.encode(text)
    logits = llm.logits(text).astype(np.float64)
    expected = logits - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
    expected -= logits.max(-1, keepdims=True)
    assert [one.id for one in echo.logprobs] == ids and echo.logprobs[0].logprob is None
    for i, one in enumerate(echo.logprobs[1:]):
        assert one.logprob == pytest.approx(expected[i, ids[i + 1]], abs=1e-4)
        assert one.top[0].id == int(expected[i].argmax())


def test_likeness_is_in_the_vectors_and_they_are_the_reference_s(llm: gadfly.LLM, model_path: Path) -> None:
    texts = ("A cat sits on the sofa.", "A kitten lies on the couch.", "The stock market fell by nine percent.")
    found = llm.embed(EmbeddingRequest(texts))
    vectors = np.array(found.vectors)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > max(vectors[0] @ vectors[2], vectors[1] @ vectors[2])
    assert found.tokens == sum(len(llm.tokenizer.encode(text)) for text in texts)
    alone = [llm.embed(EmbeddingRequest((text,))).vectors[0] for text in texts]
    assert alone == list(found.vectors)
    exact = np.array(gadfly.load(model_path, backend="reference", context=64).embed(EmbeddingRequest(texts)).vectors)
    assert (vectors * exact).sum(-1).min() > 0.999


def test_what_cannot_be_embedded_is_refused(llm: gadfly.LLM) -> None:
    long = EmbeddingRequest(("word " * 2000,))
    with pytest.raises(ContextError, match=r"has \d+ tokens, but the context holds 1024"):
        llm.embed(long)
    assert llm.embed(EmbeddingRequest(long.inputs, truncate=True)).tokens == 1024
    for wrong in (EmbeddingRequest(()), EmbeddingRequest(("",)), EmbeddingRequest(((10**9,),))):
        with pytest.raises(RequestError):
            llm.embed(wrong)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_format_is_kept_to_the_same_token_with_guesses_and_without(model_path: Path, temperature: float) -> None:
    people = {"type": "array", "minItems": 3, "maxItems": 3, "items": PERSON}
    request = asked("Three people.", format=JsonSchema(people), sampling=Sampling(temperature=temperature, seed=3))
    texts = []
    for speculate in (False, True):
        llm = gadfly.load(model_path, context=1024, speculate=speculate)
        texts.append("".join(event.text for event in llm.answer(request) if isinstance(event, TextDelta)))
        assert (llm.counts().accepted_tokens > 0) == speculate
    assert texts[0] == texts[1]
    assert len(json.loads(texts[0])) == 3
