"""The model: the one definition of the forward pass that every backend runs.

It reads top to bottom like the paper. What differs between architectures is in the spec, what differs between
machines is behind `ops`; this file knows neither. Values it touches are opaque: it never looks at a number.
"""

from typing import TypeVar

from gadfly.batch import Batch
from gadfly.ops import Ops
from gadfly.spec import Attention, Block, Dense, FeedForward, ModelSpec, MoE, Parallel, SandwichNorm
from gadfly.weight import Weights

__all__ = ["embedded", "finished", "forward", "hidden_states", "through"]

T = TypeVar("T")
W = TypeVar("W")
KV = TypeVar("KV")


def forward(spec: ModelSpec, weights: Weights[W], batch: Batch, ops: Ops[T, W, KV], kv: KV) -> T:
    """Logits (wanted rows, vocab) of a ragged batch; keys and values of its tokens are left in `kv`."""
    logits = ops.project(hidden_states(spec, weights, batch, ops, kv), weights["output"], batch)
    logits = scaled(logits, spec.logit_scale, ops)
    return logits if spec.logit_softcap is None else ops.softcap(logits, spec.logit_softcap)


def hidden_states(spec: ModelSpec, weights: Weights[W], batch: Batch, ops: Ops[T, W, KV], kv: KV) -> T:
    """What the last layer leaves of the wanted rows, after the final norm: (wanted rows, dim)."""
    x = through(range(len(spec.blocks)), embedded(spec, weights, batch, ops), spec, weights, batch, ops, kv)
    return finished(x, spec, weights, batch, ops)


def embedded(spec: ModelSpec, weights: Weights[W], batch: Batch, ops: Ops[T, W, KV]) -> T:
    """What enters the first layer: (tokens, dim)."""
    return scaled(ops.embed(weights["embedding"], batch), spec.embedding_scale, ops)


def through(layers: range, x: T, spec: ModelSpec, weights: Weights[W], batch: Batch, ops: Ops[T, W, KV], kv: KV) -> T:
    """What some layers, one after the other, make of x: (tokens, dim)."""
    for layer in layers:
        block, w = spec.blocks[layer], weights.at(f"blocks.{layer}")
        mixed = attend(block.mixer, w.at("mixer"), normed(x, "mixer_norm", w, block, ops), layer, batch, ops, kv)
        x = ops.add(x, leaving(mixed, "mixer_post_norm", w, block, ops))
        fed = feed(block.ffn, w.at("ffn"), normed(x, "ffn_norm", w, block, ops), batch, ops)
        x = ops.add(x, leaving(fed, "ffn_post_norm", w, block, ops))
    return x


def finished(x: T, spec: ModelSpec, weights: Weights[W], batch: Batch, ops: Ops[T, W, KV]) -> T:
    """The wanted rows of what the last layer leaves, after the final norm: (wanted rows, dim)."""
    return ops.rms_norm(ops.select(x, batch), weights["norm"], spec.norm_eps)


def normed(x: T, name: str, w: Weights[W], block: Block, ops: Ops[T, W, KV]) -> T:
    return ops.rms_norm(x, w[name], block.norms.eps)


def leaving(x: T, name: str, w: Weights[W], block: Block, ops: Ops[T, W, KV]) -> T:
    return normed(x, name, w, block, ops) if isinstance(block.norms, SandwichNorm) else x


def scaled(x: T, factor: float, ops: Ops[T, W, KV]) -> T:
    return x if factor == 1.0 else ops.scale(x, factor)


def attend(spec: Attention, w: Weights[W], x: T, layer: int, batch: Batch, ops: Ops[T, W, KV], kv: KV) -> T:
    q, k, v = (headed(spec, w, x, name, batch, ops) for name in ("query", "key", "value"))
    q, k = (ops.rope(heads, spec.rope, spec.head_dim, batch) for heads in (q, k))
    return ops.project(ops.attention(q, k, v, spec, layer, kv, batch), w["output"], batch)


def headed(spec: Attention, w: Weights[W], x: T, name: str, batch: Batch, ops: Ops[T, W, KV]) -> T:
    """Queries, keys or values, side by side, before they are turned."""
    heads = ops.project(x, w[name], batch)
    if spec.bias:
        heads = ops.shift(heads, w[f"{name}_bias"])
    if spec.head_norm is not None and name != "value":
        heads = ops.rms_norm(heads, w[f"{name}_norm"], spec.head_norm)
    return heads


def feed(spec: FeedForward, w: Weights[W], x: T, batch: Batch, ops: Ops[T, W, KV]) -> T:
    match spec:
        case Dense():
            hidden = ops.gated(ops.project(x, w["gate"], batch), ops.project(x, w["up"], batch), spec.activation)
            return ops.project(hidden, w["down"], batch)
        case MoE():
            return ops.experts(x, ops.route(x, w["router"], spec), w["gate"], w["up"], w["down"], spec, batch)
        case Parallel(dense, moe, scale):
            both = feed(dense, w.at("dense"), x, batch, ops), feed(moe, w.at("moe"), x, batch, ops)
            return ops.scale(ops.add(*both), scale)
