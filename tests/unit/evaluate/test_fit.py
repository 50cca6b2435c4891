"""What a model needs: weighed by hand, held against real arrays, and judged on made-up machines."""

from dataclasses import replace

import numpy as np
import pytest

from gadfly.evaluate.fit import (
    FORMATS_TO_SHOW,
    Memory,
    Needs,
    best,
    cache_bytes_per_token,
    format_name,
    judge,
    needs,
    quantised,
)
from gadfly.evaluate.fit_probe import held_formats
from gadfly.ops.native import Native
from gadfly.quant import FORMATS
from gadfly.spec import MoE
from gadfly.testing import random_weights, tiny_spec
from gadfly.weight import Joined, Plain, Quantised, Reordered, Stack
from machines import GB, OWN, ROUNDED

SPEC = tiny_spec(dim=256)


def test_a_version_weighs_what_its_arrays_do():
    for name in ("F16", "Q8_0", "Q4_0"):
        version = quantised(SPEC, tied=False, name=name)
        sizes = {path: weight for path, weight in version.formats.items() if weight not in ("F32", name)}
        assert set(sizes) <= {"embedding", "output"}
        size = 0
        for path, shape in SPEC.shapes():
            rows = int(np.prod(shape[:-1]))
            size += rows * FORMATS[version.formats[path]].row_bytes(shape[-1])
        assert version.file == size


def test_what_matters_more_gets_more_bits_and_routers_stay_whole():
    mixture = replace(SPEC, blocks=(replace(SPEC.blocks[0], ffn=MoE(8, 2, 512, "silu")),))
    formats = quantised(mixture, tied=True, name="Q4_K").formats
    assert formats["blocks.0.ffn.gate"] == "Q4_K" and formats["blocks.0.ffn.down"] == "Q5_K"
    assert formats["blocks.0.mixer.query"] == formats["embedding"] == "Q6_K"
    assert formats["blocks.0.ffn.router"] == formats["norm"] == "F32" and "output" not in formats
    assert set(quantised(mixture, tied=True, name="int8").formats.values()) == {"int8", "F32"}


def test_more_bits_are_never_a_smaller_file():
    files = [
        quantised(SPEC, tied=False, name=name).file for name in ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "F16")
    ]
    assert files == sorted(files)


@pytest.mark.parametrize("name", ["F16", "Q8_0", "Q4_0", "F32"])
def test_memory_is_what_the_backend_takes(name):
    weights = random_weights(SPEC, format=name)
    native = Native(1)
    placed = {path: native.place(weights[path]) for path in weights}
    taken = sum(made.nbytes if isinstance(made, np.ndarray) else made.bytes for made in placed.values())
    formats = {path: format_name(weights[path]) for path in weights}
    version = replace(quantised(SPEC, tied=False, name=name), formats=formats)
    assert needs(version, held_formats(), 64).weights == pytest.approx(taken, rel=0.01)


def test_experts_are_weighed_apart():
    mixture = replace(SPEC, blocks=(replace(SPEC.blocks[0], ffn=MoE(4, 2, 512, "silu")),))
    wanted = needs(quantised(mixture, tied=True, name="F16"), OWN, 64)
    assert wanted.experts == 2 * 4 * 3 * 512 * 256
    assert wanted.total == wanted.weights + wanted.cache + wanted.activations + wanted.program
    assert wanted.cache == 64 * cache_bytes_per_token(mixture)


def test_a_format_without_a_kernel_takes_what_it_is_held_as():
    version = quantised(SPEC, tied=False, name="Q4_K")
    assert needs(version, ROUNDED, 64).weights > 1.5 * needs(version, OWN, 64).weights


def test_the_cache_of_the_default_model_is_what_was_measured():
    attention = replace(SPEC.blocks[0].mixer, heads=9, kv_heads=3, head_dim=64)
    spec = replace(SPEC, blocks=(replace(SPEC.blocks[0], mixer=attention),) * 30)
    assert cache_bytes_per_token(spec) == 17640


def test_files_say_what_their_weights_are_in():
    half = Quantised("F16", (4, 32), np.zeros((4, 64), np.uint8))
    assert format_name(Reordered(Joined((half, half), 0), np.arange(8))) == format_name(Stack((half, half))) == "F16"
    assert format_name(Plain(np.zeros((2, 2), np.float32))) == "F32"


@pytest.mark.parametrize(
    ("size", "memory", "comfort"),
    [
        (4, Memory(8 * GB, 6 * GB), "comfortable"),
        (5, Memory(8 * GB, 6 * GB), "tight"),
        (7, Memory(8 * GB, 6 * GB), "no"),
        (4, Memory(8 * GB, 3 * GB), "no"),
    ],
)
def test_comfort_leaves_the_machine_to_its_user(size, memory, comfort):
    assert judge(Needs(size * GB, 0, 0, 0, 0, program=0), memory) == comfort


def test_the_best_is_the_most_precise_that_is_comfortable_but_not_above_eight_bits():
    versions = [quantised(SPEC, tied=False, name=name) for name in FORMATS_TO_SHOW]
    assert best(versions, lambda _: "comfortable").name == "Q8_0"
    assert best(versions, lambda version: "comfortable" if version.name in ("Q4_K", "Q3_K") else "tight").name == "Q4_K"
    assert best(versions, lambda version: "no" if version.name != "Q2_K" else "tight").name == "Q2_K"
    assert best(versions, lambda _: "no") is None
