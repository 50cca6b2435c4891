import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gadfly.completion import Sampling
from gadfly.engine.sampling import Sampler, distribution, largest, score
from gadfly.errors import ModelFileError, RequestError

INF = float("inf")


def slow_score(logits, sampling, tokens, prompt_length):
    """The documentation of Sampling read aloud: bias, then penalties."""
    scores = [float(logit) + sampling.logit_bias.get(i, 0) for i, logit in enumerate(logits)]
    latest = range(max(0, len(tokens) - sampling.penalty_window), len(tokens))
    for token in {tokens[i] for i in latest}:
        if scores[token] > 0:
            scores[token] /= sampling.repetition_penalty
        else:
            scores[token] *= sampling.repetition_penalty
    for token, count in Counter(tokens[i] for i in latest if i >= prompt_length).items():
        scores[token] -= sampling.presence_penalty + sampling.frequency_penalty * count
    return scores


def slow_distribution(scores, sampling, top_p):
    """Temperature, top_k, top_p, min_p: sort everything, then cut."""
    order = sorted((i for i in range(len(scores)) if scores[i] > -INF), key=lambda i: (-scores[i], i))
    order = order[: sampling.top_k or None]
    weights = {i: math.exp((scores[i] - scores[order[0]]) / sampling.temperature) for i in order}
    mass, nucleus, total = 0.0, [], sum(weights.values())
    for i in order:
        if nucleus and mass >= top_p * total:
            break
        nucleus.append(i)
        mass += weights[i]
    kept = {i: weights[i] for i in sorted(nucleus) if weights[i] >= sampling.min_p}
    total = sum(kept.values())
    return {i: weight / total for i, weight in kept.items() if weight > 0}


@st.composite
def cases(draw):
    vocab = draw(st.integers(1, 40))
    coarse = st.integers(-12, 12).map(lambda n: n / 4)  # many ties
    logits = draw(st.lists(coarse | st.just(-INF) | st.floats(-30, 30, width=32), min_size=vocab, max_size=vocab))
    logits[draw(st.integers(0, vocab - 1))] = draw(coarse)
    token = st.integers(0, vocab - 1)
    tokens = draw(st.lists(token, min_size=1, max_size=20))
    share = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 0.9, 1.0])
    sampling = Sampling(
        temperature=draw(st.sampled_from([0.25, 1.0, 2.0])),
        top_k=draw(st.integers(0, 45)),
        top_p=draw(share),
        min_p=draw(share),
        repetition_penalty=draw(st.sampled_from([1.0, 0.5, 2.0])),
        presence_penalty=draw(st.sampled_from([0.0, 0.5, -1.0])),
        frequency_penalty=draw(st.sampled_from([0.0, 0.25])),
        penalty_window=draw(st.integers(0, 25)),
        logit_bias=draw(st.dictionaries(token, coarse, max_size=3)),
        seed=draw(st.integers(-(2**63), 2**64)),
    )
    return np.array(logits, np.float32), sampling, tokens, draw(st.integers(1, len(tokens)))


@given(cases())
@example((np.array([0, 1.2e-38, 0], np.float32), Sampling(top_p=0.0, temperature=1.0), [0], 1))
def test_fast_and_slow_agree(case):
    logits, sampling, tokens, prompt_length = case
    scores = score(logits, sampling, tokens, prompt_length)
    assert scores.tolist() == pytest.approx(slow_score(logits, sampling, tokens, prompt_length), abs=1e-9)
    ids, weights = distribution(scores, sampling)
    found = {i: w / weights.sum() for i, w in zip(ids.tolist(), weights.tolist(), strict=True) if w > 0}
    assert list(found) == sorted(found)
    # Where rounding decides whether top_p has been reached, either side is right.
    right = [slow_distribution(scores.tolist(), sampling, sampling.top_p + error) for error in (0, -1e-12, 1e-12)]
    assert any(found == pytest.approx(expected) for expected in right)


@given(cases())
def test_draws_what_its_own_generator_says(case):
    logits, sampling, tokens, prompt_length = case
    drawn = Sampler(sampling).draw(logits, tokens, prompt_length)
    ids, weights = distribution(score(logits, sampling, tokens, prompt_length), sampling)
    point = np.random.default_rng(sampling.seed % 2**64).random() * float(weights.sum())
    ends = dict(zip(ids.tolist(), weights.cumsum().tolist(), strict=True))
    width = dict(zip(ids.tolist(), weights.tolist(), strict=True))[drawn]
    assert ends[drawn] - width - 1e-9 <= point <= ends[drawn] + 1e-9
    assert Sampler(sampling).draw(logits, tokens, prompt_length) == drawn


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 35))
def test_largest_keeps_the_first_of_equals(values, count):
    expected = sorted(sorted(range(len(values)), key=lambda i: (-values[i], i))[:count])
    assert largest(np.array(values), count).tolist() == expected


