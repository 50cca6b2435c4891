import numpy as np
import pytest

from gadfly.completion import Sampling
from gadfly.engine import Engine, Request
from gadfly.engine.likelihood import likelihood, likelihoods
from gadfly.errors import RequestError
from gadfly.testing import ScriptedModel, noise

VOCAB = 50


def by_the_book(logits):
    exact = logits.astype(np.float64)
    return exact - np.log(np.exp(exact).sum(-1, keepdims=True))


def test_they_are_logarithms_of_the_softmax():
    logits = np.random.default_rng(0).normal(size=(5, VOCAB)).astype(np.float32)
    for row, found in zip(by_the_book(logits), likelihoods(logits, [3, 1, 4, 1, 5], 4), strict=True):
        assert found.logprob == pytest.approx(row[found.token], abs=1e-6)
        assert [token for token, _ in found.top] == np.argsort(-row, kind="stable")[:4].tolist()
        assert [value for _, value in found.top] == pytest.approx(np.sort(row)[::-1][:4].tolist(), abs=1e-6)


def test_of_equals_the_lowest_ids_come_first_and_huge_logits_do_no_harm():
    found = likelihood(np.full(VOCAB, 1e30, np.float32), 7, 3)
    assert [token for token, _ in found.top] == [0, 1, 2]
    assert likelihood(np.zeros(4, np.float32), 1, 20).top[-1][0] == 3, "no more than there are"
    assert likelihood(np.zeros(4, np.float32), 1, 0).top == ()


@pytest.mark.parametrize("pages", [64, 7])
def test_prompts_are_read_in_pieces_whoever_else_is_there(pages):
    """Few pages force some requests to give theirs up and begin again."""
    prompts = [tuple((7 * n + i * i) % VOCAB for i in range(30 + 20 * n)) for n in range(4)]

    def ask(prompts):
        model = ScriptedModel(noise(VOCAB), VOCAB, pages, 16)
        engine = Engine(model.step, VOCAB, 112, pages, 16, 40)
        handles = [
            engine.submit(Request(prompt, 12, Sampling(seed=1), logprobs=2, prompt_logprobs=True)) for prompt in prompts
        ]
        tokens = [handle.wait() for handle in handles]
        engine.check()
        assert max(len(batch.rows) for batch in model.batches) <= 40
        return [
            (handle.prompt_likelihoods, [handle.likelihood(i) for i in range(len(ids))], ids)
            for handle, ids in zip(handles, tokens, strict=True)
        ]

    together = ask(prompts)
    assert together == [ask([prompt])[0] for prompt in prompts]
    for prompt, (read, written, ids) in zip(prompts, together, strict=True):
        text = (*prompt, *ids)
        assert [one.token for one in (*read, *written)] == list(text)
        assert read[0].logprob is None
        for position, one in enumerate((*read, *written)[1:], 1):
            assert one.logprob == pytest.approx(by_the_book(noise(VOCAB)(text[:position]))[one.token], abs=1e-5)


def test_what_is_cached_is_computed_again_only_where_likelihoods_are_wanted():
    model = ScriptedModel(noise(VOCAB), VOCAB, 16, 16)
    engine = Engine(model.step, VOCAB, 200, 16, 16)
    prompt = tuple(range(VOCAB))
    engine.submit(Request(prompt, 1)).wait()
    again = engine.submit(Request(prompt, 1, logprobs=0))
    again.wait()
    assert again.usage.cached_tokens == 48
    read = engine.submit(Request(prompt, 1, logprobs=0, prompt_logprobs=True))
    read.wait()
    assert read.usage.cached_tokens == 0 and len(read.prompt_likelihoods) == VOCAB


def test_too_many_alternatives_are_refused():
    engine = Engine(ScriptedModel(noise(VOCAB), VOCAB, 4, 16).step, VOCAB, 64, 4, 16)
    with pytest.raises(RequestError, match="logprobs is 21"):
        engine.submit(Request((1,), logprobs=21))
