"""The arithmetic of speed, against hand calculation and against the published table for Grok-1."""

from dataclasses import replace

import pytest

from gadfly.evaluate.fit import Needs, quantised
from gadfly.evaluate.fit_catalogue import spec_of
from gadfly.evaluate.fit_speed import attention_operations, matrix_seconds, predict, step_seconds, stream
from gadfly.hub.catalogue import Catalogue
from gadfly.model.cost import Cost, activation_bytes, matrices
from gadfly.testing import tiny_spec
from machines import GB, OWN, speeds

SPEC = tiny_spec(dim=256)
GROK = spec_of(Catalogue.load()["grok-1"])


def test_one_token_is_bound_by_memory_and_many_by_arithmetic():
    version, fast = quantised(SPEC, tied=True, name="F16"), speeds(1e9, 1e12)
    met = sum(matrix.parameters for matrix in matrices(SPEC))
    assert matrix_seconds(version, OWN, fast.kernels, 1) == pytest.approx(2 * met / 1e9)
    body = sum(matrix.parameters for matrix in matrices(SPEC) if matrix.path != "output")
    slow = speeds(1e15, 1e9)
    head = met - body  # only for the last token
    assert matrix_seconds(version, OWN, slow.kernels, 50) == pytest.approx((2 * 50 * body + 2 * head) / 1e9)


def test_a_step_adds_what_is_beside_the_matrices():
    version, fast = quantised(SPEC, tied=True, name="F16"), speeds(1e9, 1e12)
    beside = step_seconds(version, OWN, fast, 1, 0) - matrix_seconds(version, OWN, fast.kernels, 1)
    slower = replace(fast, layer=2 * fast.layer, element=2 * fast.element, attention_alone=2 * fast.attention_alone)
    doubled = step_seconds(version, OWN, slower, 1, 0) - matrix_seconds(version, OWN, fast.kernels, 1)
    assert doubled == pytest.approx(2 * beside) and beside > 2 * fast.layer


def test_attention_counts_every_pair_once_and_no_more_than_a_window():
    per_pair = Cost.of(SPEC, tied=True).attention_flops_per_position
    assert attention_operations(SPEC, 3, 10) == (11 + 12 + 13) * per_pair
    block = SPEC.blocks[0]
    windowed = replace(SPEC, blocks=(replace(block, mixer=replace(block.mixer, window=4)), block))
    assert attention_operations(windowed, 1, 9) == (4 + 10) * per_pair / 2


def test_a_prompt_in_two_chunks_is_read_in_the_time_of_both():
    version, fast = quantised(SPEC, tied=True, name="Q8_0"), speeds(1e9, 1e12)
    told = predict(version, OWN, fast, 400)
    both = step_seconds(version, OWN, fast, 256, 0) + step_seconds(version, OWN, fast, 144, 256)
    assert told.prefill == pytest.approx(400 / both)
    assert told.decode == pytest.approx(1 / step_seconds(version, OWN, fast, 1, 400))


# Grok-1 at 4.5 bits on 60 GB/s of memory, by memory and disk: what its physical limit was worked out to be by hand, a
# little less where attention takes its time.
TABLE = {
    (32, 3): (0.07, 0.09),
    (32, 7): (0.17, 0.21),
    (32, 14): (0.35, 0.41),
    (64, 7): (0.23, 0.27),
    (128, 7): (0.50, 0.75),
    (128, 14): (0.94, 1.23),
    (192, 3): (1.1, 1.3),
}


@pytest.mark.parametrize(("size", "limits"), TABLE.items())
def test_streaming_grok_is_bound_by_the_disk_until_all_of_it_is_in_memory(size, limits):
    memory, disk = size
    wanted = Needs(always=round(5.2 * GB), experts=174 * GB, cache_per_token=0, context=0, activations=0, program=0)
    resident = 60e9 / (5.2e9 + 174e9 / 4)
    flow = stream(wanted, memory * GB, GROK, disk * GB, 100 * resident, resident)
    assert limits[0] <= flow.decode <= limits[1]


def test_many_conversations_share_what_is_read():
    wanted = Needs(always=round(5.2 * GB), experts=174 * GB, cache_per_token=0, context=0, activations=0, program=0)
    flow = stream(wanted, 64 * GB, GROK, 7e9, 100.0, 60e9 / (5.2e9 + 174e9 / 4))
    assert flow.many == 16 and flow.decode_many == pytest.approx(0.94, abs=0.1)


def test_a_prompt_is_read_as_fast_as_the_slower_of_disk_and_arithmetic():
    wanted = Needs(always=round(5.2 * GB), experts=174 * GB, cache_per_token=0, context=0, activations=0, program=0)
    slow, fast = (stream(wanted, 64 * GB, GROK, disk, 50.0, 1.0) for disk in (1e9, 1e12))
    lent = activation_bytes(GROK, 2048) / GB  # of what experts have otherwise
    assert slow.prefill == pytest.approx(2048 / ((1 - slow.resident) * 174 + lent + 2048 / 50 * 0.107), rel=0.01)
    assert fast.prefill == pytest.approx(50.0)
    cramped = stream(wanted, 6 * GB, GROK, 1e9, 50.0, 1.0)  # where steps of so many tokens have no room
    assert cramped.prefill < 0.2 * slow.prefill


def test_routers_that_cling_to_few_experts_find_more_of_them_in_memory():
    wanted = Needs(always=round(5.2 * GB), experts=174 * GB, cache_per_token=0, context=0, activations=0, program=0)
    clinging = (0.4, 0.3, 0.1, 0.1, 0.1, 0, 0, 0)
    even, told = (stream(wanted, 64 * GB, GROK, 1e9, 9.0, 1.0, known) for known in ((), clinging))
    assert told.resident == even.resident == even.found
    staying = told.resident - 1 / (8 * len(GROK.blocks))  # one only passes through
    assert told.found == pytest.approx(0.7 + (8 * staying - 2) * 0.1)
    assert told.decode / even.decode == pytest.approx((1 - even.found) / (1 - told.found), rel=0.05)
    assert (told.prefill, told.decode_many) == (even.prefill, even.decode_many)


def test_what_cannot_be_streamed():
    wanted = Needs(always=10 * GB, experts=100 * GB, cache_per_token=0, context=0, activations=0)
    assert stream(wanted, 9 * GB, GROK, 1e9, 9.0, 1.0) is None
    assert stream(wanted, 50 * GB, SPEC, 1e9, 9.0, 1.0) is None
