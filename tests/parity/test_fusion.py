"""What the native backend puts together computes the same bits as one op at a time, and waits less."""

from functools import reduce

import numpy as np
import pytest

from gadfly.batch import Batch
from gadfly.model.transformer import forward
from gadfly.ops.native import Buffer, Native, Recording, in_waves
from gadfly.testing import random_weights, tiny_spec, tiny_specs
from gadfly.weight import Plain
from parity.conftest import PAGE_SIZE, apply, sequences


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("tokens", [1, 3, 40])
def test_a_chain_computes_what_its_links_compute_apart(native: Native, tokens: int) -> None:
    x = normal(tokens, 64)
    placed_norm, placed_bias = (native.place(Plain(normal(64, seed=seed))) for seed in (1, 2))
    links = [
        lambda ops, x: ops.rms_norm(x, placed_norm, 1e-5),
        lambda ops, x: ops.gated(x, x, "silu"),
        lambda ops, x: ops.shift(x, placed_bias),
        lambda ops, x: ops.softcap(ops.scale(x, 3.0), 2.0),
        lambda ops, x: ops.add(x, x),
    ]
    together = apply(native, lambda ops, _, x: reduce(lambda x, link: link(ops, x), links, x), [x], sequences(tokens))
    for link in links:
        x = apply(native, lambda ops, _, x, link=link: link(ops, x), [x], sequences(tokens))
    np.testing.assert_array_equal(together, x)


@pytest.mark.parametrize("kind", tiny_specs())
def test_nothing_is_read_before_it_is_written(kind: str) -> None:
    spec, native = tiny_specs()[kind], Native(1)
    recording = Recording()
    weights = random_weights(spec, 0, "Q8_0").map(native.place)
    forward(spec, weights, Batch.of([]), recording, native.cache(spec, 1, PAGE_SIZE))
    ordered = in_waves(recording.calls)
    assert sorted(map(id, ordered)) == sorted(map(id, recording.calls))
    written = {call.out: i for i, call in enumerate(ordered) if call.out}
    for i, call in enumerate(ordered):
        assert all(written[arg] < i for arg in call.args if isinstance(arg, Buffer))
    for pair in (("route", "deal"), ("store", "attend")):  # what the first of them fills is no buffer
        assert [c for c in ordered if c.method in pair] == [c for c in recording.calls if c.method in pair]


def test_instructions_of_a_layer() -> None:
    native = Native(2)
    spec = tiny_spec()
    weights = random_weights(spec, 0, "Q4_1").map(native.place)
    cache = native.cache(spec, 8, PAGE_SIZE)
    replay = native.compile(lambda ops, batch: forward(spec, weights, batch, ops, cache))
    replay.program.profile()
    batch = sequences(1)
    replay(batch)
    names, working, waiting = zip(*replay.program.costs, strict=True)
    assert names[names.index("add + rms_norm + quantise + residual") :] == (  # of the second layer, and what follows
        "add + rms_norm + quantise + residual",
        *("linear", "linear", "linear"),
        *("rope", "rope + store"),
        "attend",
        "quantise + residual",
        "linear",
        "add + rms_norm + quantise",
        *("linear", "linear"),
        "gated + quantise",
        "linear",
        "add",
        "select + rms_norm + quantise + residual",
        "linear",
    )
    assert min(working) > 0
    assert min(waiting) >= 0
