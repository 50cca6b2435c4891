"""The executable definition of every op: float32 numpy, no tricks, nothing to know about a machine.

Weights are decoded to float32 when placed. Other backends are right when they agree with this one; it is also the
backend to read first. Its only liberty is the order in which numpy sums.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gadfly.batch import Batch, Ints
from gadfly.ops import Floats, Ops
from gadfly.quant import decode
from gadfly.spec import Activation, Attention, ModelSpec, MoE, Rope
from gadfly.weight import Deferred, Delta, Int8, Joined, LowRank, Plain, Quantised, Reordered, Stack, Weight

__all__ = ["PagedCache", "Reference", "temperatures"]

Placed: TypeAlias = Floats | LowRank[Floats]


class PagedCache:
    """Keys and values of all layers, float32: (layer, page, slot, kv head · head_dim)."""

    def __init__(self, spec: ModelSpec, pages: int, page_size: int) -> None:
        widths = [block.mixer.kv_heads * block.mixer.head_dim for block in spec.blocks]
        self.keys = [np.zeros((pages, page_size, width), np.float32) for width in widths]
        self.values = [np.zeros((pages, page_size, width), np.float32) for width in widths]
        self.page_size = page_size

    def store(self, layer: int, pages: Ints, positions: Ints, k: Floats, v: Floats) -> None:
        slots = pages[positions // self.page_size], positions % self.page_size
        self.keys[layer][slots] = k
        self.values[layer][slots] = v

    def load(self, layer: int, pages: Ints, length: int) -> tuple[Floats, Floats]:
        """Keys and values of positions 0 … length-1, each (length, width)."""
        k, v = self.keys[layer][pages], self.values[layer][pages]
        return k.reshape(-1, k.shape[-1])[:length], v.reshape(-1, v.shape[-1])[:length]


class Reference:
    """Backend and ops in one: its tensors are numpy arrays, and a forward pass needs no compiling."""

    def place(self, weight: Weight) -> Floats:
        match weight:
            case Plain(array):
                return np.array(array, np.float32)
            case Int8():
                return weight.decode()
            case Quantised(name, shape, blocks):
                return decode(name, blocks).reshape(shape)
            case Reordered() | Joined():
                return self.place(weight.rows(slice(None)))
            case Deferred():
                return self.place(weight.load())
            case Stack(parts):
                return np.stack([self.place(part) for part in parts])

    def cache(self, spec: ModelSpec, pages: int, page_size: int) -> PagedCache:
        return PagedCache(spec, pages, page_size)

    def adapt(self, weight: Placed, deltas: Sequence[Delta[Floats]]) -> LowRank[Floats]:
        assert not isinstance(weight, LowRank)
        return LowRank(weight, tuple(deltas))

    def compile(self, forward: Callable[[Ops[Floats, Placed, PagedCache], Batch], Floats]) -> "Counting":
        return Counting(forward)

    def embed(self, table: Placed, batch: Batch) -> Floats:
        assert isinstance(table, np.ndarray)
        return table[batch.tokens]

    def rms_norm(self, x: Floats, weight: Placed, eps: float) -> Floats:
        assert isinstance(weight, np.ndarray)
        heads = x.reshape(len(x), x.shape[1] // len(weight), len(weight))  # of no tokens, too
        mean_square = np.mean(np.square(heads), axis=-1, keepdims=True, dtype=np.float32)
        return np.asarray(weight * (heads / np.sqrt(mean_square + np.float32(eps))), np.float32).reshape(x.shape)

    def project(self, x: Floats, weight: Placed, batch: Batch) -> Floats:
        if isinstance(weight, np.ndarray):
            return x @ weight.T
        y = x @ weight.base.T
        for delta in weight.deltas:
            strengths = batch.strengths_of(delta.adapter, len(x))
            if strengths is not None:
                added(y, x, strengths, delta.down, delta.up, delta.scale)
        return y

    def rope(self, x: Floats, rope: Rope, head_dim: int, batch: Batch) -> Floats:
        angles = batch.positions[:, None] * np.array(rope.frequencies(), np.float64)
        cos, sin = ((rope.magnitude * f(angles))[:, None].astype(np.float32) for f in (np.cos, np.sin))
        heads = x.reshape(len(x), -1, head_dim)
        low, high, rest = np.split(heads, [rope.dim // 2, rope.dim], axis=-1)
        turned = np.concatenate([low * cos - high * sin, high * cos + low * sin, rest], axis=-1)
        return turned.reshape(x.shape)

    def attention(
        self, q: Floats, k: Floats, v: Floats, spec: Attention, layer: int, kv: PagedCache, batch: Batch
    ) -> Floats:
        out = np.empty_like(q)
        for s, (first, last) in enumerate(zip(batch.starts[:-1], batch.starts[1:], strict=True)):
            pages = batch.page_ids[batch.page_starts[s] : batch.page_starts[s + 1]]
            positions = batch.positions[first:last]
            kv.store(layer, pages, positions, k[first:last], v[first:last])
            keys, values = kv.load(layer, pages, int(positions[-1]) + 1)
            out[first:last] = attend(q[first:last], keys, values, positions, spec)
        return out

    def gated(self, gate: Floats, up: Floats, activation: Activation) -> Floats:
        return ACTIVATIONS[activation](gate) * up

    def route(self, x: Floats, router: Placed, spec: MoE) -> Floats:
        """(tokens, 2, selected): indices, exact in float32 as they are small, and weights."""
        assert isinstance(router, np.ndarray)
        logits = x @ router.T
        if spec.router_softcap is not None:
            logits = self.softcap(logits, spec.router_softcap)
        chances = softmax(logits)
        best = np.argsort(-chances, axis=-1, kind="stable")[:, : spec.selected]  # ties: the lower index first
        weights = np.take_along_axis(chances, best, axis=-1)
        if spec.renormalised:
            weights = weights / weights.sum(axis=-1, keepdims=True)
        return np.stack([best.astype(np.float32), weights], axis=1)

    def experts(
        self, x: Floats, routing: Floats, gate: Placed, up: Placed, down: Placed, spec: MoE, batch: Batch
    ) -> Floats:
        out = np.zeros_like(x)

        def product(inputs: Floats, stack: Placed, expert: int, rows: NDArray[np.intp]) -> Floats:
            """Of the tokens in these rows of x."""
            if not isinstance(stack, LowRank):  # an array, or experts that are decoded as they are used
                return np.asarray(inputs @ stack[expert].T)
            y: Floats = inputs @ stack.base[expert].T
            for delta in stack.deltas:
                strengths = batch.strengths_of(delta.adapter, len(x))
                if strengths is not None:
                    added(y, inputs, strengths[rows], delta.down[expert], delta.up[expert], delta.scale)
            return y

        for rank in range(spec.selected):
            chosen, weights = routing[:, 0, rank].astype(int), routing[:, 1, rank, None]
            for expert in np.unique(chosen):
                rows = np.flatnonzero(chosen == expert)
                gates, ups = (product(x[rows], stack, expert, rows) for stack in (gate, up))
                hidden = self.gated(gates, ups, spec.activation)
                out[rows] += weights[rows] * product(hidden, down, expert, rows)
        return out

    def shift(self, x: Floats, bias: Placed) -> Floats:
        assert isinstance(bias, np.ndarray)
        return x + bias

    def softcap(self, x: Floats, cap: float) -> Floats:
        return np.asarray(np.float32(cap) * np.tanh(x / np.float32(cap)), np.float32)

    def scale(self, x: Floats, factor: float) -> Floats:
        return x * np.float32(factor)

    def add(self, x: Floats, y: Floats) -> Floats:
        return x + y

    def select(self, x: Floats, batch: Batch) -> Floats:
        return x[batch.rows]


class Counting(Reference):
    """A forward pass that counts which experts tokens go to."""

    def __init__(self, forward: Callable[[Ops[Floats, Placed, PagedCache], Batch], Floats]) -> None:
        self._forward = forward
        self._used: list[NDArray[np.intp]] = []  # of each mixture
        self._mixture = 0  # the next one

    def __call__(self, batch: Batch) -> Floats:
        self._mixture = 0
        return self._forward(self, batch)

    def route(self, x: Floats, router: Placed, spec: MoE) -> Floats:
        routing = super().route(x, router, spec)
        if self._mixture == len(self._used):
            self._used.append(np.zeros(spec.experts, np.intp))
        self._used[self._mixture] += np.bincount(routing[:, 0].astype(np.intp).reshape(-1), minlength=spec.experts)
        self._mixture += 1
        return routing

    def step_bytes(self, tokens: int, wanted: int) -> int:  # noqa: ARG002
        return 0

    def expert_use(self) -> list[list[int]]:
        return [used.tolist() for used in self._used]


def added(y: Floats, x: Floats, strengths: Floats, down: Floats, up: Floats, scale: float) -> None:
    """Add what an adapter makes of x (rows, in) to y (rows, out); rows without strength stay as they are."""
    rows = np.flatnonzero(strengths)
    y[rows] += strengths[rows, None] * (np.float32(scale) * (x[rows] @ down.T @ up.T))


def attend(q: Floats, keys: Floats, values: Floats, positions: Ints, spec: Attention) -> Floats:
    """Queries (tokens, heads · head_dim) at `positions` over keys and values of positions 0, 1, 2 …"""
    group = spec.heads // spec.kv_heads
    q_heads = q.reshape(len(q), spec.kv_heads, group, spec.head_dim)
    k_heads = keys.reshape(len(keys), spec.kv_heads, spec.head_dim)
    v_heads = values.reshape(len(values), spec.kv_heads, spec.head_dim)
    scores = np.einsum("tkgd,ukd->kgtu", q_heads, k_heads, optimize=True) * np.float32(spec.scale)
    if spec.softcap is not None:
        scores = np.float32(spec.softcap) * np.tanh(scores / np.float32(spec.softcap))
    if spec.temperature is not None:
        scores *= temperatures(positions, spec.temperature)[:, None]
    seen, own = np.arange(len(keys)), positions[:, None]
    hidden = seen > own
    if spec.window is not None:
        hidden |= seen <= own - spec.window
    scores[..., hidden] = -np.inf
    mixed = np.einsum("kgtu,ukd->tkgd", softmax(scores), v_heads, optimize=True)
    return np.asarray(mixed.reshape(q.shape), np.float32)


def temperatures(positions: Ints, length: int) -> Floats:
    """log p / log length beyond `length`, one up to it."""
    return np.asarray(np.log(np.maximum(positions, length)) / np.log(length), np.float32)


def softmax(x: Floats) -> Floats:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), np.float32)


def silu(x: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp of a very negative x is inf, and x / inf is the right answer
        return np.asarray(x / (1 + np.exp(-x)), np.float32)


def gelu(x: Floats) -> Floats:
    with np.errstate(over="ignore"):  # of the cube; tanh is ±1 long before
        inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3)
    return np.asarray(np.float32(0.5) * x * (1 + np.tanh(inner)), np.float32)


def gelu_erf(x: Floats) -> Floats:
    return np.asarray(0.5 * x * (1 + ERF(x / np.sqrt(2))), np.float32)


ERF = np.vectorize(math.erf, otypes=[np.float64])
ACTIVATIONS: dict[Activation, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "silu": silu,
    "gelu": gelu,
    "gelu_erf": gelu_erf,
}
