"""Adapters beside a model, at a strength for every sequence: what each backend makes of them, together and alone."""

import numpy as np
import pytest
import torch

from gadfly.batch import Batch, Span
from gadfly.engine.executor import Executor
from gadfly.errors import UnsupportedError
from gadfly.model.transformer import forward
from gadfly.ops.native import Native, Recording, kernel_names
from gadfly.ops.reference import Reference
from gadfly.ops.torch import Torch
from gadfly.testing import random_adapter, random_weights, tiny_spec, tiny_specs
from gadfly.weight import Delta, LowRank, Plain, Weights
from gadfly.weights.adapted import adapted
from parity.conftest import apply

torch.set_num_threads(1)

PAGES, PAGE_SIZE = 8, 16
IDS = [int(token) for token in np.random.default_rng(3).integers(0, 256, 90)]
STRENGTHS = [(0.7, 0.0), (), (1.0, 1.5), (0.0, 0.3), (0.0, 0.0)]


def served(backend, spec, strengths, chunk: int = 90, ranks=(4, 3), kind: str = "Q8_0") -> list[np.ndarray]:
    """All logits of IDS, read once at each of these strengths, side by side and `chunk` tokens a step."""
    weights = random_weights(spec, 1, kind).map(backend.place)
    adapters = [random_adapter(spec, seed, rank) for seed, rank in enumerate(ranks, 5)]
    model = Executor(spec, adapted(spec, weights, adapters, backend), backend, len(strengths) * PAGES, PAGE_SIZE)
    steps = []
    for first in range(0, len(IDS), chunk):
        tokens = IDS[first : first + chunk]
        spans = [
            Span(tokens, first, range(i * PAGES, (i + 1) * PAGES), range(len(tokens)), one)
            for i, one in enumerate(strengths)
        ]
        steps.append(model.step(Batch.of(spans)).reshape(len(strengths), len(tokens), -1))
    return list(np.concatenate(steps, axis=1))


def merged(spec, strengths) -> np.ndarray:
    """The same of one model whose weights are sums."""
    reference, weights = Reference(), random_weights(spec, 1, "Q8_0")
    sums = {path: reference.place(weights[path]) for path in weights}
    for number, strength in enumerate(strengths):
        adapter = random_adapter(spec, 5 + number, (4, 3)[number])
        for path, pair in adapter.pairs.items():
            sums[path] = sums[path] + np.float32(strength * adapter.scale) * (pair.up @ pair.down)
    model = Executor(spec, Weights(sums), reference, PAGES, PAGE_SIZE)
    return model.step(Batch.of([Span(IDS, 0, range(PAGES), range(len(IDS)))]))


@pytest.mark.parametrize("kind", ["llama", "qwen-3", "grok-2"])
def test_a_strength_is_what_would_be_merged(kind: str) -> None:
    spec = tiny_specs()[kind]
    for strengths, found in zip(STRENGTHS, served(Reference(), spec, STRENGTHS), strict=True):
        expected = merged(spec, strengths)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("backend", [Reference(), Torch()], ids=["reference", "torch"])
def test_without_strength_it_is_the_base_to_the_bit(backend) -> None:
    """In one and the same batch; a row of another shape of batch may differ in its last bit here."""
    spec = tiny_spec()
    base = served(backend, spec, [()] * len(STRENGTHS), ranks=())
    found = served(backend, spec, STRENGTHS)
    for number in (1, 4):
        np.testing.assert_array_equal(found[number], base[number])


@pytest.mark.parametrize("kind", ["llama", "qwen-3", "grok-2"])
@pytest.mark.parametrize("chunk", [90, 7])
def test_torch_adds_what_the_reference_does(kind: str, chunk: int) -> None:
    spec = tiny_specs()[kind]
    exact, close = (np.stack(served(backend, spec, STRENGTHS, chunk)) for backend in (Reference(), Torch()))
    np.testing.assert_allclose(close, exact, atol=2e-5 * np.abs(exact).max())


@pytest.mark.parametrize("kind", ["llama", "gemma-3", "qwen-2"])
def test_native_adds_what_the_reference_does(kind: str) -> None:
    """As near as it comes to the base: no token goes to another expert here for a last bit."""
    spec, on, off = tiny_specs()[kind], [0, 2, 3], [1, 4]
    for weights in ("F32", "Q8_0"):
        exact, close = (np.stack(served(b, spec, STRENGTHS, kind=weights)) for b in (Reference(), Native(2)))
        errors = np.sqrt(np.square(close - exact).mean(axis=(1, 2)))
        assert errors[on].max() < 1.5 * errors[off].max()
        assert errors.max() < (0.002 if weights == "F32" else 0.05)


