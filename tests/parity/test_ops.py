"""Every op of the native backend, on every instruction set of this machine, against the numpy reference."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from gadfly._native import kernel_names
from gadfly.batch import Batch, Span
from gadfly.ops.native import Native
from gadfly.ops.reference import Reference
from gadfly.quant import FORMATS, encode
from gadfly.quant.native import Encoder
from gadfly.spec import Activation, Attention, ModelSpec, MoE, Rope
from gadfly.testing import tiny_spec
from gadfly.weight import Int8, Plain, Quantised
from parity.conftest import PAGE_SIZE, apply, sequences

ENCODABLE = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def random_blocks(name: str, rows: int, columns: int) -> Quantised:
    """Any format: encoded if there is an encoder, otherwise random codes under small scales."""
    if name in ENCODABLE:
        return Quantised(name, (rows, columns), encode(name, normal(rows, columns) / columns**0.5))
    size = FORMATS[name].row_bytes(columns)
    blocks = np.random.default_rng(1).integers(0, 256, (rows, size), dtype=np.uint8)
    grouped = blocks.reshape(-1, FORMATS[name].block_bytes)
    for at in SCALES[name]:
        grouped[:, at : at + 2] = np.frombuffer(np.float16(0.001).tobytes(), np.uint8)
    return Quantised(name, (rows, columns), blocks)


SCALES = {
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
}


@pytest.mark.parametrize("width", [32, 33, 576])
def test_rms_norm(native: Native, reference: Reference, width: int) -> None:
    x, weight = normal(5, width), Plain(normal(width, seed=1))

    def norm(backend):
        placed = backend.place(weight)
        return apply(backend, lambda ops, _, x: ops.rms_norm(x, placed, 1e-5), [x], sequences(5))

    np.testing.assert_allclose(norm(native), norm(reference), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("head_dim", [8, 12, 24])
def test_rms_norm_of_each_head(native: Native, reference: Reference, head_dim: int) -> None:
    x, weight = normal(5, 72), Plain(normal(head_dim, seed=1))

    def norm(backend):
        placed = backend.place(weight)
        return apply(backend, lambda ops, _, x: ops.rms_norm(x, placed, 1e-5), [x], sequences(5))

    np.testing.assert_allclose(norm(native), norm(reference), rtol=2e-6, atol=1e-6)


def test_shift(native: Native, reference: Reference) -> None:
    x, bias = normal(5, 27), Plain(normal(27, seed=1))

    def shift(backend):
        placed = backend.place(bias)
        return apply(backend, lambda ops, _, x: ops.shift(x, placed), [x], sequences(5))

    np.testing.assert_array_equal(shift(native), shift(reference))


@pytest.mark.parametrize("cap", [0.5, 5.0, 50.0])
def test_softcap(native: Native, reference: Reference, cap: float) -> None:
    x = normal(5, 27) * 10
    x[0, :6] = [0, 1e-9, 1e30, -1e30, np.inf, -np.inf]
    x[1, 3] = np.nan

    def softcap(backend):
        return apply(backend, lambda ops, _, x: ops.softcap(x, cap), [x], sequences(5))

    np.testing.assert_allclose(softcap(native), softcap(reference), rtol=0, atol=3e-7 * cap)


def test_attention_to_what_is_no_number_is_none(native: Native) -> None:
    spec = tiny_spec()
    mixer = spec.blocks[0].mixer
    q, k, v = normal(3, 64), normal(3, 32, seed=1), normal(3, 32, seed=2)
    k[1] = np.nan
    kv = native.cache(spec, 1, PAGE_SIZE)
    found = apply(
        native, lambda ops, batch, q, k, v: ops.attention(q, k, v, mixer, 0, kv, batch), [q, k, v], sequences(3)
    )
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("rows", [8, 20, 64])
@pytest.mark.parametrize("name", ["F32", *FORMATS])
def test_project(native: Native, reference: Reference, name: str, rows: int) -> None:
    """Against the same decoded weights: float formats to rounding, others to what int8 activations allow."""
    columns, tokens = 256, 13
    x = normal(tokens, columns)
    weight = Plain(normal(rows, columns) / 16) if name == "F32" else random_blocks(name, rows, columns)

    def project(backend):
        placed = backend.place(weight)
        return apply(backend, lambda ops, batch, x: ops.project(x, placed, batch), [x], sequences(tokens))

    exact, found = project(reference), project(native)
    exactly = name in ("F32", "F16", "BF16")
    rms = np.sqrt(np.mean(np.square(found - exact)))
    assert rms < (1e-6 if exactly else 0.008) * exact.std()
    assert np.abs(found - exact).max() < (1e-5 if exactly else 0.04) * exact.std()


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"F32"}))
def test_embed(native: Native, reference: Reference, name: str) -> None:
    table = random_blocks(name, 40, 256)

    def embed(backend):
        placed = backend.place(table)
        return backend.compile(lambda ops, batch: ops.embed(placed, batch))(sequences(40))

    np.testing.assert_allclose(embed(native), embed(reference), rtol=1e-6)


@pytest.mark.parametrize("rope", [Rope(16, 10000.0), Rope(12, 500.0), Rope(16, 1e6, tuple(np.linspace(1, 8, 8)), 1.2)])
def test_rope(native: Native, reference: Reference, rope: Rope) -> None:
    batch = sequences(20, start=1000)
    x = normal(20, 3 * 16)

    def turn(backend):
        return apply(backend, lambda ops, batch, x: ops.rope(x, rope, 16, batch), [x], batch)

    np.testing.assert_allclose(turn(native), turn(reference), atol=2e-6)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_gated(native: Native, reference: Reference, activation: str) -> None:
    gate, up = normal(4, 100) * 10, normal(4, 100, seed=1)
    gate[0, :6] = [0, -0.0, 90, -90, 1e30, -1e30]
    gate[1] = np.linspace(-8, 8, 100)

    def gated(backend):
        return apply(backend, lambda ops, _, g, u: ops.gated(g, u, activation), [gate, up], sequences(4))

    np.testing.assert_allclose(gated(native), gated(reference), rtol=3e-6, atol=1e-6 if activation == "gelu" else 2e-7)


def test_add_and_select(native: Native, reference: Reference) -> None:
    x, y, batch = normal(9, 50), normal(9, 50, seed=1), sequences(4, 5)
    batch = replace(batch, rows=np.array([0, 3, 8], np.int32))

    def both(backend):
        return apply(backend, lambda ops, batch, x, y: ops.select(ops.add(x, y), batch), [x, y], batch)

    np.testing.assert_array_equal(both(native), both(reference))


def cache_for(backend, name: str, spec: ModelSpec, pages: int):
    """A cache as for a model whose matrices are in this format."""
    backend.place(Plain(normal(8, 32)) if name == "F32" else random_blocks(name, 8, 32))
    return backend.cache(spec, pages, PAGE_SIZE)


# Of attention over normal values. Keys are half floats in the cache, values too if the model is kept losslessly.
CACHE_ERROR = {"F32": 0.003, "Q8_0": 0.03}


def test_a_cache_is_no_larger_than_its_model_is_exact() -> None:
    spec = tiny_spec()  # two layers of 2 · 16 keys and as many values
    positions = 3 * PAGE_SIZE
    assert cache_for(Native(1), "BF16", spec, 3).bytes == positions * 2 * (2 * 32 + 2 * 32)
    for name in ("Q4_0", "Q5_0", "Q8_0"):
        assert cache_for(Native(1), name, spec, 3).bytes == positions * 2 * (2 * 32 + 32 + 2 * 4)


@pytest.mark.parametrize("name", CACHE_ERROR)
@pytest.mark.parametrize("lengths", [(1,), (40,), (3, 17, 1, 33)])
@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (6, 2), (9, 1)])
def test_attention(
    native: Native, reference: Reference, lengths: tuple[int, ...], heads: int, kv_heads: int, name: str
) -> None:
    """Two steps: the second continues each sequence after what the first has left in the cache."""
    spec = tiny_spec()
    mixer = replace(spec.blocks[0].mixer, heads=heads, kv_heads=kv_heads)
    spec = replace(spec, blocks=(replace(spec.blocks[0], mixer=mixer),))
    width = mixer.head_dim
    tokens = sum(lengths)
    q, k, v = normal(tokens, heads * width), normal(tokens, kv_heads * width), normal(tokens, kv_heads * width)

    def attend(backend):
        kv = cache_for(backend, name, spec, 64)
        tables = [backend.place(Plain(x)) for x in (q, k, v)]
        run = backend.compile(
            lambda ops, batch: ops.attention(*(ops.embed(table, batch) for table in tables), mixer, 0, kv, batch)
        )
        first, second = [], []
        for s, length in enumerate(lengths):
            pages = range(8 * s, 8 * s + 8)
            rows = range(sum(lengths[:s]), sum(lengths[: s + 1]))
            first.append(Span(rows, 0, pages, range(length)))
            second.append(Span(rows, length, pages, range(length)))
        return np.concatenate([run(Batch.of(first)), run(Batch.of(second))])

    np.testing.assert_allclose(attend(native), attend(reference), atol=CACHE_ERROR[name])


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_instruction_sets_agree_to_the_bit(name: str, narrow: bool) -> None:
    """Also of a matrix so narrow that it is multiplied with what int8 activations leave out."""
    columns = 768 if narrow else FORMATS[name].block_size if name.endswith(("K", "XS")) else 96
    rows = 20 if narrow else columns + 4
    x = normal(7, columns) * 3
    weight = Plain(normal(rows, columns)) if name == "F32" else random_blocks(name, rows, columns)
    results = []
    for kernels in kernel_names():
        backend = Native(threads=1, kernels=kernels)
        placed, norm = backend.place(weight), backend.place(Plain(normal(rows, seed=2)))

        def chain(ops, batch, x, placed=placed, norm=norm):
            y = ops.rms_norm(ops.project(x, placed, batch), norm, 1e-5)
            y = ops.add(ops.gated(y, y, "gelu"), ops.add(ops.gated(y, y, "gelu_erf"), ops.gated(y, y, "silu")))
            return ops.softcap(ops.rope(y, Rope(20, 100.0), rows, batch), 2.0)

        results.append(apply(backend, chain, [x], sequences(7)))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("rows", [60, 788])
@pytest.mark.parametrize("name", FORMATS)
def test_many_tokens_meet_what_each_would_alone(name: str, rows: int) -> None:
    """Kernels unpack weights for many tokens, and work on as many at a time as there are.

    A matrix of no more rows than columns is multiplied with what int8 activations leave out as well.
    """
    x, weight = normal(101, 768), Plain(normal(rows, 768)) if name == "F32" else random_blocks(name, rows, 768)
    results = []
    for kernels in kernel_names():
        backend = Native(threads=1, kernels=kernels)
        placed = backend.place(weight)

        def product(x, backend=backend, placed=placed):
            return apply(backend, lambda ops, batch, x: ops.project(x, placed, batch), [x], sequences(len(x)))

        results.append(product(x))
        for few in (slice(0, 1), slice(50, 51), slice(94, 97), slice(93, 101)):
            np.testing.assert_array_equal(product(x[few]), results[-1][few])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("name", ["F32", "F16", "Q4_0", "Q8_0", "I8", "Q5_0", "Q4_K", "Q6_K"])
def test_experts(native: Native, reference: Reference, name: str) -> None:
    """A router and its experts together: the choice has to be the same, the sum in the same order."""
    hidden, dim = (512, 256) if name.endswith("K") else (64, 96)
    moe, tokens = MoE(experts=5, selected=2, hidden=hidden, activation="gelu"), 33
    x, router = normal(tokens, dim), Plain(normal(moe.experts, dim, seed=1) / 4)
    shapes = [(moe.experts, moe.hidden, dim)] * 2 + [(moe.experts, dim, moe.hidden)]
    stacks = [stack(name, shape, seed) for seed, shape in enumerate(shapes, 2)]

    def run(backend):
        r, gate, up, down = map(backend.place, (router, *stacks))
        return apply(
            backend,
            lambda ops, batch, x: ops.experts(x, ops.route(x, r, moe), gate, up, down, moe, batch),
            [x],
            sequences(20, 13),
        )

    exact, found = run(reference), run(native)
    rms = np.sqrt(np.mean(np.square(found - exact)))
    assert rms < {"F32": 1e-5, "F16": 1e-5, "I8": 1e-4}.get(name, 0.02) * exact.std()


@pytest.mark.parametrize("renormalised", [False, True])
@pytest.mark.parametrize("cap", [None, 0.5])
def test_routing(native: Native, reference: Reference, cap: float | None, renormalised: bool) -> None:
    moe = MoE(5, 3, 32, "silu", router_softcap=cap, renormalised=renormalised)
    x, weights = normal(21, 48), [Plain(normal(moe.experts, 48, seed=1))]
    weights += [stack("F32", (5, *shape), seed) for seed, shape in enumerate([(32, 48), (32, 48), (48, 32)], 2)]

    def run(backend):
        r, gate, up, down = map(backend.place, weights)
        return apply(
            backend,
            lambda ops, batch, x: ops.experts(x, ops.route(x, r, moe), gate, up, down, moe, batch),
            [x],
            sequences(21),
        )

    np.testing.assert_allclose(run(native), run(reference), rtol=0, atol=5e-6)


def stack(name: str, shape: tuple[int, ...], seed: int) -> Plain | Quantised | Int8:
    count, rows, columns = shape
    values = normal(*shape, seed=seed) / columns**0.5
    if name == "F32":
        return Plain(values)
    if name == "I8":
        codes = np.random.default_rng(seed).integers(-127, 128, (count, columns, rows), dtype=np.int8)
        scales = (normal(count, 2, rows, seed=seed) * 0.002).view(np.uint32) >> 16
        return Int8(codes, scales.astype(np.uint16))
    return Quantised(name, shape, Encoder(2).encode(name, Plain(values.reshape(-1, columns))))


def test_routing_ties_go_to_the_lower_index(native: Native, reference: Reference) -> None:
    moe = MoE(experts=4, selected=2, hidden=32, activation="silu")
    weights = [Plain(np.zeros((4, 32), np.float32))] + [Plain(normal(4, 32, 32, seed=i)) for i in range(3)]

    def run(backend):
        router, gate, up, down = map(backend.place, weights)
        return apply(
            backend,
            lambda ops, batch, x: ops.experts(x, ops.route(x, router, moe), gate, up, down, moe, batch),
            [normal(3, 32)],
            sequences(3),
        )

    np.testing.assert_allclose(run(native), run(reference), rtol=1e-4, atol=1e-5)


def attention_spec(**fields) -> tuple[ModelSpec, Attention]:
    """Four heads of 16 that share two key/value heads, in one layer."""
    spec = tiny_spec()
    mixer = replace(spec.blocks[0].mixer, **fields)
    return replace(spec, blocks=(replace(spec.blocks[0], mixer=mixer),)), mixer


@pytest.mark.parametrize("name", CACHE_ERROR)
@pytest.mark.parametrize("start", [0, 11])
@pytest.mark.parametrize(
    "fields",
    [
        {"softcap": 2.0},
        {"softcap": 30.0},
        {"temperature": 16},
        {"temperature": 16, "softcap": 1.0},
        {"window": 1},
        {"window": 5},
        {"window": 16},
        {"window": 33, "temperature": 2, "softcap": 3.0},
        {"window": 1000},
    ],
    ids=str,
)
def test_scores_and_who_is_seen(
    native: Native, reference: Reference, fields: dict[str, float], start: int, name: str
) -> None:
    spec, mixer = attention_spec(**fields)
    q, k, v = normal(70, 64) * 3, normal(70, 32, seed=1) * 3, normal(70, 32, seed=2)

    def attend(backend):
        kv = cache_for(backend, name, spec, 12)
        return apply(
            backend,
            lambda ops, batch, q, k, v: ops.attention(q, k, v, mixer, 0, kv, batch),
            [q, k, v],
            sequences(66, 4, start=start),
        )

    np.testing.assert_allclose(attend(native), attend(reference), rtol=0, atol=3 * CACHE_ERROR[name])


@pytest.mark.parametrize("name", CACHE_ERROR)
def test_what_a_window_hides_is_not_read(native: Native, name: str) -> None:
    """Pages wholly before the window may hold anything."""
    spec, mixer = attention_spec(window=10)
    kv = cache_for(native, name, spec, 5)
    rows = [normal(64, width, seed=width) for width in (64, 32, 33)]
    tables = [
        native.place(Plain(np.ascontiguousarray(x[:, :width]))) for x, width in zip(rows, (64, 32, 32), strict=True)
    ]
    nothing = native.place(Plain(np.full((64, 32), np.nan, np.float32)))

    def attending(q, k, v):
        def forward(ops, batch):
            return ops.attention(ops.embed(q, batch), ops.embed(k, batch), ops.embed(v, batch), mixer, 0, kv, batch)

        return native.compile(forward)

    run = attending(*tables)
    expected = run(Batch.of([Span(range(64), 0, [0, 1, 2, 3], range(64))]))[48:]
    attending(tables[0], nothing, nothing)(Batch.of([Span(range(16), 0, [4], [0])]))
    found = run(Batch.of([Span(range(48, 64), 48, [4, 4, 2, 3], range(16))]))
    np.testing.assert_array_equal(found, expected)
