"""The default model against what float32 arithmetic makes of it, by an independent engine."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.chat.values import Message

MEAN_KL = 4.5e-3  # of llama.cpp's first-step distributions to the exact ones, same file, same prompts


@pytest.fixture(scope="module")
def reference(model_path: Path) -> gadfly.LLM:
    return gadfly.load(model_path, backend="reference")


@pytest.fixture(scope="module")
def native(model_path: Path) -> gadfly.LLM:
    return gadfly.load(model_path, threads=2)


@pytest.fixture(scope="module")
def forced(reference: gadfly.LLM, exact: list[dict[str, Any]]) -> list[np.ndarray]:
    """The reference's logits along each exact continuation, one row per token of it."""
    return [
        reference.logits(prompt["prompt_ids"] + prompt["tokens"][:-1])[len(prompt["prompt_ids"]) - 1 :]
        for prompt in exact
    ]


def test_reference_is_exact(forced: list[np.ndarray], exact: list[dict[str, Any]]) -> None:
    for prompt, logits in zip(exact, forced, strict=True):
        for token, expected in prompt["first_top20"]:
            assert abs(logits[0, token] - expected) < 1e-3
        clear = np.array(prompt["margins"]) > 1e-2
        np.testing.assert_array_equal(logits.argmax(-1)[clear], np.array(prompt["tokens"])[clear])


def test_native_is_closer_to_exact_than_llama_cpp(
    native: gadfly.LLM, forced: list[np.ndarray], exact: list[dict[str, Any]]
) -> None:
    first, along = [], []
    for prompt, expected in zip(exact, forced, strict=True):
        found = native.logits(prompt["prompt_ids"] + prompt["tokens"][:-1])[len(prompt["prompt_ids"]) - 1 :]
        divergence = kl(expected, found)
        first.append(divergence[0])
        along.extend(divergence)
    assert np.mean(first) <= MEAN_KL
    assert np.mean(along) <= MEAN_KL


def test_native_leaves_the_exact_text_only_at_near_ties(native: gadfly.LLM, exact: list[dict[str, Any]]) -> None:
    equal = 0
    for prompt in exact:
        stops = native.tokenizer.stop_ids
        ended = prompt["tokens"][-1] in stops
        tokens = prompt["tokens"][:-1] if ended else prompt["tokens"]
        found = native.generate(prompt["prompt_ids"], max_tokens=len(prompt["tokens"]), temperature=0.0)
        apart = next((i for i, pair in enumerate(zip(tokens, found.ids, strict=False)) if pair[0] != pair[1]), None)
        if apart is None and len(found.ids) != len(tokens):
            apart = min(len(found.ids), len(tokens))
        if apart is None:
            equal += 1
        else:
            assert prompt["margins"][apart] < 0.5
    assert equal >= 5


def test_prompts_are_rendered_and_encoded_as_the_model_was_trained(
    native: gadfly.LLM, exact: list[dict[str, Any]]
) -> None:
    for prompt in exact:
        messages = [Message(**message) for message in prompt["messages"]]
        assert native.prompt_ids(messages) == prompt["prompt_ids"]


def test_a_request_alone_and_in_a_crowd(native: gadfly.LLM, exact: list[dict[str, Any]]) -> None:
    def ask(prompt: dict[str, Any]) -> Any:
        return native.stream(prompt["prompt_ids"], max_tokens=24, temperature=0.8, seed=7)

    alone = [[*ask(prompt)] for prompt in exact[:8]]
    crowd = [ask(prompt) for prompt in exact[:8]]
    together: list[list[str]] = [[] for _ in crowd]
    waiting = dict(enumerate(map(iter, crowd)))
    while waiting:
        for i, pieces in list(waiting.items()):
            piece = next(pieces, None)
            if piece is None:
                del waiting[i]
            else:
                together[i].append(piece)
    assert together == alone


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of softmax(q) from softmax(p), in nats, per row."""
    log_p, log_q = log_softmax(p), log_softmax(q)
    return (np.exp(log_p) * (log_p - log_q)).sum(-1)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))
