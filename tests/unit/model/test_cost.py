"""What a model costs, asserted against arrays that are really there."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.model.cost import Cost, expected_experts, matrices
from gadfly.spec import Dense, MoE, Parallel
from gadfly.testing import random_weights, tiny_spec

FEED_FORWARDS = {
    "dense": Dense(128, "silu"),
    "mixture": MoE(8, 2, 96, "gelu"),
    "beside": Parallel(Dense(128, "gelu"), MoE(4, 1, 64, "gelu"), 0.5),
}


def spec_with(kind):
    spec = tiny_spec()
    return replace(spec, blocks=(spec.blocks[0], replace(spec.blocks[1], ffn=FEED_FORWARDS[kind])))


@pytest.mark.parametrize("kind", FEED_FORWARDS)
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_of_the_arrays(kind, tied):
    spec = spec_with(kind)
    weights = random_weights(spec)
    paths = [path for path in weights if not (tied and path == "output")]
    assert Cost.of(spec, tied).parameters == sum(int(np.prod(weights[path].shape)) for path in paths)


@pytest.mark.parametrize("kind", FEED_FORWARDS)
def test_a_token_meets_only_its_own_experts(kind):
    spec = spec_with(kind)
    weights, met, experts = random_weights(spec), 0, 0
    for path in weights:
        shape = weights[path].shape
        if len(shape) == 2 and path != "embedding":
            met += shape[0] * shape[1]
        if len(shape) == 3:
            selected = {8: 2, 4: 1}[shape[0]]
            met += selected * shape[1] * shape[2]
            experts += shape[0] * shape[1] * shape[2]
    cost = Cost.of(spec, tied=False)
    assert (cost.matrix_parameters, cost.expert_parameters) == (met, experts)
    assert cost.flops_per_token == 2 * met


def test_the_cache_and_attention_are_counted_by_heads():
    cost = Cost.of(tiny_spec(), tied=False)  # two layers, 4 heads of 16, 2 of them for keys and values
    assert cost.kv_values_per_token == 2 * 2 * 2 * 16
    assert cost.attention_flops_per_position == 2 * 4 * 4 * 16


def test_experts_that_tokens_go_to_are_what_chance_says():
    assert expected_experts(8, 2, 1) == 2
    assert expected_experts(8, 2, 2) == pytest.approx(3.5)
    random = np.random.default_rng(0)
    drawn = [
        len({*random.permutation(8)[:2], *random.permutation(8)[:2], *random.permutation(8)[:2]}) for _ in range(4000)
    ]
    assert np.mean(drawn) == pytest.approx(expected_experts(8, 2, 3), rel=0.02)


@given(st.integers(1, 64), st.data(), st.integers(1, 500))
def test_a_step_reads_at_least_a_tokens_experts_and_at_most_all(experts, data, tokens):
    selected = data.draw(st.integers(1, experts))
    found = expected_experts(experts, selected, tokens)
    assert selected - 1e-9 <= found <= experts
    assert found <= expected_experts(experts, selected, tokens + 1) + 1e-9


@pytest.mark.parametrize("kind", FEED_FORWARDS)
def test_one_token_touches_what_it_is_multiplied_with(kind):
    for matrix in matrices(spec_with(kind)):
        assert matrix.touched(1) == pytest.approx(matrix.per_token)
        assert matrix.touched(10_000) == pytest.approx(matrix.parameters)
