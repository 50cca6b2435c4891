"""What a model is, as frozen values: no weights, no names of architectures, no behaviour.

Sum types instead of flags: layers that differ are different elements of `ModelSpec.blocks`, and code that runs a
spec matches on the type. A field exists only because an architecture needs it and a parity test fails without it.
Where specs come from: `gadfly.arch`. Where they are run: `gadfly.model.transformer`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Activation",
    "Attention",
    "Block",
    "Dense",
    "FeedForward",
    "MoE",
    "ModelSpec",
    "Norms",
    "PreNorm",
    "Rope",
    "SandwichNorm",
]

Activation = Literal["silu", "gelu"]  # gelu: the tanh approximation


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding of the first `dim` components of each head, pairing component j with j + dim/2.

    Pair j turns by position · theta^(-2j/dim) / scaling[j]; an empty `scaling` divides by one.
    Source: Su et al., arXiv 2104.09864; half-split pairing as in GPT-NeoX.
    """

    dim: int
    theta: float
    scaling: tuple[float, ...] = ()

    def frequencies(self) -> tuple[float, ...]:
        """Radians per position of each of the dim/2 pairs."""
        plain = (self.theta ** (-2 * j / self.dim) for j in range(self.dim // 2))
        return tuple(f / s for f, s in zip(plain, self.scaling or (1.0,) * (self.dim // 2), strict=True))


@dataclass(frozen=True)
class Attention:
    """Causal grouped-query attention; query head j reads key/value head j // (heads / kv_heads)."""

    heads: int
    kv_heads: int
    head_dim: int
    rope: Rope
    scale: float  # multiplies q·k
    softcap: float | None = None  # c: scores become c · tanh(score / c), after scaling


@dataclass(frozen=True)
class Dense:
    """down(activation(gate x) · up x)."""

    hidden: int
    activation: Activation


@dataclass(frozen=True)
class MoE:
    """A mixture of experts, each a gated feed-forward: the sum of the `selected` likeliest, weighted by the router.

    The weights are the softmax over all experts at those selected, not made to sum to one.
    """

    experts: int
    selected: int
    hidden: int
    activation: Activation


FeedForward = Dense | MoE


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

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Path and shape of every weight, matrices as (out, in). A model may tie "output" to "embedding"."""
        yield "embedding", (self.vocab, self.dim)
        yield "norm", (self.dim,)
        yield "output", (self.vocab, self.dim)
        for layer, block in enumerate(self.blocks):
            for path, shape in _block_shapes(block, self.dim):
                yield f"blocks.{layer}.{path}", shape


def _block_shapes(block: Block, dim: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    mixer = block.mixer
    sandwich = isinstance(block.norms, SandwichNorm)
    yield "mixer_norm", (dim,)
    yield "mixer.query", (mixer.heads * mixer.head_dim, dim)
    yield "mixer.key", (mixer.kv_heads * mixer.head_dim, dim)
    yield "mixer.value", (mixer.kv_heads * mixer.head_dim, dim)
    yield "mixer.output", (dim, mixer.heads * mixer.head_dim)
    if sandwich:
        yield "mixer_post_norm", (dim,)
    yield "ffn_norm", (dim,)
    match block.ffn:
        case Dense(hidden):
            yield "ffn.gate", (hidden, dim)
            yield "ffn.up", (hidden, dim)
            yield "ffn.down", (dim, hidden)
        case MoE(experts, _, hidden):
            yield "ffn.router", (experts, dim)
            yield "ffn.gate", (experts, hidden, dim)
            yield "ffn.up", (experts, hidden, dim)
            yield "ffn.down", (experts, dim, hidden)
    if sandwich:
        yield "ffn_post_norm", (dim,)
