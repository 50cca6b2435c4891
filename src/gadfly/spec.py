"""What a model is, as frozen values: no weights, no names of architectures, no behaviour.

Sum types instead of flags: layers that differ are different elements of `ModelSpec.blocks`, and code that runs a
spec matches on the type. A field exists only because an architecture needs it and a parity test fails without it.
Where specs come from: `gadfly.arch`. Where they are run: `gadfly.model.transformer`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

__all__ = [
    "Activation",
    "Attention",
    "Block",
    "Dense",
    "FeedForward",
    "LongRope",
    "MoE",
    "ModelSpec",
    "Norms",
    "Parallel",
    "PreNorm",
    "Rope",
    "SandwichNorm",
]

Activation = Literal["silu", "gelu", "gelu_erf"]  # gelu: the tanh approximation; gelu_erf: the exact one


@dataclass(frozen=True)
class LongRope:
    """What takes the place of a rope's `scaling` where more than `context` positions are to be told apart."""

    context: int
    scaling: tuple[float, ...]


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding of the first `dim` components of each head, pairing component j with j + dim/2.

    Pair j turns by position · theta^(-2j/dim) / scaling[j]; an empty `scaling` divides by one. What was turned is
    multiplied with `magnitude`. Source: Su et al., arXiv 2104.09864; half-split pairing as in GPT-NeoX.
    """

    dim: int
    theta: float
    scaling: tuple[float, ...] = ()
    magnitude: float = 1.0
    long: LongRope | None = None  # see ModelSpec.within

    def frequencies(self) -> tuple[float, ...]:
        """Radians per position of each of the dim/2 pairs."""
        plain = (self.theta ** (-2 * j / self.dim) for j in range(self.dim // 2))
        return tuple(f / s for f, s in zip(plain, self.scaling or (1.0,) * (self.dim // 2), strict=True))


@dataclass(frozen=True)
class Attention:
    """Causal grouped-query attention; query head j reads key/value head j // (heads / kv_heads).

    A score is q·k · scale, then capped, then multiplied by the query's temperature.
    """

    heads: int
    kv_heads: int
    head_dim: int
    rope: Rope
    scale: float
    softcap: float | None = None  # c: scores become c · tanh(score / c)
    temperature: int | None = None  # T: scores of a query at position p > T are multiplied by log p / log T
    window: int | None = None  # how many positions a query sees, its own included
    bias: bool = False  # of queries, keys and values
    head_norm: float | None = None  # eps: every head of q and k is RMS-normalised before it is turned


@dataclass(frozen=True)
class Dense:
    """down(activation(gate x) · up x)."""

    hidden: int
    activation: Activation


@dataclass(frozen=True)
class MoE:
    """A mixture of experts, each a gated feed-forward: the sum of the `selected` likeliest, weighted by the router.

    The weights are the softmax over all experts at those selected; they sum to one only if `renormalised`.
    """

    experts: int
    selected: int
    hidden: int
    activation: Activation
    router_softcap: float | None = None  # c: the router's logits become c · tanh(logit / c)
    renormalised: bool = False


@dataclass(frozen=True)
class Parallel:
    """A dense feed-forward beside a mixture of experts: (dense(x) + moe(x)) · scale."""

    dense: Dense
    moe: MoE
    scale: float


FeedForward = Dense | MoE | Parallel


@dataclass(frozen=True)
class PreNorm:
    """RMS normalisation of what enters the mixer and of what enters the feed-forward."""

    eps: float


@dataclass(frozen=True)
class SandwichNorm:
    """RMS normalisation of what enters each half of a block and of what leaves it, before it is added to x."""

    eps: float


Norms = PreNorm | SandwichNorm


@dataclass(frozen=True)
class Block:
    """One layer: x += mixer(norm x); x += ffn(norm x). A SandwichNorm also normalises what is added."""

    mixer: Attention
    ffn: FeedForward
    norms: Norms


@dataclass(frozen=True)
class ModelSpec:
    """A decoder-only transformer. `context` is the number of positions it was made for."""

    vocab: int
    dim: int
    context: int
    blocks: tuple[Block, ...]
    norm_eps: float  # of the norm before the logits
    embedding_scale: float = 1.0
    logit_scale: float = 1.0
    logit_softcap: float | None = None  # c: logits become c · tanh(logit / c), after scaling

    def within(self, context: int) -> "ModelSpec":
        """The model as it is run on texts of up to `context` positions, where that makes a difference (LongRope).

        A choice, since a text may not outgrow what its first keys were turned by.
        """
        blocks = tuple(replace(block, mixer=_within(block.mixer, context)) for block in self.blocks)
        limits = [block.mixer.rope.long.context for block in self.blocks if block.mixer.rope.long is not None]
        fits = limits and context <= min(limits)
        return replace(self, blocks=blocks, context=min(self.context, *limits) if fits else self.context)

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Path and shape of every weight, matrices as (out, in). A model may tie "output" to "embedding"."""
        yield "embedding", (self.vocab, self.dim)
        yield "norm", (self.dim,)
        yield "output", (self.vocab, self.dim)
        for layer, block in enumerate(self.blocks):
            for path, shape in _block_shapes(block, self.dim):
                yield f"blocks.{layer}.{path}", shape


def _within(mixer: Attention, context: int) -> Attention:
    rope, long = mixer.rope, mixer.rope.long
    if long is None:
        return mixer
    return replace(
        mixer, rope=replace(rope, scaling=rope.scaling if context <= long.context else long.scaling, long=None)
    )


def _block_shapes(block: Block, dim: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    mixer = block.mixer
    query, key = mixer.heads * mixer.head_dim, mixer.kv_heads * mixer.head_dim
    sandwich = isinstance(block.norms, SandwichNorm)
    yield "mixer_norm", (dim,)
    yield "mixer.query", (query, dim)
    yield "mixer.key", (key, dim)
    yield "mixer.value", (key, dim)
    if mixer.bias:
        yield "mixer.query_bias", (query,)
        yield "mixer.key_bias", (key,)
        yield "mixer.value_bias", (key,)
    if mixer.head_norm is not None:
        yield "mixer.query_norm", (mixer.head_dim,)
        yield "mixer.key_norm", (mixer.head_dim,)
    yield "mixer.output", (dim, query)
    if sandwich:
        yield "mixer_post_norm", (dim,)
    yield "ffn_norm", (dim,)
    for path, shape in _ffn_shapes(block.ffn, dim):
        yield f"ffn.{path}", shape
    if sandwich:
        yield "ffn_post_norm", (dim,)


def _ffn_shapes(ffn: FeedForward, dim: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    match ffn:
        case Dense(hidden):
            yield "gate", (hidden, dim)
            yield "up", (hidden, dim)
            yield "down", (dim, hidden)
        case MoE(experts, _, hidden):
            yield "router", (experts, dim)
            yield "gate", (experts, hidden, dim)
            yield "up", (experts, hidden, dim)
            yield "down", (experts, dim, hidden)
        case Parallel(dense, moe):
            yield from ((f"dense.{path}", shape) for path, shape in _ffn_shapes(dense, dim))
            yield from ((f"moe.{path}", shape) for path, shape in _ffn_shapes(moe, dim))
