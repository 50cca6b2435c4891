"""The model: the one definition of the forward pass that every backend runs.

It reads top to bottom like the paper. What differs between architectures is in the spec, what differs between
machines is behind `ops`; this file knows neither. Values it touches are opaque: it never looks at a number.
"""

from typing import TypeVar

from gadfly.batch import Batch
from gadfly.ops import Ops
from gadfly.spec import Attention, Dense, ModelSpec
from gadfly.weight import Weights

__all__ = ["forward"]

T = TypeVar("T")
W = TypeVar("W")
KV = TypeVar("KV")


def forward(spec: ModelSpec, weights: Weights[W], batch: Batch, ops: Ops[T, W, KV], kv: KV) -> T:
    """Logits (wanted rows, vocab) of a ragged batch; keys and values of its tokens are left in `kv`."""
    x = ops.embed(weights["embedding"], batch)
    for layer, block in enumerate(spec.blocks):
        w = weights.at(f"blocks.{layer}")
        normed = ops.rms_norm(x, w["mixer_norm"], block.norms.eps)
        x = ops.add(x, attend(block.mixer, w.at("mixer"), normed, layer, batch, ops, kv))
        normed = ops.rms_norm(x, w["ffn_norm"], block.norms.eps)
        x = ops.add(x, feed(block.ffn, w.at("ffn"), normed, ops))
    x = ops.rms_norm(ops.select(x, batch), weights["norm"], spec.norm_eps)
    return ops.project(x, weights["output"])


def attend(spec: Attention, w: Weights[W], x: T, layer: int, batch: Batch, ops: Ops[T, W, KV], kv: KV) -> T:
    q = ops.rope(ops.project(x, w["query"]), spec.rope, spec.head_dim, batch)
    k = ops.rope(ops.project(x, w["key"]), spec.rope, spec.head_dim, batch)
    v = ops.project(x, w["value"])
    return ops.project(ops.attention(q, k, v, spec, layer, kv, batch), w["output"])


def feed(spec: Dense, w: Weights[W], x: T, ops: Ops[T, W, KV]) -> T:
    hidden = ops.gated(ops.project(x, w["gate"]), ops.project(x, w["up"]), spec.activation)
    return ops.project(hidden, w["down"])