def test_native_computes_a_strength_alike_whoever_is_beside_it(native: Native) -> None:
    """Threads, chunks, company: the same bits; and without strength those of a model without adapters."""
    spec = tiny_spec()
    alone = [served(Native(1, native.kernels), spec, [one], 90)[0] for one in STRENGTHS]
    for chunk in (90, 7, 1):
        for expected, found in zip(alone, served(native, spec, STRENGTHS, chunk), strict=True):
            np.testing.assert_array_equal(found, expected)
    (base,) = served(native, spec, [()], 30, ranks=())
    for number in (1, 4):
        np.testing.assert_array_equal(alone[number], base)


def test_instruction_sets_agree_to_the_bit_with_adapters() -> None:
    first, *others = (np.stack(served(Native(1, name), tiny_spec(), STRENGTHS, 30)) for name in kernel_names())
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(("rows", "columns", "rank"), [(64, 32, 1), (75, 96, 13), (788, 64, 100), (40, 256, 1024)])
@pytest.mark.parametrize("tokens", [1, 5, 200])
def test_factors_of_any_rank(native: Native, rows: int, columns: int, rank: int, tokens: int) -> None:
    random = np.random.default_rng(rank)
    base, down, up, x = (
        random.normal(size=shape).astype(np.float32)
        for shape in ((rows, columns), (rank, columns), (rows, rank), (tokens, columns))
    )
    spans = [Span(range(first, first + 1), 0, [first], [0], (first % 3 / 2,)) for first in range(tokens)]

    def project(backend):
        weight = backend.adapt(backend.place(Plain(base)), [Delta(0, down, up, 0.2)])
        return apply(backend, lambda ops, batch, x: ops.project(x, weight, batch), [x], Batch.of(spans))

    exact, found = project(Reference()), project(native)
    assert np.abs(found - exact).max() < 0.002 * exact.std()
    placed = native.place(Plain(base))
    untouched = apply(native, lambda ops, batch, x: ops.project(x, placed, batch), [x], Batch.of(spans))
    np.testing.assert_array_equal(found[::3], untouched[::3])


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e9])
def test_factors_of_any_size(size: float) -> None:
    """Half floats alone hold numbers from 6e-8 to 65504."""
    native, x, base = Native(1), np.ones((1, 32), np.float32), np.zeros((8, 32), np.float32)
    down, up = np.full((1, 32), 3 * size, np.float32), np.full((8, 1), 1 / size, np.float32)
    weight = native.adapt(native.place(Plain(base)), [Delta(0, down, up, 1.0)])
    batch = Batch.of([Span([0], 0, [0], [0], (1.0,))])
    found = apply(native, lambda ops, batch, x: ops.project(x, weight, batch), [x], batch)
    np.testing.assert_allclose(found, 96, rtol=1e-3)


def test_strengths_that_are_no_numbers_and_adapters_that_do_not_fit_are_refused() -> None:
    native, spec = Native(1), tiny_spec()
    model = Executor(spec, random_weights(spec, 1).map(native.place), native, PAGES, PAGE_SIZE)
    with pytest.raises(ValueError, match="no finite number"):
        model.step(Batch.of([Span([1, 2], 0, [0], [0], (np.inf,))]))
    recording, base, small = Recording(), native.place(Plain(np.zeros((8, 32), np.float32))), np.zeros((4, 4), "f4")
    x = recording.embed(base, Batch.of([]))
    y = recording.project(x, native.adapt(base, [Delta(0, small, small, 1.0)]), Batch.of([]))
    with pytest.raises(ValueError, match="wrong width"):
        recording.finish(y, native.kernels)


def test_only_wanted_rows_of_the_head_are_adapted_and_each_at_its_own_strength() -> None:
    reference, x = Reference(), np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)
    base, down, up = (
        np.random.default_rng(2).normal(size=shape).astype(np.float32) for shape in ((9, 64), (3, 64), (9, 3))
    )
    weight = reference.adapt(reference.place(Plain(base)), [Delta(1, down, up, 0.5)])
    batch = Batch.of([Span([1, 2, 3], 0, [0], [2], (0.0, 2.0)), Span([4], 0, [1], [0], (3.0,))])
    found = reference.project(x, weight, batch)
    np.testing.assert_allclose(found[0], x[0] @ (base + up @ down).T, rtol=1e-4)
    np.testing.assert_array_equal(found[1], (x @ base.T)[1])