def test_a_whole_vocabulary_is_cut_as_a_small_one_is():
    scores = np.random.default_rng(1).normal(scale=3, size=20_000)
    for sampling in (Sampling(top_p=0.9), Sampling(top_k=40, top_p=0.8), Sampling(min_p=0.05), Sampling()):
        ids, weights = distribution(scores, sampling)
        expected = slow_distribution(scores.tolist(), sampling, sampling.top_p)
        assert dict(zip(ids.tolist(), (weights / weights.sum()).tolist(), strict=True)) == pytest.approx(expected)


def test_frequencies_follow_probabilities():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    sampler = Sampler(Sampling(seed=7))
    counts = Counter(sampler.draw(logits, [0], 1) for _ in range(4000))
    assert [counts[i] / 4000 for i in range(4)] == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)


@given(cases())
def test_temperature_zero_takes_the_best_and_of_equals_the_lowest(case):
    logits, _, _, _ = case
    assert Sampler(Sampling(temperature=0)).draw(logits, [0], 1) == logits.tolist().index(max(logits.tolist()))


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-6, 100])
def test_extreme_temperatures_and_logits_stay_finite(temperature):
    logits = np.array([-3.4e38, 1, 3.4e38, 3.3e38, -INF], np.float32)
    assert Sampler(Sampling(temperature=temperature)).draw(logits, [2], 1) == 2


@given(st.integers(-(2**63), 2**64), st.integers(-(2**63), 2**64))
def test_the_seed_alone_decides(seed, other):
    logits = np.zeros(4096, np.float32)
    first, again, different = (Sampler(Sampling(seed=s)) for s in (seed, seed, other))
    draws = [[sampler.draw(logits, [0], 1) for _ in range(8)] for sampler in (first, again, different)]
    assert draws[0] == draws[1]
    assert (draws[0] == draws[2]) == (seed % 2**64 == other % 2**64)


def test_no_seed_is_a_fresh_one():
    logits = np.zeros(2**16, np.float32)
    assert len({Sampler(Sampling()).draw(logits, [0], 1) for _ in range(8)}) > 1


@pytest.mark.parametrize("bad", [[math.nan, 1], [1, math.nan], [INF, 1], [-INF, -INF]])
@pytest.mark.parametrize("temperature", [0, 1])
def test_logits_that_are_no_numbers_are_an_error(bad, temperature):
    with pytest.raises(ModelFileError, match=r"nan|inf"):
        Sampler(Sampling(temperature=temperature)).draw(np.array(bad, np.float32), [0], 1)


def test_a_bias_may_forbid_tokens_but_not_all():
    logits = np.array([1, 5, -INF], np.float32)
    assert Sampler(Sampling(temperature=0, logit_bias={1: -INF})).draw(logits, [0], 1) == 0
    with pytest.raises(RequestError, match="logit_bias forbids every token"):
        Sampler(Sampling(logit_bias={0: -INF, 1: -INF})).draw(logits, [0], 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": 1.5},
        {"penalty_window": 2.5},
        {"seed": "x"},
        {"seed": 0.5},
        {"temperature": math.nan},
        {"logit_bias": {"a": 1}},
        {"logit_bias": {1: math.nan}},
        {"logit_bias": {1: INF}},
        {"logit_bias": {1: "much"}},
    ],
)
def test_values_of_the_wrong_kind_are_refused(wrong):
    with pytest.raises(RequestError, match=next(iter(wrong))):
        Sampling(**wrong)


class Alternating:
    """Even and odd ids in turn, and four tokens at most."""

    def __init__(self):
        self.drawn = []

    def forbidden(self):
        return np.arange(50) % 2 != len(self.drawn) % 2

    def advance(self, token):
        self.drawn.append(token)
        return len(self.drawn) == 4


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"temperature": 0, "logit_bias": {0: 1.0}}, {"top_k": 1}])
def test_a_constraint_is_kept_however_tokens_are_drawn(options):
    held = Alternating()
    sampler = Sampler(Sampling(seed=1, **options), held)
    logits = np.random.default_rng(2).normal(size=(4, 50)).astype(np.float32)
    for row, scores in enumerate(logits):
        assert not sampler.complete
        token = sampler.draw(scores, [1], 1)
        assert token == held.drawn[-1] and token % 2 == row % 2
        if options.get("temperature") == 0 and "logit_bias" not in options:
            assert token == max(range(row % 2, 50, 2), key=lambda i: scores[i])
    assert sampler.complete


def test_a_constraint_and_a_bias_that_leave_nothing_are_refused():
    bias = {token: float("-inf") for token in range(0, 50, 2)}
    with pytest.raises(RequestError, match="format and logit_bias"):
        Sampler(Sampling(logit_bias=bias), Alternating()).draw(np.zeros(50, np.float32), [1], 1)
