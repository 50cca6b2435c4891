"""Attention over several spans of positions, each of which is computed by itself: a span is 256 positions.

Native against reference, and the promise that no result depends on who computes which span, on how a text is cut and on
who is attended to in the same step.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from gadfly._native import kernel_names
from gadfly.batch import Batch, Span
from gadfly.ops.native import Native
from gadfly.ops.reference import Reference
from gadfly.spec import Attention
from gadfly.testing import tiny_spec
from gadfly.weight import Plain
from parity.conftest import PAGE_SIZE
from parity.test_ops import CACHE_ERROR, cache_for, normal

TOKENS = 600
PAGES = -(-TOKENS // PAGE_SIZE)
MIXERS = {
    "plain": {},
    "one query head each": {"heads": 2},
    "seven share a head": {"heads": 7, "kv_heads": 1},
    "odd width": {"head_dim": 24},
    "wide": {"head_dim": 80, "heads": 6},
    "capped and tempered": {"softcap": 2.0, "temperature": 16},
    "window": {"window": 300},
    "window of one span": {"window": 256},
    "narrow window": {"window": 20, "softcap": 3.0},
}


def mixer_of(kind: str) -> Attention:
    return replace(tiny_spec().blocks[0].mixer, **MIXERS[kind])


def attend(backend, kind: str, name: str, steps: Sequence[int] = (TOKENS,), crowd: int = 0) -> np.ndarray:
    """All of TOKENS attend, so many a step, beside sequences which write one token at a position of their own."""
    mixer = mixer_of(kind)
    spec = tiny_spec()
    spec = replace(spec, blocks=(replace(spec.blocks[0], mixer=mixer),))
    kv = cache_for(backend, name, spec, 2 * PAGES)
    widths = [mixer.heads * mixer.head_dim, *[mixer.kv_heads * mixer.head_dim] * 2]
    tables = [backend.place(Plain(normal(TOKENS, width, seed=i))) for i, width in enumerate(widths)]
    run = backend.compile(
        lambda ops, batch: ops.attention(*(ops.embed(table, batch) for table in tables), mixer, 0, kv, batch)
    )
    pages = np.random.default_rng(len(steps)).permutation(PAGES).tolist()
    rows, first = [], 0
    for count in steps:
        others = [Span([n], 101 * n, range(PAGES, 2 * PAGES), [0]) for n in range(crowd)]
        own = Span(range(first, first + count), first, pages, range(count))
        rows.append(run(Batch.of([*others, own]))[crowd:])
        first += count
    assert first == TOKENS
    return np.concatenate(rows)


@pytest.mark.parametrize("name", CACHE_ERROR)
@pytest.mark.parametrize("kind", MIXERS)
def test_agrees_with_reference(native: Native, kind: str, name: str) -> None:
    expected = attend(Reference(), kind, name)
    np.testing.assert_allclose(attend(native, kind, name, (250, 350)), expected, rtol=0, atol=CACHE_ERROR[name])


@pytest.mark.parametrize("name", CACHE_ERROR)
@pytest.mark.parametrize("kind", MIXERS)
def test_who_computes_what_does_not_matter(kind: str, name: str) -> None:
    """Steps of a few tokens have their spans divided among threads, those of many have not."""
    expected = attend(Native(1), kind, name)
    for kernels in kernel_names():
        for threads, steps, crowd in ((1, [255, 338, 7], 0), (3, [507, *[1] * 8, 85], 2), (4, [599, 1], 5)):
            found = attend(Native(threads, kernels), kind, name, steps, crowd)
            np.testing.assert_array_equal(found, expected, f"{kernels}, {threads} threads, {steps=}, {crowd=}")


def test_a_large_score_far_away_outweighs_the_rest(native: Native) -> None:
    """Earlier spans amount to nothing once a later one holds what a query looks for, and the other way round."""
    mixer = mixer_of("plain")
    spec = tiny_spec()
    spec = replace(spec, blocks=(replace(spec.blocks[0], mixer=mixer),))
    k, v = np.zeros((TOKENS, 32), np.float32), np.zeros((TOKENS, 32), np.float32)
    k[[3, 400]], v[[3, 400]] = [[-60.0] * 32, [60.0] * 32], [[1.0] * 32, [2.0] * 32]
    q = np.full((TOKENS, 64), 50.0, np.float32)
    q[1::2] *= -1
    kv = cache_for(native, "F32", spec, PAGES)
    tables = [native.place(Plain(x)) for x in (q, k, v)]
    run = native.compile(
        lambda ops, batch: ops.attention(*(ops.embed(table, batch) for table in tables), mixer, 0, kv, batch)
    )
    found = run(Batch.of([Span(range(TOKENS), 0, range(PAGES), range(TOKENS))]))
    np.testing.assert_array_equal(found[500::2], 2.0)
    np.testing.assert_array_equal(found[501::2], 1.0)