@pytest.mark.parametrize("strengths", [(1.0, 1.0, 1.0), (0.3, 0.0, 1.0), (0.5, 0.7, 1.2)])
def test_packed_at_strengths_of_their_own_is_each_alone_and_so_are_gradients(strengths) -> None:
    spec, backend = tiny_spec(), Torch()
    placed = random_weights(spec, 1, "Q8_0").map(backend.place)
    cuts = [(0, 3), (3, 40), (40, 90)]
    spans = [Span(IDS[a:b], 0, (), range(b - a), (one,)) for (a, b), one in zip(cuts, strengths, strict=True)]

    def learnt():
        weights = adapted(spec, placed, [random_adapter(spec, 5)], backend)
        factors = [
            f.requires_grad_()
            for w in map(weights.__getitem__, weights)
            if isinstance(w, LowRank)
            for delta in w.deltas
            for f in (delta.down, delta.up)
        ]
        return weights, factors

    weights, together = learnt()
    packed = forward(spec, weights, Batch.of(spans), backend, None)
    packed.square().mean().backward()
    weights, apart = learnt()
    alone = [forward(spec, weights, Batch.of([span]), backend, None) for span in spans]
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-5)
    sum(one.square().sum() / packed.numel() for one in alone).backward()
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-5 * float(one.grad.abs().max()), rtol=1e-4)
        assert one.grad.abs().max() > 0


def test_half_the_strength_has_half_the_gradient_where_nothing_else_changes() -> None:
    """∂L/∂up of a single matrix is proportional to the strength it is used at."""
    backend, generator = Torch(), torch.Generator().manual_seed(1)
    x, base, down, up = (torch.randn(*shape, generator=generator) for shape in ((5, 64), (32, 64), (4, 64), (32, 4)))
    up.requires_grad_()
    found = []
    for strength in (1.0, 0.5):
        batch = Batch.of([Span([0] * 5, 0, (), (), (strength,))])
        y = backend.project(x, LowRank(base, (Delta(0, down, up, 2.0),)), batch)
        (gradient,) = torch.autograd.grad(y.sum(), up)
        found.append(gradient)
    torch.testing.assert_close(found[1] * 2, found[0])


MIXTURES = ["mixtral", "grok-1", "grok-2"]


def mixed(backend, kind: str, strengths, seeds=(5, 6)) -> list[np.ndarray]:
    """As `served`, with adapters of experts, too."""
    spec = tiny_specs()[kind]
    weights = random_weights(spec, 1, "Q8_0").map(backend.place)
    adapters = [random_adapter(spec, seed, 3, experts=True) for seed in seeds]
    assert all(one.changes_experts for one in adapters)
    model = Executor(spec, adapted(spec, weights, adapters, backend), backend, len(strengths) * PAGES, PAGE_SIZE)
    spans = [Span(IDS, 0, range(i * PAGES, (i + 1) * PAGES), range(len(IDS)), one) for i, one in enumerate(strengths)]
    return list(model.step(Batch.of(spans)).reshape(len(strengths), len(IDS), -1))


@pytest.mark.parametrize("kind", MIXTURES)
def test_a_strength_of_experts_is_what_would_be_merged(kind: str) -> None:
    spec = tiny_specs()[kind]
    both = [random_adapter(spec, seed, 3, experts=True) for seed in (5, 6)]
    for strengths, found in zip(STRENGTHS, mixed(Reference(), kind, STRENGTHS), strict=True):
        reference, weights = Reference(), random_weights(spec, 1, "Q8_0")
        sums = {path: reference.place(weights[path]) for path in weights}
        for adapter, strength in zip(both, strengths, strict=False):
            for path, pair in adapter.pairs.items():
                sums[path] = sums[path] + np.float32(strength * adapter.scale) * (pair.up @ pair.down)
        model = Executor(spec, Weights(sums), reference, PAGES, PAGE_SIZE)
        expected = model.step(Batch.of([Span(IDS, 0, range(PAGES), range(len(IDS)))]))
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", MIXTURES)
@pytest.mark.parametrize("backend", [Reference(), Torch()], ids=["reference", "torch"])
def test_experts_without_strength_are_the_base_to_the_bit(kind: str, backend) -> None:
    base = mixed(backend, kind, [()] * len(STRENGTHS), seeds=(5,))
    found = mixed(backend, kind, STRENGTHS)
    for number in (1, 4):
        np.testing.assert_array_equal(found[number], base[number])
    assert np.abs(found[2] - base[2]).max() > 0.1


@pytest.mark.parametrize("kind", MIXTURES)
def test_torch_adds_to_experts_what_the_reference_does(kind: str) -> None:
    exact, close = (np.stack(mixed(backend, kind, STRENGTHS)) for backend in (Reference(), Torch()))
    np.testing.assert_allclose(close, exact, atol=2e-5 * np.abs(exact).max())


def test_native_says_that_it_has_no_adapters_of_experts() -> None:
    with pytest.raises(
        UnsupportedError, match=r"changes experts, which is not done beside the model here; .* --adapter"
    ):
        mixed(Native(1), "mixtral", STRENGTHS)
